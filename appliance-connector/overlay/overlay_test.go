package overlay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/overlay"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/internal/sealed"
)

const (
	tenant = "t1"
	origin = "https://vpn.hospital.test"
)

// scripted is an engine that asks for a code and takes "123456".
type scripted struct {
	began []login.Attempt
	lost  error // it ends before the directory is asked
	alone bool  // it decides without the directory
}

func (e *scripted) Begin(_ context.Context, a login.Attempt) (login.State, error) {
	if e.lost != nil {
		return login.State{}, e.lost
	}
	if !e.alone {
		if err := a.BindStarted(); err != nil {
			return login.State{}, errors.New("the directory was not asked")
		}
	}
	e.began = append(e.began, a)
	return login.State{Login: a.Login, Version: 1, Kind: sallyport.PromptCode, Front: a.Front, End: time.Now().Add(time.Hour).UnixMilli()}, nil
}
func (e *scripted) Wait(_ context.Context, s login.State) (login.State, error) { return s, nil }
func (e *scripted) Act(_ context.Context, s login.State, a login.Action) (login.State, error) {
	s.Version++
	switch {
	case a.Do == "cancel":
		s.Kind = sallyport.PromptDenied
	case a.Do == "code" && a.Code == "123456":
		s.Kind = sallyport.PromptDone
	case a.Do != "code":
		return s, sallyport.Errorf(sallyport.CodeInvalid, "no", nil)
	}
	if s.Remember != nil && s.Remember.On {
		s.Remember = &login.Remembering{Key: s.Remember.Key, ID: "QUFBQUFBQUFBQUFBQUFBQQ", Token: []byte("signed"), Replaces: "QkJCQkJCQkJCQkJCQkJCQg"}
	}
	return s, nil
}
func (e *scripted) Remember(_ context.Context, s login.State, on bool, key []byte) (login.State, error) {
	s.Version++
	s.Remember = &login.Remembering{On: on, Key: key}
	return s, nil
}
func (e *scripted) Prompt(s login.State) sallyport.Prompt {
	return sallyport.Prompt{Kind: s.Kind, Token: "the-token"}
}

type world struct {
	t      *testing.T
	now    time.Time
	ring   *keyring.Ring
	store  *store.Store
	engine *scripted
	door   *overlay.Door
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Now(), engine: &scripted{}}
	var err error
	w.ring, err = keyring.New(tenant)
	check(t, err)
	w.store, err = store.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), w.ring.Derive("store"))
	check(t, err)
	t.Cleanup(func() { check(t, w.store.Close()) })
	for _, id := range []sallyport.IntegrationID{"vpn", "other"} {
		_, err := w.store.PutIntegration(t.Context(), sallyport.Integration{ID: id, Kind: "f5-big-ip", Nickname: string(id), Secret: "secret-secret-secret-22",
			MessageAuthenticator: sallyport.MessageAuthenticatorOnceSeen,
			Clients:              []netip.Prefix{netip.MustParsePrefix(map[sallyport.IntegrationID]string{"vpn": "10.0.0.1/32", "other": "10.0.0.2/32"}[id])}, Origins: []string{origin}})
		check(t, err)
	}
	w.door = w.newDoor()
	return w
}

// newDoor is another appliance of the same enterprise.
func (w *world) newDoor() *overlay.Door {
	return &overlay.Door{Tenant: tenant, Engine: w.engine, Keys: w.ring, States: login.Keeper{Key: w.ring.Derive("state")},
		Integrations: w.store, Once: w.store, Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler)}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) seal(id sallyport.LoginID) (*tunnelpb.LoginStep, sealed.Channel) {
	w.t.Helper()
	text, sig, err := w.ring.Statement(w.now)
	check(w.t, err)
	kid, iat, pub, err := keyring.VerifyStatement(text, sig, tenant, w.ring.Fingerprint())
	check(w.t, err)
	enc, ct, ch, err := sealed.SealCredentials(pub, "Passw0rd.1", sealed.Binding{Tenant: tenant, Integration: "vpn", Login: id,
		UserName: "alice", Origin: origin, KeyID: kid, StatementIAT: iat})
	check(w.t, err)
	return &tunnelpb.LoginStep{LoginId: string(id), IntegrationId: "vpn", Origin: origin, RemoteAddr: "203.0.113.7",
		Event: &tunnelpb.LoginStep_Credentials{Credentials: &tunnelpb.SealedCredentials{UserName: "alice", Enc: enc, Ciphertext: ct, KeyId: kid, StatementIat: iat}}}, ch
}

