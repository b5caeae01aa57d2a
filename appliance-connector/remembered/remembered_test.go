package remembered_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/remembered"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/internal/browserkey"
	"github.com/sallyport/sallyport/internal/sealed"
)

const (
	alice = sallyport.AccountName(`hospital\alice`)
	bob   = sallyport.AccountName(`hospital\bob`)
	day   = 24 * time.Hour
)

var start = time.Date(2026, 3, 1, 7, 0, 0, 0, time.UTC)

func secret(b byte) sallyport.Key { return bytes.Repeat([]byte{b}, 32) }

// world is an enterprise with its store and its clock, and one browser of alice's.
type world struct {
	t      *testing.T
	now    time.Time
	store  *store.Store
	keeper remembered.Keeper
	policy sallyport.RememberPolicy
	since  time.Time // 2FA required on all devices of alice

	id    sallyport.RememberedID
	key   *ecdsa.PrivateKey
	token []byte
	uses  uint32
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: start, policy: sallyport.RememberPolicy{Allowed: true, For: 30 * day}}
	var err error
	w.store, err = store.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), secret(1), store.WithNow(func() time.Time { return w.now }))
	w.check(err)
	t.Cleanup(func() { w.check(w.store.Close()) })
	w.keeper = remembered.Keeper{Tenant: "hospital", Keys: []remembered.Key{{ID: "1", Secret: secret(2)}}, Store: w.store}
	w.remember("")
	return w
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// remember has the browser remembered, with a key of its own.
func (w *world) remember(replaces sallyport.RememberedID) {
	w.t.Helper()
	var err error
	w.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.check(err)
	octets := make([]byte, browserkey.IDSize)
	rand.Read(octets)
	w.id, _ = browserkey.NewID(octets)
	w.uses = 0
	w.token, err = w.keeper.Make(w.t.Context(), sallyport.RememberedDevice{ID: w.id, Account: alice, Browser: "Firefox on Windows", Place: "203.0.113.7", Made: w.now}, w.point(), replaces)
	w.check(err)
}

func (w *world) point() []byte {
	w.t.Helper()
	b, err := w.key.PublicKey.Bytes()
	w.check(err)
	return b
}

func (w *world) sign(c browserkey.Claim) []byte {
	w.t.Helper()
	sum := sha256.Sum256(c.Text())
	r, s, err := ecdsa.Sign(rand.Reader, w.key, sum[:])
	w.check(err)
	out := make([]byte, browserkey.SignatureSize)
	r.FillBytes(out[:32])
	s.FillBytes(out[32:])
	return out
}

// attempt is a login with the browser's next claim.
func (w *world) attempt() (login.RememberedClaim, login.RememberedLogin) {
	w.uses++
	l := login.RememberedLogin{Login: sallyport.LoginID(sallyport.NewID()), Integration: "vpn", UserName: "Alice", Account: alice, Place: "203.0.113.9",
		Policy: w.policy, Since: w.since, Now: w.now}
	c := browserkey.Claim{Tenant: "hospital", Integration: l.Integration, Login: l.Login, UserName: l.UserName, ID: w.id, Uses: w.uses}
	return login.RememberedClaim{ID: w.id, Uses: w.uses, Signature: w.sign(c), Token: w.token, Finding: login.RememberedGood}, l
}

func (w *world) verdict(c login.RememberedClaim, l login.RememberedLogin) login.RememberedVerdict {
	w.t.Helper()
	v, err := w.keeper.Check(w.t.Context(), c, l)
	w.check(err)
	return v
}

// skips logs in at a time after the start, and wants the second factor to be skipped, or to be asked for
// with a word of the reason.
func (w *world) skips(at time.Duration, why string) {
	w.t.Helper()
	w.now = start.Add(at)
	v := w.verdict(w.attempt())
	if v.OK != (why == "") || !strings.Contains(v.Why, why) {
		w.t.Errorf("after %v: %+v, want %q", at, v, why)
	}
}

func TestTheSecondFactorIsSkippedUntilTheTimeIsUp(t *testing.T) {
	w := newWorld(t)
	w.skips(0, "")
	w.skips(29*day, "")
	w.skips(30*day-time.Microsecond, "")
	w.skips(30*day, "longer ago")
}

func TestAShorterTimeBitesAtOnceAndALongerOneLengthens(t *testing.T) {
	w := newWorld(t)
	w.skips(10*day, "")
	w.policy.For = 5 * day
	w.skips(10*day, "longer ago")
	w.policy.For = 30 * day
	w.skips(10*day, "")
	w.policy.For = time.Hour
	w.skips(10*day, "longer ago")
	w.policy.For = sallyport.RememberMost
	w.skips(119*day, "")
	w.skips(120*day, "longer ago")
}

