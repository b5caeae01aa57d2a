package conformance

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func settings(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	_, err := s.Setting(ctx, "greeting")
	wantCode(t, err, sallyport.CodeNotFound)
	for _, value := range []string{"hello", "", "two\nlines"} {
		must(t, s.SetSetting(ctx, "greeting", value))
		if got, err := s.Setting(ctx, "greeting"); err != nil || got != value {
			t.Errorf("got %q, %v; want %q", got, err, value)
		}
	}
}

func revisions(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	d := NewDevice("phone", alice)
	revision := func() int64 {
		t.Helper()
		r, err := s.Revision(ctx)
		must(t, err)
		return r
	}
	for _, step := range []struct {
		name  string
		do    func() error
		grows bool
	}{
		{"put integration", func() error { return putIntegration(ctx, s, NewIntegration("a", 1)) }, true},
		{"put device", func() error { return s.PutDevice(ctx, d) }, true},
		{"set setting", func() error { return s.SetSetting(ctx, "a", "b") }, true},
		{"claim", func() error { _, err := s.Claim(ctx, []byte("k"), start, start); return err }, false},
		{"use step", func() error { _, err := s.UseStep(ctx, d.ID, 1, ""); return err }, false},
		{"count failure", func() error { _, err := s.Failure(ctx, alice, "code", start, time.Hour); return err }, false},
		{"read", func() error { _, err := s.Integrations(ctx); return err }, false},
		{"add phone number", func() error { return s.AddPhone(ctx, NewPhone(1, alice)) }, true},
		{"delete phone number", func() error { return s.DeletePhone(ctx, alice, "p1") }, true},
		{"add passkey", func() error { return s.AddUserPasskey(ctx, NewPasskey(1, alice)) }, true},
		{"use passkey", func() error { return s.UseUserPasskey(ctx, NewPasskey(1, alice), start) }, false},
		{"end copied passkey", func() error { return s.EndCopiedPasskey(ctx, alice, "k1", "", start) }, true},
		{"delete passkey", func() error { return s.DeleteUserPasskey(ctx, alice, "k1") }, true},
		{"delete device", func() error { return s.DeleteDevice(ctx, d.ID) }, true},
		{"delete integration", func() error { return s.DeleteIntegration(ctx, "a", 0) }, true},
	} {
		before := revision()
		must(t, step.do())
		if after := revision(); (after > before) != step.grows || after < before {
			t.Errorf("%s: the revision went from %d to %d", step.name, before, after)
		}
	}
	before := revision()
	wantCode(t, s.DeleteDevice(ctx, d.ID), sallyport.CodeNotFound)
	if after := revision(); after != before {
		t.Errorf("a change that failed raised the revision")
	}
}

func watched(t *testing.T, e Engine) {
	address := e.Fresh(t)
	a, b := Open(t, address), Open(t, address)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	heard := make(chan int64, 100)
	done := make(chan error, 1)
	go func() { done <- a.Watch(ctx, 20*time.Millisecond, func(r int64) { heard <- r }) }()
	first := next(t, heard)
	must(t, b.SetSetting(ctx, "a", "b"))
	if r := next(t, heard); r <= first {
		t.Errorf("heard of revision %d after %d", r, first)
	}
	must(t, b.PutDevice(ctx, NewDevice("phone", alice)))
	next(t, heard)
	cancel()
	if err := <-done; err != context.Canceled {
		t.Errorf("watch ended with %v", err)
	}
	if len(heard) != 0 {
		t.Errorf("heard of %d changes that nobody made", len(heard))
	}
}

func next(t *testing.T, heard <-chan int64) int64 {
	t.Helper()
	select {
	case r := <-heard:
		return r
	case <-time.After(20 * time.Second):
		t.Fatal("heard nothing")
		return 0
	}
}