func (w *world) step(d *overlay.Door, s *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
	return d.Step(w.t.Context(), s, func() error { return nil })
}

func open(t *testing.T, ch sealed.Channel, id sallyport.LoginID, v *tunnelpb.LoginView, phase string) map[string]any {
	t.Helper()
	text, err := sealed.Open(ch.Down, v.GetSealed(), sealed.ViewAAD(id, v.GetVersion(), phase))
	check(t, err)
	var p map[string]any
	check(t, json.Unmarshal(text, &p))
	return p
}

func say(t *testing.T, ch sealed.Channel, id sallyport.LoginID, v *tunnelpb.LoginView, text string) *tunnelpb.LoginStep {
	t.Helper()
	return &tunnelpb.LoginStep{LoginId: string(id), State: v.GetState(),
		Event: &tunnelpb.LoginStep_Message{Message: sealed.Seal(ch.Up, []byte(text), sealed.MessageAAD(id, v.GetVersion()))}}
}

func TestBrowserAndApplianceUnderstandEachOtherAndNobodyElseDoes(t *testing.T) {
	w := newWorld(t)
	s, ch := w.seal("l1")
	v, err := w.step(w.door, s)
	check(t, err)
	if a := w.engine.began[0]; a.Password != "Passw0rd.1" || a.UserName != "alice" || a.Place != "203.0.113.7" || a.Integration.ID != "vpn" {
		t.Errorf("the engine got %+v", a)
	}
	if p := open(t, ch, "l1", v, "input"); p["kind"] != "code" {
		t.Errorf("prompt %v", p)
	}
	v2, err := w.step(w.newDoor(), say(t, ch, "l1", v, `{"action":"code","code":"123456"}`)) // on another appliance
	check(t, err)
	if p := open(t, ch, "l1", v2, "done"); p["token"] != "the-token" {
		t.Errorf("prompt %v", p)
	}
	for _, b := range [][]byte{s.GetCredentials().GetCiphertext(), v.GetState(), v.GetSealed(), v2.GetState(), v2.GetSealed()} {
		if bytes.Contains(b, []byte("Passw0rd")) || bytes.Contains(b, []byte("the-token")) || bytes.Contains(b, []byte("alice")) {
			t.Error("a value that the cloud sees can be read")
		}
	}
}

func TestSealedPasswordWorksOnceAndOnlyWhereItWasSealedFor(t *testing.T) {
	w := newWorld(t)
	used, _ := w.seal("used")
	_, err := w.step(w.door, used)
	check(t, err)
	for name, change := range map[string]func(*tunnelpb.LoginStep){
		"sent again":          func(s *tunnelpb.LoginStep) { s.LoginId, s.Event = used.LoginId, used.Event },
		"another login":       func(s *tunnelpb.LoginStep) { s.LoginId = "l2" },
		"another user":        func(s *tunnelpb.LoginStep) { s.GetCredentials().UserName = "bob" },
		"another origin":      func(s *tunnelpb.LoginStep) { s.Origin = "https://evil.test" },
		"no origin":           func(s *tunnelpb.LoginStep) { s.Origin = "" },
		"another integration": func(s *tunnelpb.LoginStep) { s.IntegrationId = "other" },
		"unknown integration": func(s *tunnelpb.LoginStep) { s.IntegrationId = "nosuch" },
		"another statement":   func(s *tunnelpb.LoginStep) { s.GetCredentials().StatementIat-- },
		"unknown key":         func(s *tunnelpb.LoginStep) { s.GetCredentials().KeyId = "k" },
		"edited":              func(s *tunnelpb.LoginStep) { s.GetCredentials().Ciphertext[7] ^= 1 },
		"cut":                 func(s *tunnelpb.LoginStep) { s.GetCredentials().Ciphertext = s.GetCredentials().Ciphertext[:100] },
		"no user":             func(s *tunnelpb.LoginStep) { s.GetCredentials().UserName = "" },
		"huge user":           func(s *tunnelpb.LoginStep) { s.GetCredentials().UserName = string(make([]byte, 300)) },
	} {
		t.Run(name, func(t *testing.T) {
			before := len(w.engine.began)
			s, _ := w.seal("l1")
			change(s)
			if v, err := w.step(w.newDoor(), s); err == nil || sallyport.ErrorCode(err) == sallyport.CodeInternal {
				t.Errorf("got %v, %v", v, err)
			}
			if len(w.engine.began) != before {
				t.Error("the directory was asked")
			}
		})
	}
}

