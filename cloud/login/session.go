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
	failure     *sallyport.Error // set when the login ended without a last view

	// Of the wait key: who drives (an instance), and for how long yet.
	driver   string
	waitLeft time.Duration
}

func (s session) ended() bool { return s.failure != nil || s.view.ended() }

var (
	errGone    = errors.New("no such login session")
	errChanged = errors.New("login session has changed meanwhile")
)

// store keeps login sessions in Redis, with plain commands only.
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

// create stores a new session. wait is how long its view is worth waiting on, by instance driver.
// errChanged: there is a session already.
func (st store) create(ctx context.Context, k key, s session, driver string, wait time.Duration) error {
	return st.change(ctx, k, func(tx *redis.Tx) error {
		n, err := tx.Exists(ctx, k.session()).Result()
		if err == nil && n != 0 {
			return errChanged
		}
		return err
	}, func(p redis.Pipeliner) {
		fields := append(stepFields(s), "b", s.bearer, "m", s.request, "i", s.integration, "o", s.origin, "a", s.remote, "t", s.trace)
		p.HSet(ctx, k.session(), fields...)
		p.PExpire(ctx, k.session(), lifetime)
		st.keepWait(ctx, p, k, s, driver, wait)
	})
}

// advance replaces the view of version from by that of s, and nothing when the version is another
// one by now: errChanged, or errGone.
func (st store) advance(ctx context.Context, k key, from uint32, s session, driver string, wait time.Duration) error {
	return st.change(ctx, k, st.at(ctx, k, from), func(p redis.Pipeliner) {
		p.HSet(ctx, k.session(), stepFields(s)...)
		if s.ended() {
			p.PExpire(ctx, k.session(), afterEnd)
		}
		st.keepWait(ctx, p, k, s, driver, wait)
	})
}

// at checks, while the session is watched, that it has not failed and has version from.
func (st store) at(ctx context.Context, k key, from uint32) func(*redis.Tx) error {
	return func(tx *redis.Tx) error {
		vals, err := tx.HMGet(ctx, k.session(), "v", "fc").Result()
		switch {
		case err != nil:
			return err
		case vals[0] == nil:
			return errGone
		case vals[0] != strconv.FormatUint(uint64(from), 10) || vals[1] != nil:
			return errChanged
		}
		return nil
	}
}

func (st store) keepWait(ctx context.Context, p redis.Pipeliner, k key, s session, driver string, wait time.Duration) {
	if s.view.Phase == phaseWaiting && s.failure == nil {
		p.Set(ctx, k.wait(), driver, wait)
	} else {
		p.Del(ctx, k.wait())
	}
}

// change runs check and then write as one step: WATCH, MULTI, EXEC.
func (st store) change(ctx context.Context, k key, check func(*redis.Tx) error, write func(redis.Pipeliner)) error {
	err := st.redis.Watch(ctx, func(tx *redis.Tx) error {
		if err := check(tx); err != nil {
			return err
		}
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error { write(p); return nil })
		return err
	}, k.session())
	if errors.Is(err, redis.TxFailedErr) {
		err = errChanged
	}
	return wrap("change login session", err)
}

func stepFields(s session) []any {
	f := []any{"v", s.view.Version, "p", s.view.Phase, "w", []byte(s.view.Sealed), "s", s.state, "d", s.said}
	if s.failure != nil {
		f = append(f, "fc", string(s.failure.Code), "fm", s.failure.Message, "fs", s.failure.SupportCode)
	}
	return f
}

var sessionFields = []string{"v", "p", "w", "s", "d", "b", "m", "i", "o", "a", "t", "fc", "fm", "fs"}

// load reads a session with whoever drives it; errGone when it has ended or never was.
func (st store) load(ctx context.Context, k key) (session, error) {
	p := st.redis.Pipeline()
	all := p.HMGet(ctx, k.session(), sessionFields...)
	driver := p.Get(ctx, k.wait())
	left := p.PTTL(ctx, k.wait())
	if _, err := p.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return session{}, wrap("read login session", err)
	}
	return parseSession(all.Val(), driver.Val(), left.Val())
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
		bearer: []byte(f[5]), request: []byte(f[6]), integration: f[7], origin: f[8], remote: f[9], trace: f[10],
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

// startSaying locks the login for one message. It reports the MAC of the message that holds the
// lock when that is another's.
func (st store) startSaying(ctx context.Context, k key, message []byte, ttl time.Duration) (won bool, by []byte, err error) {
	won, err = st.redis.SetNX(ctx, k.saying(), message, ttl).Result()
	if err != nil || won {
		return won, message, wrap("lock login", err)
	}
	by, err = st.redis.Get(ctx, k.saying()).Bytes()
	if errors.Is(err, redis.Nil) {
		return false, nil, nil
	}
	return false, by, wrap("read lock of login", err)
}

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
