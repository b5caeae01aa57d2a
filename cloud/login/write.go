package login

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// write changes a session and tells every replica, in one step and one round trip: with WATCH, MULTI
// and EXEC it would be four, and the page waits for each.
//
// Keys: session, wait, and others that go with the old view. Arguments: the version that is to be
// replaced, or nothing for a new session; the session's life in ms, or nothing to leave it; who drives
// the waiting, or nothing; for how long in ms; channel; message; then fields and values.
var write = redis.NewScript(`
local was = redis.call('HMGET', KEYS[1], 'v', 'fc')
if ARGV[1] == '' then
  if was[1] then return 'changed' end
else
  if not was[1] then return 'gone' end
  if was[1] ~= ARGV[1] or was[2] then return 'changed' end
end
redis.call('HSET', KEYS[1], unpack(ARGV, 7))
if ARGV[2] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
else
  redis.call('DEL', KEYS[2])
end
for i = 3, #KEYS do redis.call('DEL', KEYS[i]) end
redis.call('PUBLISH', ARGV[5], ARGV[6])
return 'done'
`)

// create stores a new session. wait is how long its view is worth waiting on, by instance driver.
// errChanged: there is a session already.
func (st store) create(ctx context.Context, k key, s session, driver string, wait time.Duration) error {
	fields := append(stepFields(s), "b", s.bearer, "m", s.request, "i", s.integration, "o", s.origin, "a", s.remote, "t", s.trace)
	return st.write(ctx, []string{k.session(), k.wait()}, k, s, "", lifetime, driver, wait, fields)
}

// advance replaces the view of version from by that of s, and nothing when the version is another
// one by now, or the login has failed: errChanged, or errGone. A view that came of a message ends the
// lock of that message.
func (st store) advance(ctx context.Context, k key, from uint32, s session, driver string, wait time.Duration) error {
	var life time.Duration
	if s.ended() {
		life = afterEnd
	}
	keys := []string{k.session(), k.wait()}
	if len(s.said) > 0 && s.failure == nil {
		keys = append(keys, k.saying())
	}
	return st.write(ctx, keys, k, s, formatVersion(from), life, driver, wait, stepFields(s))
}

func (st store) write(ctx context.Context, keys []string, k key, s session, from string, life time.Duration, driver string, wait time.Duration, fields []any) error {
	if s.view.Phase != phaseWaiting || s.failure != nil {
		driver = ""
	}
	news := strings.Join([]string{"view", string(k.tenant), string(k.login), formatVersion(s.latest())}, " ")
	args := append([]any{from, millis(life), driver, millis(max(wait, time.Millisecond)), channel, news}, fields...)
	said, err := write.Run(ctx, st.redis, keys, args...).Text()
	switch {
	case err != nil:
		return wrap("change login session", err)
	case said == "gone":
		return errGone
	case said == "changed":
		return errChanged
	}
	return nil
}

// latest is the version that whoever has an older one should look at: that the login has failed counts as one.
func (s session) latest() uint32 {
	if s.failure != nil {
		return s.view.Version + 1
	}
	return s.view.Version
}

// millis is a time for Redis; nothing for none.
func millis(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return strconv.FormatInt(d.Milliseconds(), 10)
}