func TestSealedPasswordIsLeftToOthersUntilTheDirectoryIsAsked(t *testing.T) {
	w := newWorld(t)
	s, _ := w.seal("l1")
	w.engine.lost = errors.New("the appliance ends")
	if _, err := w.step(w.door, s); !errors.Is(err, w.engine.lost) {
		t.Fatal(err)
	}
	w.engine.lost = nil
	taken := errors.New("the cloud has turned to another appliance")
	if _, err := w.door.Step(t.Context(), s, func() error { return taken }); err == nil {
		t.Fatal("went on without the cloud's word")
	}
	if _, err := w.step(w.newDoor(), s); err != nil {
		t.Fatalf("the next appliance: %v", err)
	}
	if _, err := w.step(w.newDoor(), s); sallyport.ErrorCode(err) != sallyport.CodeInvalid || len(w.engine.began) != 1 {
		t.Errorf("asked %d times, %v", len(w.engine.began), err)
	}
}

func TestSealedPasswordIsUsedUpWithoutTheDirectoryToo(t *testing.T) {
	w := newWorld(t)
	w.engine.alone = true
	s, _ := w.seal("l1")
	_, err := w.step(w.door, s)
	check(t, err)
	if _, err := w.step(w.newDoor(), s); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
		t.Errorf("sent again: %v", err)
	}
}

func TestOldAndFutureStatementsAreRefusedAndClocksMayDiffer(t *testing.T) {
	for shift, want := range map[time.Duration]sallyport.Code{
		60 * time.Second:  "", // the other appliance's clock is ahead
		-60 * time.Second: "",
		16 * time.Minute:  "",
		17 * time.Minute:  sallyport.CodeExpired,
		-2 * time.Minute:  sallyport.CodeExpired,
	} {
		w := newWorld(t)
		s, _ := w.seal("l1")
		w.now = w.now.Add(shift)
		_, err := w.step(w.door, s)
		if got := sallyport.ErrorCode(err); got != want {
			t.Errorf("clock moved by %v: got %q, want %q", shift, got, want)
		}
	}
}

