package userpasskey_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/store/conformance"
	"github.com/sallyport/sallyport/appliance-connector/userpasskey"
)

const (
	page  = "https://vpn.hospital.example"
	other = "https://clinic.hospital.example"
	alice = sallyport.AccountName(`hospital\alice`)
	bob   = sallyport.AccountName(`hospital\bob`)
)

var start = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

type world struct {
	userpasskey.Keeper
	t     *testing.T
	store *store.Store
	now   time.Time
}

func newWorld(t *testing.T) *world {
	t.Parallel()
	w := &world{t: t, store: conformance.Open(t, "sqlite:"+filepath.Join(t.TempDir(), "store.db")), now: start}
	w.Keeper = userpasskey.Keeper{Store: w.store, Key: sallyport.Key(strings.Repeat("k", 32)), Now: func() time.Time { return w.now }}
	return w
}

// at is a ceremony of an account at a page; n makes its challenge another one.
func at(origin string, account sallyport.AccountName, n int) login.PasskeyCeremony {
	sum := sha256.Sum256(fmt.Appendf(nil, "challenge %d", n))
	return login.PasskeyCeremony{Account: account, UserName: string(account.User()), Origin: origin, Challenge: sum[:]}
}

func (w *world) browser(origin string) *authenticator {
	return &authenticator{t: w.t, origin: origin, transports: []string{"usb"}}
}

// enrol makes a passkey with an authenticator and returns its name.
func (w *world) enrol(a *authenticator, c login.PasskeyCeremony) string {
	w.t.Helper()
	return must[string](w.t)(w.Enrol(w.t.Context(), c, a.create(must[[]byte](w.t)(bytesOf(w.Offer(w.t.Context(), c))))))
}

func bytesOf[T ~[]byte](v T, err error) ([]byte, error) { return v, err }

func (w *world) ask(c login.PasskeyCeremony) []byte {
	w.t.Helper()
	return must[[]byte](w.t)(bytesOf(w.Ask(w.t.Context(), c)))
}

func (w *world) check(c login.PasskeyCeremony, answer []byte) string {
	w.t.Helper()
	return must[string](w.t)(w.Check(w.t.Context(), c, answer))
}

func (w *world) refused(c login.PasskeyCeremony, answer []byte, words string) {
	w.t.Helper()
	if why := w.check(c, answer); why == "" || !strings.Contains(why, words) {
		w.t.Errorf("got %q, want %q", why, words)
	}
}

func TestAPasskeyIsEnrolledAndUsed(t *testing.T) {
	w := newWorld(t)
	a := w.browser(page)
	options := must[[]byte](t)(bytesOf(w.Offer(t.Context(), at(page, alice, 1))))
	c := read(t, options)
	if c.RP.ID != "vpn.hospital.example" || c.User.Name != "alice" || len(a.decode(c.User.ID)) != 32 || bytes.Contains(a.decode(c.User.ID), []byte("alice")) || len(c.Exclude) != 0 ||
		c.Attestation != "none" || !bytes.Equal(a.decode(c.Challenge), at(page, alice, 1).Challenge) {
		t.Errorf("offered: %s", options)
	}
	if again := must[[]byte](t)(bytesOf(w.Offer(t.Context(), at(page, alice, 1)))); !bytes.Equal(again, options) {
		t.Error("the same ceremony is another question")
	}
	if theirs := read(t, must[[]byte](t)(bytesOf(w.Offer(t.Context(), at(page, bob, 1))))); theirs.User.ID == c.User.ID {
		t.Error("two accounts have one user handle")
	}
	made := a.create(options)
	for range 2 { // its answer was lost
		if name := must[string](t)(w.Enrol(t.Context(), at(page, alice, 1), made)); name != "Security key" {
			t.Errorf("named %q", name)
		}
	}
	second := w.browser(page)
	second.aaguid, second.unverified = "08987058cadc4b81b6e130de50dcbe96", true
	again := read(t, must[[]byte](t)(bytesOf(w.Offer(t.Context(), at(page, alice, 2)))))
	if len(again.Exclude) != 1 || again.User.ID != c.User.ID {
		t.Errorf("offered then: %+v", again)
	}
	if name := w.enrol(second, at(page, alice, 2)); name != "Windows Hello" {
		t.Errorf("named %q", name)
	}
	if name := w.enrol(w.browser(page), at(page, alice, 3)); name != "Security key 2" {
		t.Errorf("named %q", name)
	}
	for n, device := range []*authenticator{a, second, a} {
		w.now = w.now.Add(time.Minute)
		ceremony := at(page, alice, 10+n)
		question := w.ask(ceremony)
		if c := read(t, question); len(c.Allow) != 3 || c.UserVerification != "preferred" || c.RPID != "vpn.hospital.example" {
			t.Errorf("asked: %s", question)
		}
		if why := w.check(ceremony, device.get(question)); why != "" {
			t.Errorf("use %d: %s", n, why)
		}
	}
	list := must[[]sallyport.Passkey](t)(w.store.UserPasskeys(t.Context(), alice))
	i := slices.IndexFunc(list, func(p sallyport.Passkey) bool { return p.Name == "Security key" })
	if len(list) != 3 || !list[i].Used.Equal(w.now) || list[i].Host != "vpn.hospital.example" || list[i].Version != 3 {
		t.Errorf("kept: %+v", list)
	}
	standing, _, err := w.store.AccountStanding(t.Context(), alice)
	if err != nil || standing.Has.Passkeys != 3 || !standing.Has.PasskeyAt("vpn.hospital.example") || standing.Has.PasskeyAt("clinic.hospital.example") {
		t.Errorf("standing: %+v, %v", standing.Has, err)
	}
}