// openedAgain opens a new database from many places at once, as an appliance and its command line
// do, and later once more.
func openedAgain(t *testing.T, e Engine) {
	address := e.Fresh(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := store.Open(t.Context(), address, Master())
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			if err := s.Ping(t.Context()); err != nil {
				t.Errorf("ping: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	wg.Wait()
	s, err := store.Open(t.Context(), address, Master())
	must(t, err)
	must(t, putIntegration(t.Context(), s, NewIntegration("a", 1)))
	revision, err := s.Revision(t.Context())
	must(t, err)
	must(t, s.Close())
	_, err = s.Integrations(t.Context())
	wantCode(t, err, sallyport.CodeUnavailable)
	s = Open(t, address)
	if again, err := s.Revision(t.Context()); err != nil || again != revision {
		t.Errorf("revision %d, %v after opening again; want %d", again, err, revision)
	}
	if i, err := s.Integration(t.Context(), "a"); err != nil || i.Secret != "radius-secret-of-a" {
		t.Errorf("got %+v, %v", i, err)
	}
}

func wrongMaster(t *testing.T, e Engine) {
	address := e.Fresh(t)
	Open(t, address)
	wrong := Master()
	wrong[31] ^= 1
	_, err := store.Open(t.Context(), address, wrong)
	wantCode(t, err, sallyport.CodeDenied)
	_, err = store.Open(t.Context(), address, wrong[:31])
	wantCode(t, err, sallyport.CodeInvalid)
	Open(t, address) // the attempt spoiled nothing
}

func nothingReadable(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	i, d := NewIntegration("a", 1), NewDevice("phone", alice)
	enrolment := store.Enrolment{ID: "e1", Account: alice, Secret: sallyport.Key("enrolment-secret-of-32-octets-..."),
		Created: start, Expires: start.Add(time.Hour)}
	invite := store.Invite{ID: "i1", Secret: "JOIN-CODE-12345", Created: start, Expires: start.Add(time.Hour)}
	must(t, putIntegration(ctx, s, i))
	must(t, s.PutDevice(ctx, d))
	must(t, s.PutEnrolment(ctx, enrolment))
	must(t, s.PutInvite(ctx, invite))
	token := NewOTPToken("FT-1")
	importTokens(t, s, token)
	phone := NewPhone(1, alice)
	must(t, s.AddPhone(ctx, phone))
	dump := e.Dump(t, address)
	if !bytes.Contains(dump, []byte(i.Nickname)) || !holds(dump, d.PublicKey) {
		t.Fatal("the dump does not even hold what is public")
	}
	for name, secret := range map[string][]byte{
		"RADIUS secret": []byte(i.Secret), "seed": d.Seed, "OTP seed": token.Seed, "phone number": []byte(phone.Number), "details key": d.DetailsKey,
		"enrolment secret": enrolment.Secret, "invitation secret": []byte(invite.Secret), "master key": Master(),
	} {
		if holds(dump, secret) {
			t.Errorf("the %s stands in the dump", name)
		}
	}
}

// holds looks for a value as itself, in hex and in base64.
func holds(dump, value []byte) bool {
	return bytes.Contains(dump, value) ||
		bytes.Contains(bytes.ToLower(dump), []byte(hex.EncodeToString(value))) ||
		bytes.Contains(dump, []byte(base64.StdEncoding.EncodeToString(value)[:len(value)]))
}

func contextEnds(t *testing.T, e Engine) {
	s := Open(t, e.Fresh(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Claim(ctx, []byte("k"), start, start)
	wantCode(t, err, sallyport.CodeUnavailable)
	_, err = s.Integrations(ctx)
	wantCode(t, err, sallyport.CodeUnavailable)
	wantCode(t, s.Ping(ctx), sallyport.CodeUnavailable)
	first, err := s.Claim(t.Context(), []byte("k"), start, start)
	if err != nil || !first {
		t.Errorf("the cancelled call claimed the key: %v, %v", first, err)
	}
}

// silence makes every write wait, and wants calls to give up by themselves and to work again after.
func silence(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s := Open(t, address)
	release := e.Block(t, address)
	began := time.Now()
	_, err := s.Claim(t.Context(), []byte("k"), start, start)
	wantCode(t, err, sallyport.CodeUnavailable)
	if took := time.Since(began); took < time.Second || took > 20*time.Second {
		t.Errorf("gave up after %v; want about 2 s", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	wantCode(t, s.SetSetting(ctx, "a", "b"), sallyport.CodeUnavailable)
	release()
	if first, err := s.Claim(t.Context(), []byte("k"), start, start); err != nil || !first {
		t.Errorf("after the silence: %v, %v", first, err)
	}
}

// edited plays somebody who can write to the database but has no master key.
func edited(t *testing.T, e Engine) {
	for name, c := range map[string]struct {
		statement string
		read      func(context.Context, *store.Store) error
	}{
		"secret of another integration": {
			`UPDATE integrations SET sealed_secret = (SELECT sealed_secret FROM integrations WHERE id = 'b') WHERE id = 'a'`,
			func(ctx context.Context, s *store.Store) error { _, err := s.Integrations(ctx); return err },
		},
		"TLS settings of another integration": {
			`UPDATE integrations SET sealed_tls = (SELECT sealed_tls FROM integrations WHERE id = 'b') WHERE id = 'a'`,
			func(ctx context.Context, s *store.Store) error { _, err := s.Integrations(ctx); return err },
		},
		"details key for a seed": {
			`UPDATE devices SET sealed_seed = sealed_details_key`,
			func(ctx context.Context, s *store.Store) error { _, err := s.Devices(ctx, alice); return err },
		},
		"a phone given to another account": {
			`UPDATE devices SET account = 'hospital\bob'`,
			func(ctx context.Context, s *store.Store) error { _, err := s.Devices(ctx, bob); return err },
		},
		"another public key": {
			`UPDATE devices SET public_key = sealed_seed`,
			func(ctx context.Context, s *store.Store) error { _, err := s.Devices(ctx, alice); return err },
		},
		"an enrolment for another account": {
			`UPDATE enrolments SET account = 'hospital\bob'`,
			func(ctx context.Context, s *store.Store) error { _, err := s.Enrolment(ctx, "e1"); return err },
		},
		"a cut secret": {
			`UPDATE invites SET sealed_secret = (SELECT claim FROM claims)`,
			func(ctx context.Context, s *store.Store) error { _, err := s.Invites(ctx, start); return err },
		},
	} {
		address := e.Fresh(t)
		s, ctx := Open(t, address), t.Context()
		must(t, putIntegration(ctx, s, NewIntegration("a", 1)))
		second := NewIntegration("b", 2)
		second.TLS.Fingerprints = []string{fingerprintOf("0a")}
		must(t, putIntegration(ctx, s, second))
		must(t, s.PutDevice(ctx, NewDevice("phone", alice)))
		must(t, s.PutEnrolment(ctx, store.Enrolment{ID: "e1", Account: alice, Secret: Master(), Created: start, Expires: start.Add(time.Hour)}))
		must(t, s.PutInvite(ctx, store.Invite{ID: "i1", Secret: "x", Created: start, Expires: start.Add(time.Hour)}))
		_, err := s.Claim(ctx, []byte("short"), start, start)
		must(t, err)
		must(t, c.read(ctx, s))
		e.Exec(t, address, c.statement)
		if err := c.read(ctx, s); sallyport.ErrorCode(err) != sallyport.CodeInternal {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func newer(t *testing.T, e Engine) {
	address := e.Fresh(t)
	Open(t, address)
	e.Exec(t, address, `INSERT INTO migrations (version, name) VALUES (9999, 'future')`)
	_, err := store.Open(t.Context(), address, Master())
	wantCode(t, err, sallyport.CodeUnsupported)
}