func TestOneUserReset(t *testing.T) {
	w := newWorld(t)
	w.skips(day, "")
	w.since = w.now
	w.skips(day, "2FA was required")
	w.skips(2*day, "2FA was required")
	w.remember(w.id) // after the second factor she can choose again
	w.skips(3*day, "")
}

func TestAllRevokedAndSwitchedOnAgainRevivesNothing(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	flow, err := w.store.LoginWorkflow(ctx)
	w.check(err)
	set := func(allowed bool) {
		t.Helper()
		flow.Remember.Allowed, flow.Remember.For = allowed, 30*day
		flow, err = w.store.SetLoginWorkflow(ctx, flow)
		w.check(err)
		w.policy = flow.Remember
	}
	set(true)
	w.now = w.now.Add(time.Second)
	w.remember("")
	w.skips(day, "")
	set(false)
	w.skips(day, "nobody skip")
	set(true)
	w.skips(day, "before all were revoked")
	// Even to an appliance whose clock was an hour ahead when it remembered it.
	w.policy.Since = time.Time{}
	w.skips(day, "forgotten")
	w.remember("")
	w.policy = flow.Remember
	w.skips(2*day, "")
}

func TestForgottenOneByOneHoldsWhateverTheCloudHasKept(t *testing.T) {
	w := newWorld(t)
	w.skips(0, "")
	w.check(w.store.ForgetRemembered(t.Context(), alice, w.id, ""))
	w.skips(0, "forgotten")
}

func TestADeviceThatIsRememberedAnewTakesThePlaceOfTheOld(t *testing.T) {
	w := newWorld(t)
	old := *w
	w.remember(w.id)
	w.skips(0, "")
	old.skips(0, "forgotten")
	list, err := w.store.RememberedDevices(t.Context(), alice)
	if err != nil || len(list) != 1 || list[0].ID != w.id || list[0].Browser != "Firefox on Windows" || list[0].Uses != 1 || list[0].LastPlace != "203.0.113.9" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestMakingTheSameDeviceAgainIsTheSame(t *testing.T) {
	w := newWorld(t)
	d := sallyport.RememberedDevice{ID: w.id, Account: alice, Made: w.now.Add(time.Second)}
	if _, err := w.keeper.Make(t.Context(), d, w.point(), ""); err != nil {
		t.Fatal(err)
	}
	list, err := w.store.RememberedDevices(t.Context(), alice)
	if err != nil || len(list) != 1 || !list[0].Made.Equal(start) {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestCopiedStorageIsForgottenByWhoeverComesSecond(t *testing.T) {
	w := newWorld(t)
	w.skips(0, "")
	thief := *w // has everything: key, count and token
	thief.skips(time.Minute, "")
	v := w.verdict(w.attempt())
	if v.OK || !v.Copied {
		t.Errorf("the owner's next login: %+v", v)
	}
	thief.skips(time.Minute, "forgotten")
	w.skips(time.Minute, "forgotten")
	r, err := w.store.AuditRecords(t.Context(), store.AuditQuery{Action: "remembered device.forget"})
	if err != nil || len(r.Records) != 1 || !strings.Contains(r.Records[0].Reason, "copied") {
		t.Errorf("%+v, %v", r.Records, err)
	}
}

func TestThatTheCloudFoundACopyForgetsTheDeviceOfThisAccountAlone(t *testing.T) {
	w := newWorld(t)
	c, l := w.attempt()
	c.Finding, c.Token = login.RememberedCopied, nil
	l.Account = bob
	if v := w.verdict(c, l); v.OK || v.Copied {
		t.Errorf("bob's login: %+v", v)
	}
	w.skips(0, "")
	l.Account = alice
	if v := w.verdict(c, l); v.OK || !v.Copied {
		t.Errorf("alice's login: %+v", v)
	}
	w.skips(0, "forgotten")
}

func TestClaimsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*world, *login.RememberedClaim, *login.RememberedLogin)
		why  string
	}{
		"no record": {func(_ *world, c *login.RememberedClaim, _ *login.RememberedLogin) { c.Finding = login.RememberedGone }, "no record"},
		"cookie missing": {func(_ *world, c *login.RememberedClaim, _ *login.RememberedLogin) {
			c.Finding = login.RememberedNoCookie
		}, "cookie"},
		"unsigned": {func(_ *world, c *login.RememberedClaim, _ *login.RememberedLogin) {
			c.Finding = login.RememberedUnsigned
		}, "not signed"},
		"Redis away": {func(_ *world, c *login.RememberedClaim, _ *login.RememberedLogin) {
			c.Finding = login.RememberedUnknown
		}, "could not look"},
		"another user":    {func(_ *world, _ *login.RememberedClaim, l *login.RememberedLogin) { l.Account = bob }, "another user"},
		"another device":  {func(_ *world, c *login.RememberedClaim, _ *login.RememberedLogin) { c.ID = "AAAAAAAAAAAAAAAAAAAAAA" }, "another device"},
		"another login":   {func(_ *world, _ *login.RememberedClaim, l *login.RememberedLogin) { l.Login = "replayed" }, "signature"},
		"another gateway": {func(_ *world, _ *login.RememberedClaim, l *login.RememberedLogin) { l.Integration = "other" }, "signature"},
		"another name":    {func(_ *world, _ *login.RememberedClaim, l *login.RememberedLogin) { l.UserName = "Bob" }, "signature"},
		"another use":     {func(_ *world, c *login.RememberedClaim, _ *login.RememberedLogin) { c.Uses++ }, "signature"},
		"no signature":    {func(_ *world, c *login.RememberedClaim, _ *login.RememberedLogin) { c.Signature = nil }, "signature"},
		"no token":        {func(_ *world, c *login.RememberedClaim, _ *login.RememberedLogin) { c.Token = nil }, "not one that this enterprise made"},
		"edited":          {func(_ *world, c *login.RememberedClaim, _ *login.RememberedLogin) { c.Token[len(c.Token)/2] ^= 1 }, "not one that this enterprise made"},
		"huge": {func(_ *world, c *login.RememberedClaim, _ *login.RememberedLogin) {
			c.Token = make([]byte, remembered.MaxToken+1)
		}, "not one that this enterprise made"},
		"clock ahead": {func(w *world, _ *login.RememberedClaim, l *login.RememberedLogin) {
			l.Now = w.now.Add(-remembered.Skew - time.Second)
		}, "clock is ahead"},
		"policy allows no one": {func(_ *world, _ *login.RememberedClaim, l *login.RememberedLogin) { l.Policy.Allowed = false }, "nobody skip"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			claim, l := w.attempt()
			claim.Token = bytes.Clone(claim.Token)
			c.edit(w, &claim, &l)
			if v := w.verdict(claim, l); v.OK || v.Copied || !strings.Contains(v.Why, c.why) {
				t.Errorf("%+v, want %q", v, c.why)
			}
			w.skips(0, "") // and nothing is the worse for it
		})
	}
}