func TestMessagesHoldForTheirVersionOnly(t *testing.T) {
	w := newWorld(t)
	s, ch := w.seal("l1")
	v1, err := w.step(w.door, s)
	check(t, err)
	right := say(t, ch, "l1", v1, `{"action":"code","code":"123456"}`)
	v2, err := w.step(w.door, say(t, ch, "l1", v1, `{"action":"code","code":"000000"}`))
	check(t, err)
	replay := &tunnelpb.LoginStep{LoginId: "l1", State: v2.GetState(), Event: right.GetEvent()}
	for name, step := range map[string]*tunnelpb.LoginStep{
		"message of an older view": replay,
		"not JSON":                 say(t, ch, "l1", v1, `{`),
		"unknown action":           say(t, ch, "l1", v1, `{"action":"approve"}`),
		"not sealed":               {LoginId: "l1", State: v1.GetState(), Event: &tunnelpb.LoginStep_Message{Message: []byte(`{"action":"cancel"}`)}},
		"huge":                     {LoginId: "l1", State: v1.GetState(), Event: &tunnelpb.LoginStep_Message{Message: make([]byte, 2000)}},
		"no event":                 {LoginId: "l1", State: v1.GetState()},
		"state of another login":   {LoginId: "l2", State: v1.GetState(), Event: &tunnelpb.LoginStep_Wait{}},
	} {
		if _, err := w.step(w.door, step); err == nil || sallyport.ErrorCode(err) == sallyport.CodeInternal {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzStep(f *testing.F) {
	f.Add("l1", "vpn", origin, "alice", make([]byte, 65), make([]byte, 528), []byte("state"), []byte("message"))
	ring, err := keyring.New(tenant)
	if err != nil {
		f.Fatal(err)
	}
	s, err := store.Open(f.Context(), filepath.Join(f.TempDir(), "s.db"), ring.Derive("store"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	d := &overlay.Door{Tenant: tenant, Engine: &scripted{}, Keys: ring, States: login.Keeper{Key: ring.Derive("state")}, Integrations: s,
		Once: s, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	f.Fuzz(func(t *testing.T, id, integration, origin, user string, enc, ct, state, msg []byte) {
		for _, step := range []*tunnelpb.LoginStep{
			{LoginId: id, IntegrationId: integration, Origin: origin, Event: &tunnelpb.LoginStep_Credentials{
				Credentials: &tunnelpb.SealedCredentials{UserName: user, Enc: enc, Ciphertext: ct}}},
			{LoginId: id, State: state, Event: &tunnelpb.LoginStep_Message{Message: msg}},
			{LoginId: id, State: state, Event: &tunnelpb.LoginStep_Wait{}},
		} {
			if v, err := d.Step(t.Context(), step, func() error { return nil }); err == nil {
				t.Errorf("rubbish was taken: %v", v)
			}
		}
	})
}

func TestWhatABrowserSaysOfBeingRememberedReachesTheEngineAndTheCloud(t *testing.T) {
	w := newWorld(t)
	s, ch := w.seal("l1")
	id := []byte("AAAAAAAAAAAAAAAA")
	s.GetCredentials().UserAgent = "Mozilla/5.0 (Windows NT 10.0) Firefox/145.0"
	s.GetCredentials().Remembered = &tunnelpb.RememberedClaim{Id: id, Uses: 7, Signature: []byte("signature"), Token: []byte("token"),
		Finding: tunnelpb.RememberedFinding_REMEMBERED_NO_COOKIE}
	v, err := w.step(w.door, s)
	check(t, err)
	a := w.engine.began[0]
	if c := a.Remembered; a.Browser != "Firefox on Windows" || c == nil || c.ID != "QUFBQUFBQUFBQUFBQUFBQQ" || c.Uses != 7 || string(c.Signature) != "signature" ||
		string(c.Token) != "token" || c.Finding != login.RememberedNoCookie {
		t.Errorf("the engine got %q, %+v", a.Browser, c)
	}
	v, err = w.step(w.door, say(t, ch, "l1", v, `{"action":"remember","on":true,"key":"a2V5"}`))
	check(t, err)
	if v.GetRemembered() != nil {
		t.Error("the cloud is to keep a browser whose login is not done")
	}
	v, err = w.step(w.door, say(t, ch, "l1", v, `{"action":"code","code":"123456"}`))
	check(t, err)
	if r := v.GetRemembered(); !bytes.Equal(r.GetId(), id) || string(r.GetToken()) != "signed" || string(r.GetKey()) != "key" || string(r.GetReplaces()) != "BBBBBBBBBBBBBBBB" {
		t.Errorf("the cloud is to keep %+v", r)
	}
}

func TestAMalformedClaimIsNone(t *testing.T) {
	for name, c := range map[string]*tunnelpb.RememberedClaim{
		"none": nil, "short id": {Id: make([]byte, 15), Uses: 1}, "no id": {Uses: 1}, "never used": {Id: make([]byte, 16)},
	} {
		w := newWorld(t)
		s, ch := w.seal("l1")
		s.GetCredentials().Remembered = c
		v, err := w.step(w.door, s)
		check(t, err)
		if w.engine.began[0].Remembered != nil {
			t.Errorf("%s: %+v", name, w.engine.began[0].Remembered)
		}
		if _, err := w.step(w.door, say(t, ch, "l1", v, `{"action":"remember","on":true,"key":"%"}`)); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: key that is none: %v", name, err)
		}
	}
}