func TestWhatDoesNotHoldIsRefused(t *testing.T) {
	w := newWorld(t)
	a, theirs := w.browser(page), w.browser(page)
	w.enrol(a, at(page, alice, 1))
	w.enrol(theirs, at(page, bob, 1))
	here := at(page, alice, 2)
	question := w.ask(here)
	good := a.get(question)
	edited := func(old, new string) []byte {
		if !bytes.Contains(good, []byte(old)) {
			t.Fatalf("%s has no %q", good, old)
		}
		return bytes.Replace(good, []byte(old), []byte(new), 1)
	}

	phished := *a
	phished.origin = "https://vpn.hospital.example.evil.example"
	w.refused(here, phished.get(question), "origin")
	port := *a
	port.origin = page + ":8443"
	w.refused(here, port.get(question), "origin")
	w.refused(here, a.sign(a.keys[0], "evil.example", read(t, question).Challenge), "validating")
	w.refused(at(page, alice, 3), good, "challenge")
	w.refused(at(page, bob, 2), good, "not one of the user's")
	w.refused(here, theirs.sign(theirs.keys[0], "vpn.hospital.example", read(t, question).Challenge), "not one of the user's")
	posed := *theirs.keys[0] // bob's key, in alice's name
	posed.id = a.keys[0].id
	w.refused(here, theirs.sign(&posed, "vpn.hospital.example", read(t, question).Challenge), "")
	handled := *a.keys[0] // alice's key, as bob's
	handled.handle = theirs.keys[0].handle
	w.refused(here, a.sign(&handled, "vpn.hospital.example", read(t, question).Challenge), "handle")
	w.refused(here, edited(`"signature":"`, `"signature":"AA`), "")
	w.refused(here, edited(`public-key`, `password`), "")
	for _, text := range []string{"", "null", "{}", "[]", `{"id":""}`, strings.Repeat("[", 1<<15), `{"id":"` + strings.Repeat("A", 40<<10) + `"}`} {
		w.refused(here, []byte(text), "")
	}
	if _, err := w.Enrol(t.Context(), here, good); sallyport.ErrorCode(err) != sallyport.CodeDenied {
		t.Errorf("an answer to another question enrolled: %v", err)
	}
	// None of these has used anything up.
	if why := w.check(here, good); why != "" {
		t.Errorf("the right one: %s", why)
	}
	if list := must[[]sallyport.Passkey](t)(w.store.UserPasskeys(t.Context(), alice)); len(list) != 1 || !list[0].Copied.IsZero() {
		t.Errorf("kept: %+v", list)
	}
}

// What was answered once gives the same verdict for the same step, and none for another.
func TestAnAnswerIsOfUseForItsStepAlone(t *testing.T) {
	w := newWorld(t)
	a := w.browser(page)
	w.enrol(a, at(page, alice, 1))
	first := at(page, alice, 2)
	answer := a.get(w.ask(first))
	for range 2 {
		if why := w.check(first, answer); why != "" {
			t.Fatal(why)
		}
	}
	w.refused(at(page, alice, 3), answer, "challenge")
	second := at(page, alice, 3)
	if why := w.check(second, a.get(w.ask(second))); why != "" {
		t.Fatal(why)
	}
	// By now another one was used: the old answer, to the old step, looks like a copy and is refused.
	w.refused(first, answer, "copy")
}