// forge writes a token as whoever has Redis might.
func (w *world) forge(method jwt.SigningMethod, key any, header, claims map[string]any) []byte {
	w.t.Helper()
	all := jwt.MapClaims{"iss": "hospital", "sub": "", "jti": string(w.id), "key": base64.RawURLEncoding.EncodeToString(w.point()), "at": start.UnixMicro()}
	var real jwt.MapClaims = map[string]any{}
	_, _, err := jwt.NewParser().ParseUnverified(string(w.token), &real)
	w.check(err)
	all["sub"] = real["sub"]
	for k, v := range claims {
		all[k] = v
	}
	t := jwt.NewWithClaims(method, all)
	t.Header["typ"], t.Header["kid"] = "sallyport-remembered+jwt", "1"
	for k, v := range header {
		t.Header[k] = v
	}
	text, err := t.SignedString(key)
	w.check(err)
	return []byte(text)
}

func TestAForgedRecordAdmitsNobody(t *testing.T) {
	w := newWorld(t)
	right := sealed.Derive(secret(2), nil, "sallyport/v1 remembered token", 32)
	for name, token := range map[string][]byte{
		"no algorithm":          w.forge(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, nil),
		"another key":           w.forge(jwt.SigningMethodHS256, []byte(secret(9)), nil, nil),
		"signed by the browser": w.forge(jwt.SigningMethodES256, w.key, nil, nil),
		"another algorithm":     w.forge(jwt.SigningMethodHS512, right, nil, nil),
		"unknown key id":        w.forge(jwt.SigningMethodHS256, right, map[string]any{"kid": "2"}, nil),
		"another kind of token": w.forge(jwt.SigningMethodHS256, right, map[string]any{"typ": "JWT"}, nil),
		"critical header":       w.forge(jwt.SigningMethodHS256, right, map[string]any{"crit": []string{"x"}}, nil),
		"another enterprise":    w.forge(jwt.SigningMethodHS256, right, nil, map[string]any{"iss": "clinic"}),
		"no key":                w.forge(jwt.SigningMethodHS256, right, nil, map[string]any{"key": ""}),
		"key is none":           w.forge(jwt.SigningMethodHS256, right, nil, map[string]any{"key": "AAAA"}),
	} {
		c, l := w.attempt()
		c.Token = token
		if v := w.verdict(c, l); v.OK {
			t.Errorf("%s: admitted", name)
		}
	}
	c, l := w.attempt()
	c.Token = w.forge(jwt.SigningMethodHS256, right, nil, nil)
	if v := w.verdict(c, l); !v.OK {
		t.Errorf("the forger is no measure: with the right key %+v", v)
	}
}

