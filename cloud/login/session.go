package login

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
)

// Phases of a view, as the browser sees them, and the one that only the cloud gives.
const (
	phaseWaiting = "waiting"
	phaseInput   = "input"
	phaseDone    = "done"
	phaseDenied  = "denied"
)

// key finds a login in Redis. All its keys have the enterprise as hash tag: one slot of a Cluster.
type key struct {
	tenant sallyport.TenantID
	login  sallyport.LoginID
}

func (k key) session() string { return "sp:{" + string(k.tenant) + "}:login:" + string(k.login) }

// clone frees the key from the request's buffers that it was cut out of.
func (k key) clone() key {
	return key{sallyport.TenantID(strings.Clone(string(k.tenant))), sallyport.LoginID(strings.Clone(string(k.login)))}
}

// claim says which request the login id was used for, and by which replica.
func (k key) claim() string { return k.session() + ":claim" }

// wait says which replica drives the waiting; its time to live is how long the wait is worth it.
func (k key) wait() string { return k.session() + ":wait" }

// saying is the lock of the one message that is being worked on.
func (k key) saying() string { return k.session() + ":saying" }

// view is what the browser is shown (docs/protocol/browser.md section 4).
type view struct {
	Version uint32 `json:"version"`
	Phase   string `json:"phase"`
	Sealed  octets `json:"sealed"`
}

func (v view) ended() bool { return v.Phase == phaseDone || v.Phase == phaseDenied }

// session is all that is kept of a login: nothing in it can be read or used by whoever steals it.
type session struct {
	view        view
	state       []byte // sealed by the appliance for the next step
	bearer      []byte // SHA-256
	request     []byte // MAC of the credentials request
	said        []byte // MAC of the message that led to this view
	integration string
	origin      string
	remote      string
	trace       string
	failure     *sallyport.Error       // set when the login ended without a last view
	remembered  sallyport.RememberedID // when its browser is remembered from now on

	// Not kept here: what the appliance says of a browser that is to be remembered, and the cookie for
	// one that was.
	record *tunnelpb.RememberedRecord
	cookie sallyport.Secret

	// Of the wait key: who drives (an instance), and for how long yet.
	driver   string
	waitLeft time.Duration
}

func (s session) ended() bool { return s.failure != nil || s.view.ended() }

var (
	errGone    = errors.New("no such login session")
	errChanged = errors.New("login session has changed meanwhile")
)

// store keeps login sessions in Redis. Whoever waits for an answer waits for these round trips, so
// there is one for each thing that is done; what must be one step on the server is in write.go.
type store struct {
	redis redis.UniversalClient
}

// afterEnd is how long the last view can still be fetched.
const afterEnd = 2 * time.Minute

// claim takes the login id for one request. When it is taken already it returns the MAC of the
// request and the instance that took it.
func (st store) claim(ctx context.Context, k key, request []byte, instance string, ttl time.Duration) (won bool, by []byte, holder string, err error) {
	won, err = st.redis.SetNX(ctx, k.claim(), string(request)+instance, ttl).Result()
	if err != nil || won {
		return won, request, instance, wrap("claim login id", err)
	}
	by, holder, err = st.claimed(ctx, k, len(request))
	return false, by, holder, err
}

// claimed reads a claim; errGone when there is none (any more).
func (st store) claimed(ctx context.Context, k key, macSize int) (by []byte, holder string, err error) {
	v, err := st.redis.Get(ctx, k.claim()).Result()
	if errors.Is(err, redis.Nil) || err == nil && len(v) < macSize {
		return nil, "", errGone
	}
	if err != nil {
		return nil, "", wrap("read claim", err)
	}
	return []byte(v[:macSize]), v[macSize:], nil
}

// release gives a claim back: nothing was asked of the directory, the same request may come again.
func (st store) release(ctx context.Context, k key) error {
	return wrap("release claim", st.redis.Del(ctx, k.claim()).Err())
}

func stepFields(s session) []any {
	f := []any{"v", s.view.Version, "p", s.view.Phase, "w", []byte(s.view.Sealed), "s", s.state, "d", s.said}
	if s.remembered != "" {
		f = append(f, "r", string(s.remembered))
	}
	if s.failure != nil {
		f = append(f, "fc", string(s.failure.Code), "fm", s.failure.Message, "fs", s.failure.SupportCode)
	}
	return f
}