func TestACopyIsNoticedAndEndsThePasskey(t *testing.T) {
	w := newWorld(t)
	a := w.browser(page)
	w.enrol(a, at(page, alice, 1))
	copied := *a.keys[0]
	thief := &authenticator{t: t, origin: page, keys: []*key{&copied}}
	for n, device := range []*authenticator{a, a} {
		if why := w.check(at(page, alice, 2+n), device.get(w.ask(at(page, alice, 2+n)))); why != "" {
			t.Fatal(why)
		}
	}
	w.now = start.Add(time.Hour)
	w.refused(at(page, alice, 5), thief.get(w.ask(at(page, alice, 5))), "copy")
	// From now on it is refused to whoever has it, and not asked for.
	if _, err := w.Ask(t.Context(), at(page, alice, 6)); sallyport.ErrorCode(err) != sallyport.CodeNotFound {
		t.Errorf("asked for a copied passkey: %v", err)
	}
	w.refused(at(page, alice, 6), a.sign(a.keys[0], "vpn.hospital.example", b64.EncodeToString(at(page, alice, 6).Challenge)), "not taken any more")
	list := must[[]sallyport.Passkey](t)(w.store.UserPasskeys(t.Context(), alice))
	if len(list) != 1 || !list[0].Copied.Equal(w.now) {
		t.Errorf("kept: %+v", list)
	}
	records := must[store.AuditPage](t)(w.store.AuditRecords(t.Context(), store.AuditQuery{Action: "user passkey.copied"}))
	if len(records.Records) != 1 || records.Records[0].Reason != "Its counter went back from 3: there may be a copy of it." {
		t.Errorf("recorded: %+v", records.Records)
	}
	standing, _, err := w.store.AccountStanding(t.Context(), alice)
	if err != nil || standing.Has.PasskeyAt("vpn.hospital.example") || !standing.Has.Enrolled() {
		t.Errorf("standing: %+v, %v", standing.Has, err)
	}
}

// Synchronised passkeys do not count: their counter is always zero.
func TestAPasskeyThatDoesNotCount(t *testing.T) {
	w := newWorld(t)
	a := w.browser(page)
	w.enrol(a, at(page, alice, 1))
	quiet := a.keys[0]
	quiet.counter = 1<<32 - 1 // the next is zero, and the one that was told at first is 1
	w.refused(at(page, alice, 2), a.get(w.ask(at(page, alice, 2))), "copy")

	b := w.browser(page)
	question := must[[]byte](t)(bytesOf(w.Offer(t.Context(), at(page, bob, 1))))
	w.zero(b, question, at(page, bob, 1))
	for n := range 3 {
		b.keys[0].counter = 1<<32 - 1
		if why := w.check(at(page, bob, 2+n), b.get(w.ask(at(page, bob, 2+n)))); why != "" {
			t.Errorf("use %d: %s", n, why)
		}
	}
}

// zero enrols with a counter of zero.
func (w *world) zero(a *authenticator, question []byte, c login.PasskeyCeremony) {
	w.t.Helper()
	a.still = true
	must[string](w.t)(w.Enrol(w.t.Context(), c, a.create(question)))
}

func TestAPasskeyWorksAtItsPageOnly(t *testing.T) {
	w := newWorld(t)
	a := w.browser(page)
	w.enrol(a, at(page, alice, 1))
	if _, err := w.Ask(t.Context(), at(other, alice, 2)); sallyport.ErrorCode(err) != sallyport.CodeNotFound {
		t.Errorf("asked at another page: %v", err)
	}
	a.origin = other
	w.refused(at(other, alice, 2), a.sign(a.keys[0], "clinic.hospital.example", b64.EncodeToString(at(other, alice, 2).Challenge)), "another page")
	if theirs := read(t, must[[]byte](t)(bytesOf(w.Offer(t.Context(), at(other, alice, 3))))); len(theirs.Exclude) != 0 || bytes.Equal(a.decode(theirs.User.ID), a.keys[0].handle) {
		t.Errorf("offered at another page: %+v", theirs)
	}
	for _, origin := range []string{"http://vpn.hospital.example", "https://192.0.2.1", "https://[2001:db8::1]", "", "https://", "https://a b", "null"} {
		if _, err := w.Offer(t.Context(), at(origin, alice, 4)); sallyport.ErrorCode(err) != sallyport.CodeUnsupported {
			t.Errorf("%q: %v", origin, err)
		}
	}
	short := at(page, alice, 5)
	short.Challenge = short.Challenge[:31]
	if _, err := w.Ask(t.Context(), short); err == nil {
		t.Error("a short challenge was taken")
	}
}