func TestATokenNamesNobody(t *testing.T) {
	w := newWorld(t)
	for part := range strings.SplitSeq(string(w.token), ".") {
		text, err := base64.RawURLEncoding.DecodeString(part)
		w.check(err)
		if bytes.Contains(bytes.ToLower(text), []byte("alice")) {
			t.Errorf("%s", text)
		}
	}
	if len(w.token) > remembered.MaxToken/2 {
		t.Errorf("%d octets", len(w.token))
	}
}

func TestOtherEnterprisesAndReplacedKeys(t *testing.T) {
	w := newWorld(t)
	ours := w.keeper
	w.keeper.Tenant = "clinic"
	w.skips(0, "not one that this enterprise made")
	w.keeper = ours
	w.keeper.Keys = []remembered.Key{{ID: "2", Secret: secret(3)}, ours.Keys[0]}
	w.skips(0, "") // under the key before
	w.remember(w.id)
	w.skips(0, "")
	w.keeper.Keys = w.keeper.Keys[:1]
	w.skips(0, "")
	w.keeper.Keys = ours.Keys
	w.skips(0, "not one that this enterprise made")
}

func TestWithTheStoreAwayNobodySkipsAnything(t *testing.T) {
	w := newWorld(t)
	c, l := w.attempt()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v, err := w.keeper.Check(ctx, c, l); err == nil || v.OK {
		t.Errorf("%+v, %v", v, err)
	}
	c.Finding = login.RememberedCopied
	if v, err := w.keeper.Check(ctx, c, l); err == nil || v.OK {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := w.keeper.Make(ctx, sallyport.RememberedDevice{ID: "x", Account: alice, Made: w.now}, w.point(), ""); err == nil {
		t.Error("a device that is not on the list was given a token")
	}
	if _, err := w.keeper.Make(t.Context(), sallyport.RememberedDevice{ID: "x", Account: alice, Made: w.now}, []byte{4}, ""); err == nil {
		t.Error("a browser without a key was remembered")
	}
}

func FuzzCheck(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		f.Fatal(err)
	}
	k := remembered.Keeper{Tenant: "hospital", Keys: []remembered.Key{{ID: "1", Secret: secret(2)}}, Store: everybody{}}
	token, err := k.Make(context.Background(), sallyport.RememberedDevice{ID: "AAAAAAAAAAAAAAAAAAAAAA", Account: alice, Made: start}, point, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token, make([]byte, 64), uint32(1))
	f.Add([]byte("e30.e30."), []byte{}, uint32(0))
	f.Add([]byte(`eyJhbGciOiJub25lIiwidHlwIjoic2FsbHlwb3J0LXJlbWVtYmVyZWQrand0Iiwia2lkIjoiMSJ9.e30.`), []byte{}, uint32(9))
	f.Add(bytes.Repeat([]byte("."), 2048), []byte{}, uint32(9))
	f.Fuzz(func(t *testing.T, token, signature []byte, uses uint32) {
		v, err := k.Check(context.Background(), login.RememberedClaim{ID: "AAAAAAAAAAAAAAAAAAAAAA", Uses: uses, Signature: signature, Token: token, Finding: login.RememberedGood},
			login.RememberedLogin{Login: "l", Integration: "i", UserName: "u", Account: alice, Policy: sallyport.RememberPolicy{Allowed: true, For: day}, Now: start})
		if v.OK || err != nil {
			t.Errorf("%+v, %v", v, err)
		}
	})
}

// everybody is a list that has everybody on it.
type everybody struct{}

func (everybody) PutRemembered(context.Context, sallyport.RememberedDevice, sallyport.RememberedID) error {
	return nil
}

func (everybody) UseRemembered(_ context.Context, id sallyport.RememberedID, account sallyport.AccountName, uses uint32, _ string, _ time.Time) (sallyport.RememberedDevice, error) {
	return sallyport.RememberedDevice{ID: id, Account: account, Uses: uses}, nil
}

func (everybody) ForgetRemembered(context.Context, sallyport.AccountName, sallyport.RememberedID, string) error {
	return nil
}