var sessionFields = []string{"v", "p", "w", "s", "d", "b", "m", "i", "o", "a", "t", "fc", "fm", "fs", "r"}

// reading is a session on its way from Redis, with whoever drives it.
type reading struct {
	all    *redis.SliceCmd
	driver *redis.StringCmd
	left   *redis.DurationCmd
}

func read(ctx context.Context, p redis.Pipeliner, k key) reading {
	return reading{p.HMGet(ctx, k.session(), sessionFields...), p.Get(ctx, k.wait()), p.PTTL(ctx, k.wait())}
}

func (r reading) session() (session, error) {
	return parseSession(r.all.Val(), r.driver.Val(), r.left.Val())
}

// load reads a session with whoever drives it; errGone when it has ended or never was.
func (st store) load(ctx context.Context, k key) (session, error) {
	p := st.redis.Pipeline()
	r := read(ctx, p, k)
	if _, err := p.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return session{}, wrap("read login session", err)
	}
	return r.session()
}

func parseSession(vals []any, driver string, left time.Duration) (session, error) {
	f := make([]string, len(sessionFields))
	for i := range vals {
		f[i], _ = vals[i].(string)
	}
	if f[0] == "" {
		return session{}, errGone
	}
	version, err := strconv.ParseUint(f[0], 10, 32)
	if err != nil {
		return session{}, fmt.Errorf("read login session: %w", err)
	}
	s := session{
		view: view{Version: uint32(version), Phase: f[1], Sealed: octets(f[2])}, state: []byte(f[3]), said: []byte(f[4]),
		bearer: []byte(f[5]), request: []byte(f[6]), integration: f[7], origin: f[8], remote: f[9], trace: f[10], remembered: sallyport.RememberedID(f[14]),
		driver: driver, waitLeft: max(left, 0),
	}
	if f[11] != "" {
		s.failure = &sallyport.Error{Code: sallyport.Code(f[11]), Message: f[12], SupportCode: f[13]}
	}
	return s, nil
}

// takeOver makes instance the driver in place of from. It reports false when somebody else was
// quicker or the wait is over.
func (st store) takeOver(ctx context.Context, k key, from, instance string) (bool, error) {
	taken := false
	err := st.redis.Watch(ctx, func(tx *redis.Tx) error {
		cur, err := tx.Get(ctx, k.wait()).Result()
		if err != nil || cur != from {
			return err
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Do(ctx, "SET", k.wait(), instance, "XX", "KEEPTTL")
			return nil
		})
		taken = err == nil
		return err
	}, k.wait())
	if errors.Is(err, redis.Nil) || errors.Is(err, redis.TxFailedErr) {
		return false, nil
	}
	return taken, wrap("take waiting over", err)
}

// startSaying locks the login for one message, and reads the session as it is then. It returns the
// MAC of the message that holds the lock, nil when it was given back meanwhile.
func (st store) startSaying(ctx context.Context, k key, message []byte, ttl time.Duration) (won bool, by []byte, sess session, err error) {
	p := st.redis.Pipeline()
	lock := p.SetNX(ctx, k.saying(), message, ttl)
	holder := p.Get(ctx, k.saying())
	r := read(ctx, p, k)
	if _, err := p.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return false, nil, session{}, wrap("lock login", err)
	}
	by, err = holder.Bytes()
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, nil, session{}, wrap("read lock of login", err)
	}
	if !lock.Val() {
		return false, by, session{}, nil
	}
	sess, err = r.session()
	return true, message, sess, err
}

// stopSaying gives the lock back after a message that changed nothing.
func (st store) stopSaying(ctx context.Context, k key) error {
	return wrap("unlock login", st.redis.Del(ctx, k.saying()).Err())
}

func wrap(verb string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", verb, err)
}

// saidNow returns the MAC of the message that is being worked on; nil when there is none.
func (st store) saidNow(ctx context.Context, k key) ([]byte, error) {
	by, err := st.redis.Get(ctx, k.saying()).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return by, wrap("read lock of login", err)
}