func TestTenPasskeysAndEachOnce(t *testing.T) {
	w := newWorld(t)
	a := w.browser(page)
	question := must[[]byte](t)(bytesOf(w.Offer(t.Context(), at(page, alice, 0))))
	last := at(page, alice, 99)
	full := a.create(must[[]byte](t)(bytesOf(w.Offer(t.Context(), last))))
	stolen := a.create(question)
	must[string](t)(w.Enrol(t.Context(), at(page, alice, 0), stolen))
	if _, err := w.Enrol(t.Context(), at(page, bob, 0), stolen); sallyport.ErrorCode(err) != sallyport.CodeConflict {
		t.Errorf("somebody else's passkey: %v", err)
	}
	for n := range sallyport.PasskeysMost - 1 {
		w.enrol(w.browser(page), at(page, alice, 1+n))
	}
	if _, err := w.Offer(t.Context(), at(page, alice, 50)); sallyport.ErrorCode(err) != sallyport.CodeConflict {
		t.Errorf("an eleventh was offered: %v", err)
	}
	if _, err := w.Enrol(t.Context(), last, full); sallyport.ErrorCode(err) != sallyport.CodeConflict {
		t.Errorf("an eleventh was enrolled: %v", err)
	}
}

// What is asked for travels in the state of the login, for which the cloud has 8 KiB.
func TestManyLongIDsAreStillAskedFor(t *testing.T) {
	w := newWorld(t)
	var a *authenticator
	for n := range sallyport.PasskeysMost - 1 {
		a = w.browser(page)
		a.idSize, a.transports = 256, []string{"usb", "nfc", "ble", "internal", "hybrid", "smart-card"}
		w.enrol(a, at(page, alice, n))
	}
	c := at(page, alice, 20)
	offered := must[[]byte](t)(bytesOf(w.Offer(t.Context(), c)))
	asked := w.ask(c)
	if len(offered) > 6<<10 || len(asked) > 6<<10 {
		t.Errorf("%d and %d octets", len(offered), len(asked))
	}
	if why := w.check(c, a.get(asked)); why != "" {
		t.Error(why)
	}
	a.idSize = 257
	a.keys = nil
	if _, err := w.Enrol(t.Context(), c, a.create(offered)); sallyport.ErrorCode(err) != sallyport.CodeDenied {
		t.Errorf("a longer id: %v", err)
	}
}

// An account that gets another name keeps its passkeys, whose authenticators have the handle of the old one.
func TestAPasskeyFollowsARename(t *testing.T) {
	w := newWorld(t)
	person := func(account sallyport.AccountName) {
		_, err := w.store.ApplyUsers(t.Context(), "d1", []store.UserChange{{GUID: strings.Repeat("a", 32), State: sallyport.UserActive, Account: account,
			DN: "CN=a,DC=hospital,DC=example", DisplayName: "A"}})
		must[any](t)(nil, err)
	}
	_, err := w.store.PutDomain(t.Context(), sallyport.Domain{ID: "d1", Name: "hospital.example", NetBIOS: "HOSPITAL", Servers: []string{"ldaps://dc1.hospital.example"},
		BindName: "svc@hospital.example", BindPassword: "a service password"})
	must[any](t)(nil, err)
	person(alice)
	a := w.browser(page)
	w.enrol(a, at(page, alice, 1))
	const renamed = sallyport.AccountName(`hospital\alison`)
	person(renamed)
	if why := w.check(at(page, renamed, 2), a.get(w.ask(at(page, renamed, 2)))); why != "" {
		t.Error(why)
	}
	if _, err := w.Ask(t.Context(), at(page, alice, 3)); sallyport.ErrorCode(err) != sallyport.CodeNotFound {
		t.Errorf("under the old name: %v", err)
	}
}

// Two logins at once with one passkey: whichever comes late is held against what the other one has left.
func TestTwoLoginsAtOnce(t *testing.T) {
	w := newWorld(t)
	a := w.browser(page)
	w.enrol(a, at(page, alice, 1))
	answer := a.get(w.ask(at(page, alice, 2)))
	var wg sync.WaitGroup
	whys := make([]string, 4)
	for i := range whys { // the same request, sent to several appliances
		wg.Go(func() {
			why, err := w.Check(t.Context(), at(page, alice, 2), answer)
			whys[i] = why
			if err != nil {
				whys[i] = err.Error()
			}
		})
	}
	wg.Wait()
	for _, why := range whys {
		if why != "" {
			t.Error(why)
		}
	}
	if list := must[[]sallyport.Passkey](t)(w.store.UserPasskeys(t.Context(), alice)); list[0].Version != 2 {
		t.Errorf("used %d times", list[0].Version-1)
	}
}
