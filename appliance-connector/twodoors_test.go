package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/otp"
	"github.com/sallyport/sallyport/appliance-connector/overlay"
	"github.com/sallyport/sallyport/appliance-connector/passcode"
	"github.com/sallyport/sallyport/appliance-connector/radius"
	"github.com/sallyport/sallyport/appliance-connector/radius/legacy"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/sealed"
)

// twoDoors is an enterprise of two appliances with both front doors each, the store real. Every user has the factor after which the
// user is called. Directory, token service, text gateway and token server are scripted; the clock stands still unless moved.
type twoDoors struct {
	t        *testing.T
	ring     *keyring.Ring
	stores   [2]*store.Store
	overlays [2]*overlay.Door
	legacies [2]*legacy.Door
	vpn      sallyport.Integration
	log      told
	clock    atomic.Int64
	n        atomic.Int64 // names logins

	seed sallyport.Key // of the device
	otp  sallyport.OTPToken

	mu       sync.Mutex
	texts    map[sallyport.AccountName][]sallyport.Secret // codes that were sent
	asked    int                                          // questions to the token server
	external sallyport.Secret                             // that it takes, once; "": none
	taken    string                                       // the request that it took it in
}

// typedFactors are the factors that are typed, with what the workflow calls them.
var typedFactors = map[sallyport.Method]sallyport.Combination{
	sallyport.MethodCode: sallyport.PasswordAndApp, sallyport.MethodSMS: sallyport.PasswordAndSMS, sallyport.MethodOTP: sallyport.PasswordAndOTP,
	sallyport.MethodExternal: sallyport.PasswordAndExternal, sallyport.MethodTemporary: sallyport.PasswordAndApp,
}

// noCode is a code that is right for nobody.
const noCode = "000000"

func accountOf(m sallyport.Method) sallyport.AccountName {
	return sallyport.NewAccountName("hospital", string(m))
}

// newTwoDoors has both appliances work on the store at an address; "": a new SQLite file.
func newTwoDoors(t *testing.T, address string) *twoDoors {
	t.Helper()
	w := &twoDoors{t: t, texts: map[sallyport.AccountName][]sallyport.Secret{}, vpn: sallyport.Integration{ID: "vpn", Nickname: "Hospital VPN",
		Origins: []string{"https://vpn.hospital.test"}, Experience: sallyport.ExperienceLegacy}}
	w.clock.Store(time.Date(2026, 3, 1, 7, 0, 10, 0, time.UTC).UnixNano())
	if address == "" {
		address = filepath.Join(t.TempDir(), "s.db")
	}
	var err error
	w.ring, err = keyring.New("t1")
	ok(t, err)
	tokens, err := w.ring.Tokens()
	ok(t, err)
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	for i := range w.stores {
		db, err := store.Open(t.Context(), address, w.ring.Derive("store"), store.WithNow(w.now))
		ok(t, err)
		t.Cleanup(func() { ok(t, db.Close()) })
		w.stores[i] = db
		engine := login.New(login.Config{
			Directory: w, Standings: w, Devices: db, Challenges: w, Tokens: tokens, TemporaryCodes: db, Counters: db, Texts: outsideTexts{w}, External: w,
			Codes: &passcode.Checker{Store: db, Temporary: db, Tokens: db, PINs: db, Now: w.now, Log: log},
			Key:   w.ring.Derive("login"), Now: w.now, Sleep: func(context.Context, time.Duration) {}, Log: log,
		})
		w.overlays[i] = &overlay.Door{Tenant: "t1", Engine: engine, Keys: w.ring, States: login.Keeper{Key: w.ring.Derive("login state")},
			Integrations: w, Once: db, Now: w.now, Log: log}
		w.legacies[i] = legacy.New(legacy.Options{Engine: engine, Steps: db, States: login.Keeper{Key: w.ring.Derive("radius state")},
			Key: w.ring.Derive("radius steps"), Now: w.now, Sleep: sleep, Log: log})
	}
	w.have()
	return w
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// have gives everybody what they have.
func (w *twoDoors) have() {
	w.t.Helper()
	db, ctx := w.stores[0], w.t.Context()
	for found := true; found; _, found = deviceproto.MatchTokenCode(w.seed, noCode, w.now(), 10) {
		key, err := deviceproto.NewKey()
		ok(w.t, err)
		der, err := deviceproto.MarshalPublicKey(&key.PublicKey)
		ok(w.t, err)
		id := deviceproto.Thumbprint(&key.PublicKey)
		keys := deviceproto.DeriveKeys(make([]byte, 32), id)
		w.seed = keys.Seed
		ok(w.t, db.PutDevice(ctx, sallyport.Device{ID: id, Account: accountOf(sallyport.MethodCode), Name: "Phone", Platform: "cli", PublicKey: der,
			Seed: keys.Seed, DetailsKey: keys.Details, Enrolled: w.now()}))
	}
	_, err := db.ImportOTPTokens(ctx, []sallyport.OTPToken{{Serial: "T", Kind: sallyport.TOTP, Algorithm: sallyport.SHA1, Digits: 6, Period: 30 * time.Second,
		Seed: sallyport.Key("a seed that is the same each time")}})
	ok(w.t, err)
	page, err := db.OTPTokens(ctx, store.OTPTokenQuery{Text: "T"})
	ok(w.t, err)
	_, err = db.AssignOTPToken(ctx, page.Tokens[0].ID, 0, accountOf(sallyport.MethodOTP))
	ok(w.t, err)
	w.otp, err = db.OTPToken(ctx, page.Tokens[0].ID)
	ok(w.t, err)
	if _, found := otp.Find(w.otp, noCode, w.now()); found {
		w.t.Fatal("the code that nobody has is the token's")
	}
}

// issue gives a temporary code for a while.
func (w *twoDoors) issue(code sallyport.Secret, life time.Duration) {
	w.t.Helper()
	ok(w.t, w.stores[0].IssueTemporaryCode(w.t.Context(), sallyport.TemporaryCode{ID: fmt.Sprint("t", w.n.Add(1)), Account: accountOf(sallyport.MethodTemporary),
		Issued: w.now(), Expires: w.now().Add(life), By: "help desk"}, code))
}

func (w *twoDoors) now() time.Time         { return time.Unix(0, w.clock.Load()).UTC() }
func (w *twoDoors) later(by time.Duration) { w.clock.Add(int64(by)) }

// right is a code that is right now. The one by SMS is that of the newest message.
func (w *twoDoors) right(m sallyport.Method) string {
	w.t.Helper()
	switch m {
	case sallyport.MethodCode:
		c, err := deviceproto.TokenCode(w.seed, w.now())
		ok(w.t, err)
		return string(c)
	case sallyport.MethodOTP:
		c, err := otp.Code(w.otp, otp.Step(w.otp, w.now()))
		ok(w.t, err)
		return string(c)
	case sallyport.MethodSMS:
		w.mu.Lock()
		defer w.mu.Unlock()
		list := w.texts[accountOf(m)]
		return string(list[len(list)-1])
	case sallyport.MethodTemporary:
		w.issue("1234-5678", 5*time.Minute)
		return "12345678"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken, w.external = "", sallyport.Secret(fmt.Sprintf("9%07d", w.n.Add(1)))
	return string(w.external)
}

// What stands around the engine.

func (w *twoDoors) Integration(context.Context, sallyport.IntegrationID) (sallyport.Integration, error) {
	return w.vpn, nil
}

func (w *twoDoors) Present(_ context.Context, name string) (sallyport.AccountState, sallyport.Account, error) {
	return sallyport.AccountOK, sallyport.Account{Name: sallyport.NewAccountName("hospital", name)}, nil
}

func (w *twoDoors) Verify(_ context.Context, name string, _ sallyport.Secret, onBind func() error) (sallyport.AccountState, sallyport.Account, error) {
	return sallyport.AccountOK, sallyport.Account{Name: sallyport.NewAccountName("hospital", name)}, onBind()
}

func (w *twoDoors) Standing(ctx context.Context, account sallyport.AccountName) (s sallyport.Standing, err error) {
	_, name, _ := strings.Cut(string(account), `\`)
	m := sallyport.Method(name)
	s = sallyport.Standing{
		User:     &sallyport.User{ID: "u1", Account: account, State: sallyport.UserActive, Policy: "p1"},
		Policy:   sallyport.UserPolicy{ID: "p1", Name: "Nurses", Licensed: true, RemoteAccess: true},
		Workflow: sallyport.LoginWorkflow{NumberMatching: true, Allowed: []sallyport.Combination{typedFactors[m]}},
	}
	switch m {
	case sallyport.MethodCode:
		s.Devices, err = w.stores[0].Devices(ctx, account)
		s.Has.Apps = len(s.Devices)
	case sallyport.MethodSMS:
		s.Has.Phones = 1
	case sallyport.MethodOTP:
		s.Has.OTP = true
	case sallyport.MethodExternal:
		s.Has.External = true
	case sallyport.MethodTemporary:
		s.Has.TemporaryCodes, err = w.stores[0].TemporaryCodes(ctx, account)
	}
	return s, err
}

func (w *twoDoors) Create(context.Context, login.Challenge) error       { return nil }
func (w *twoDoors) Cancel(context.Context, sallyport.ChallengeID) error { return nil }
func (w *twoDoors) Watch(ctx context.Context, _ sallyport.ChallengeID, _ func(login.ChallengeEvent) bool) error {
	<-ctx.Done()
	return ctx.Err()
}

// Ask is the token server: it takes a code once. A request repeated is put to it once (externalTokens).
func (w *twoDoors) Ask(_ context.Context, q login.ExternalQuestion) (login.ExternalAnswer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	if w.external == "" || q.Passcode != w.external || w.taken != "" && w.taken != q.Request {
		return login.ExternalAnswer{}, nil
	}
	w.taken = q.Request
	return login.ExternalAnswer{Accepted: true}, nil
}

type outsideTexts struct{ *twoDoors }

func (w outsideTexts) Phones(_ context.Context, a sallyport.AccountName) ([]sallyport.Phone, error) {
	return []sallyport.Phone{{ID: "p1", Account: a, Number: "+447700900142"}}, nil
}

func (w outsideTexts) Send(_ context.Context, m login.TextMessage) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts[m.Account] = append(w.texts[m.Account], m.Code)
	return nil
}

func (w outsideTexts) Parse(context.Context, string) (sallyport.PhoneNumber, error) {
	return "", errors.New("nobody enrols here")
}

func (w outsideTexts) Enrol(context.Context, sallyport.AccountName, sallyport.PhoneNumber) error {
	return errors.New("nobody enrols here")
}

// told is a log that is read.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (l *told) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(b))
	return len(b), nil
}

// count says in how many lines all of the words are.
func (l *told) count(words ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
next:
	for _, line := range l.lines {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue next
			}
		}
		n++
	}
	return n
}

// sitting is somebody's login at a door, which asks for a code.
type sitting interface {
	// types a code at an appliance, as an answer to what was asked last, and says how the login stands: "in", "asked", "denied", or "refused" when the
	// step was not taken. A sitting where something was typed can be typed in again: at the same question.
	types(appliance int, code string) (stands string, next sitting)
}

// doorNames are how a sitting begins.
var doorNames = map[string]func(w *twoDoors, m sallyport.Method, appliance int) sitting{
	"overlay": func(w *twoDoors, m sallyport.Method, appliance int) sitting { return w.atOverlay(m, appliance) },
	"RADIUS":  func(w *twoDoors, m sallyport.Method, appliance int) sitting { return w.atRADIUS(m, appliance) },
}

type overlaySitting struct {
	w    *twoDoors
	id   sallyport.LoginID
	ch   sealed.Channel
	view *tunnelpb.LoginView
}

func (w *twoDoors) atOverlay(m sallyport.Method, appliance int) sitting {
	w.t.Helper()
	id := sallyport.LoginID(fmt.Sprintf("%032x", w.n.Add(1)))
	text, sig, err := w.ring.Statement(w.now())
	ok(w.t, err)
	kid, iat, pub, err := keyring.VerifyStatement(text, sig, "t1", w.ring.Fingerprint())
	ok(w.t, err)
	enc, ct, ch, err := sealed.SealCredentials(pub, "Passw0rd.1", sealed.Binding{Tenant: "t1", Integration: "vpn", Login: id, UserName: string(m),
		Origin: w.vpn.Origins[0], KeyID: kid, StatementIAT: iat})
	ok(w.t, err)
	view, err := w.overlays[appliance].Step(w.t.Context(), &tunnelpb.LoginStep{LoginId: string(id), IntegrationId: "vpn", Origin: w.vpn.Origins[0], RemoteAddr: "203.0.113.7",
		Event: &tunnelpb.LoginStep_Credentials{Credentials: &tunnelpb.SealedCredentials{UserName: string(m), Enc: enc, Ciphertext: ct, KeyId: kid, StatementIat: iat}}},
		func() error { return nil })
	ok(w.t, err)
	s := overlaySitting{w, id, ch, view}
	if view.GetPhase() == tunnelpb.Phase_PHASE_WAITING { // the phone was asked
		view, err = s.say(appliance, `{"action":"use_code"}`)
		ok(w.t, err)
		s.view = view
	}
	return s
}

func (s overlaySitting) say(appliance int, text string) (*tunnelpb.LoginView, error) {
	return s.w.overlays[appliance].Step(s.w.t.Context(), &tunnelpb.LoginStep{LoginId: string(s.id), State: s.view.GetState(),
		Event: &tunnelpb.LoginStep_Message{Message: sealed.Seal(s.ch.Up, []byte(text), sealed.MessageAAD(s.id, s.view.GetVersion()))}}, func() error { return nil })
}

func (s overlaySitting) types(appliance int, code string) (string, sitting) {
	text, err := json.Marshal(map[string]string{"action": "code", "code": code})
	if err != nil {
		return err.Error(), s
	}
	view, err := s.say(appliance, string(text))
	if err != nil {
		return "refused", s
	}
	s.view = view
	switch view.GetPhase() {
	case tunnelpb.Phase_PHASE_DONE:
		return "in", s
	case tunnelpb.Phase_PHASE_DENIED:
		return "denied", s
	}
	return "asked", s
}

type radiusSitting struct {
	w     *twoDoors
	query radius.Query
}

func (w *twoDoors) atRADIUS(m sallyport.Method, appliance int) sitting {
	w.t.Helper()
	q := radius.Query{Integration: &w.vpn, UserName: string(m), Passcode: "Passw0rd.1", CallingStation: fmt.Sprint("203.0.113.", w.n.Add(1)), NASIdentifier: "big-ip-1"}
	v := w.legacies[appliance].Verify(w.t.Context(), q)
	if len(v.Challenge) == 0 {
		w.t.Fatalf("%s: no challenge: %+v", m, v)
	}
	q.State = v.Challenge
	if m == sallyport.MethodCode { // the phone was asked
		q.Passcode = "code"
		q.State = w.legacies[appliance].Verify(w.t.Context(), q).Challenge
	}
	return radiusSitting{w, q}
}

func (s radiusSitting) types(appliance int, code string) (string, sitting) {
	s.query.Passcode = sallyport.Secret(code)
	v := s.w.legacies[appliance].Verify(s.w.t.Context(), s.query)
	switch {
	case v.Accept:
		return "in", s
	case len(v.Challenge) > 0:
		s.query.State = v.Challenge
		return "asked", s
	case strings.Contains(v.Message, "Too many wrong codes"):
		return "denied", s
	}
	return "refused", s
}
