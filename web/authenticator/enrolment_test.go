package authenticator_test

import (
	"context"
	"encoding/base32"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/devicetest"
	"github.com/sallyport/sallyport/test/harness"
)

func (b stories) aNewPhoneSaysWhatToDo(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	p.until(`document.getElementById("empty").checkVisibility()`)
	p.click("empty-add")
	p.says("add-title", "Add an account")
	p.write("link", "https://tokens.example/authenticator/#e=cut.off")
	p.click("use-link")
	p.says("add-error", "This is not an enrolment link. Copy the whole link, with everything after the # sign.")
}

func (b stories) enrolByOpeningTheLink(t *testing.T) {
	p := b.phone(t, newService(t), 390, 844)
	e := p.service.Invite("alice", "St. Mary's Hospital", devicetest.Accept)
	p.open(e.Link())
	p.says("enrol-title", "Add this account?")
	if hash := eval[string](p, `location.hash`); hash != "" {
		t.Error("the secret stays in the address bar")
	}
	if e.Device() != "" {
		t.Error("registered before the user said so")
	}
	p.until(`document.getElementById("device-name").value !== ""`)
	eval[string](p, `document.getElementById("device-name").value = "Alice\u200d's phone"`)
	p.click("enrol-confirm")
	p.says("enrol-title", "Account added")
	p.says("enrol-text", "You are “alice” at St. Mary's Hospital. When you sign in, this device asks you.")

	r, err := e.Registration(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if a := e.App(); a == nil || a.Version == "" || a.WithoutNumberMatching {
		t.Errorf("says of its app: %+v", a)
	}
	if r.Name != "Alice 's phone" || r.Platform != "web" || r.Push.Provider != deviceproto.ProviderNone {
		t.Errorf("registered as %q, %q, %q", r.Name, r.Platform, r.Push.Provider)
	}
}

// Somebody types what the page shows: wrong codes first, until it takes another serial number, and then the right one.
func (b stories) enrolBySerialNumberAndCode(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	e := p.service.Invite("alice", "St. Mary's Hospital", devicetest.Accept)
	p.click("empty-add")
	p.click("show-serial")
	p.says("serial-title", "Type these at the sign-in page")
	shown := func() (serial, code string) {
		p.until(`/^\w{6}-\w{6}-\w{6}$/.test(document.getElementById("serial").textContent) && /^\d{3} \d{3}$/.test(document.getElementById("serial-code").textContent)`)
		return eval[string](p, `document.getElementById("serial").textContent`), eval[string](p, `document.getElementById("serial-code").textContent.replace(" ", "")`)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	first, _ := shown()
	for range deviceproto.MaxWrongInvitations {
		if right, err := p.service.InviteSerial(ctx, e, first, "x00000"); right || err != nil {
			t.Fatalf("a wrong code: %v, %v", right, err)
		}
	}
	p.until(`document.getElementById("serial").textContent !== "` + first + `"`)
	serial, code := shown()
	if right, err := p.service.InviteSerial(ctx, e, serial, sallyport.Secret(code)); !right || err != nil {
		t.Fatalf("the right code: %v, %v", right, err)
	}
	p.says("enrol-title", "Add this account?")
	p.says("enrol-text", "Your serial number was typed for “alice” at St. Mary's Hospital. If that is you, add the account: from then on this device approves your sign-ins.")
	if e.Device() != "" {
		t.Error("registered before the user said so")
	}
	p.click("enrol-confirm")
	p.says("enrol-title", "Account added")
	compareCode(t, p, e, 0)
	if _, err := p.service.InviteSerial(ctx, e, serial, sallyport.Secret(code)); !errors.Is(err, devicetest.ErrHidden) {
		t.Errorf("the serial number is good for a second time: %v", err)
	}
}

func (b stories) tokenCodeIsOathtools(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	e := p.enrol("alice", "St. Mary's Hospital")
	compareCode(t, p, e, 0)
}

// compareCode compares what the page shows with oathtool, whose clock is put forward by ahead.
func compareCode(t *testing.T, p *phone, e *devicetest.Enrolment, ahead time.Duration) {
	t.Helper()
	seed := base32.StdEncoding.EncodeToString(e.Seed())
	oathtool := func() string {
		at := time.Now().Add(ahead).UTC().Format("2006-01-02 15:04:05 MST")
		out, err := exec.Command("oathtool", "--totp", "-b", "--now", at, seed).Output()
		if err != nil {
			t.Fatalf("oathtool: %v", err)
		}
		return strings.TrimSpace(string(out))
	}
	shown := func() string {
		return strings.ReplaceAll(eval[string](p, `document.querySelector("[data-device='`+string(e.Device())+`'] .digits").textContent`), " ", "")
	}
	// A step may end between the two looks, and the page looks once a second.
	for deadline := time.Now().Add(patience); ; {
		want := oathtool()
		if got := shown(); got == want {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("the page shows %s, oathtool %s", got, want)
		}
	}
}

func (b stories) theRightCodeInSpiteOfAWrongClock(t *testing.T) {
	s := newService(t)
	p := b.phone(t, s, 320, 640)
	s.SetAhead(10 * time.Minute)
	e := p.enrol("alice", "St. Mary's Hospital")
	compareCode(t, p, e, 10*time.Minute)
	c := p.ask(e, signIn, time.Minute)
	p.click("deny")
	p.says("result-title", "Denied")
	p.answered(c)
}

func (b stories) keysCannotBeReadOut(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	p.enrol("alice", "St. Mary's Hospital")
	got := eval[string](p, `(async () => {
		const db = await new Promise((r) => { indexedDB.open("sallyport-authenticator").onsuccess = (e) => r(e.target.result); });
		const [account] = await new Promise((r) => { db.transaction("accounts").objectStore("accounts").getAll().onsuccess = (e) => r(e.target.result); });
		const keys = Object.entries(account).filter(([, v]) => v instanceof CryptoKey);
		const out = [];
		for (const [name, key] of keys) {
			const exported = await crypto.subtle.exportKey(key.type === "private" ? "pkcs8" : "raw", key).then(() => "read out", () => "kept");
			out.push(name + " " + key.extractable + " " + exported);
		}
		return out.sort().join(", ") + "; proof " + ("registration" in account);
	})()`)
	want := "detailsKey false kept, seedKey false kept, signKey false kept; proof false"
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func (b stories) reloadKeepsTheAccount(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	e := p.enrol("alice", "St. Mary's Hospital")
	p.open(p.address())
	p.until(`document.querySelectorAll(".card").length === 1`)
	compareCode(t, p, e, 0)
	p.ask(e, signIn, time.Minute)
}

func (b stories) aSecondAccountBesideTheFirst(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	first := p.enrol("alice", "St. Mary's Hospital")

	second := p.service.Invite("a.liddell", "General Hospital", devicetest.Accept)
	p.click("add")
	p.says("add-title", "Add an account")
	p.write("link", second.Link())
	p.click("use-link")
	p.says("enrol-title", "Add this account?")
	p.click("enrol-confirm")
	p.says("enrol-title", "Account added")
	p.click("enrol-close")

	p.until(`document.querySelectorAll(".card").length === 2`)
	if first.Device() == second.Device() {
		t.Error("two accounts with one key: a token service could tell that they are one person")
	}
	compareCode(t, p, first, 0)
	compareCode(t, p, second, 0)
	p.ask(second, sallyport.ChallengeDetails{User: "a.liddell", Application: "Clinic", Digits: 2}, time.Minute)
	p.says("challenge-enterprise", "General Hospital")
}

func (b stories) enrolmentsThatDoNotSucceedLeaveNothing(t *testing.T) {
	s := newService(t)
	p := b.phone(t, s, 320, 640)
	expired := s.Invite("alice", "General", devicetest.Accept)
	expired.Expire()
	for _, c := range []struct {
		name, link, title, text string
	}{
		{"refused", s.Invite("alice", "General", devicetest.Refuse).Link(), "Not accepted", "Your company did not accept this device. Ask for a new link."},
		{"answered by somebody else", s.Invite("alice", "General", devicetest.Foreign).Link(), "Not accepted",
			"The answer was not from the company that made the link, so this device keeps nothing of it. Tell your company, and ask for a new link."},
		{"too late", expired.Link(), "Not added", "This link is too old. Ask your company for a new one."},
		{"unknown", neverMade(t, s.URL()), "Not added", "This link is not valid, or no longer. Ask your company for a new one."},
	} {
		t.Log(c.name)
		p.open(c.link)
		p.says("enrol-title", "Add this account?")
		p.click("enrol-confirm")
		p.says("enrol-title", c.title)
		p.says("enrol-text", c.text)
		p.click("enrol-close")
		p.until(`document.querySelectorAll(".card").length === 0 && document.getElementById("empty").checkVisibility()`)
	}
}

// neverMade is a link of this address that the service never made.
func neverMade(t *testing.T, base string) string {
	t.Helper()
	return string(deviceproto.Link{Base: base, Tenant: devicetest.Tenant, Enrolment: "unknown", Secret: make(sallyport.Key, deviceproto.SecretSize)}.Text())
}

func (b stories) aLinkThatAnotherDeviceUsed(t *testing.T) {
	s := newService(t)
	first := b.phone(t, s, 320, 640)
	second := stories{harness.StartChromium(t)}.phone(t, s, 320, 640)
	e := s.Invite("alice", "General", devicetest.Accept)
	for _, p := range []*phone{first, second} {
		p.open(e.Link())
		p.says("enrol-title", "Add this account?")
		p.click("enrol-confirm")
	}
	first.says("enrol-title", "Account added")
	second.says("enrol-text", "This link was already used on another device. If that was not you, tell your company; then ask for a new link.")
	first.open(e.Link())
	first.says("enrol-title", "Already added")
}

func (b stories) aLinkOfAnotherServiceIsOpenedThere(t *testing.T) {
	here, there := newService(t), newService(t)
	p := b.phone(t, here, 320, 640)
	e := there.Invite("alice", "General", devicetest.Accept)
	p.click("add")
	p.write("link", e.Link())
	p.click("use-link")
	p.says("enrol-title", "Another service")
	p.click("enrol-confirm")
	p.until(`location.origin === "` + there.URL() + `"`)
	p.says("enrol-title", "Add this account?")
	if e.Device() != "" {
		t.Error("registered across services")
	}
}

func (b stories) aReloadWhileTheCompanyChecks(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	e := p.service.Invite("alice", "General", devicetest.Hold)
	p.open(e.Link())
	p.says("enrol-title", "Add this account?")
	p.click("enrol-confirm")
	p.says("enrol-title", "Waiting for your company…")
	device := e.Device()

	p.open(p.address())
	p.until(`document.querySelector(".card .state").textContent === "Waiting for your company to accept this device…"`)
	e.Settle(devicetest.Accept)
	p.until(`document.querySelector(".card .enterprise").textContent === "General"`)
	if e.Device() != device {
		t.Error("a second device was made")
	}
	compareCode(t, p, e, 0)
}

func (b stories) removingAnAccountAsksFirst(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	e := p.enrol("alice", "General")
	p.do("open account", clickCSS(".card .more"))
	p.says("account-user", "alice")
	p.says("account-id", string(e.Device()))
	p.click("remove")
	p.says("remove-title", "Remove this account?")
	p.click("remove-back")
	p.says("account-user", "alice")
	p.click("remove")

	p.service.SetDown(true)
	p.click("remove-confirm")
	p.until(`document.getElementById("remove-error").textContent !== ""`)
	if !e.Known() {
		t.Error("removed without being told")
	}
	p.service.SetDown(false)
	p.click("remove-back")
	p.do("close", clickCSS("#account-dialog .close"))

	p.do("open account again", clickCSS(".card .more"))
	p.click("remove")
	p.click("remove-confirm")
	p.until(`document.querySelectorAll(".card").length === 0`)
	if e.Known() {
		t.Error("the service was not told")
	}
	p.open(p.address())
	p.until(`document.getElementById("empty").checkVisibility()`)
}

func (b stories) aDeviceThatTheCompanyRemovedSaysSo(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	e := p.enrol("alice", "General")
	e.Forget()
	p.open(p.address())
	p.until(`document.querySelector(".card .state").textContent.startsWith("This device is not accepted any more.")`)
}

func (b stories) withoutANetworkTheCodesStillWork(t *testing.T) {
	s := newService(t)
	p := b.phone(t, s, 320, 640)
	e := p.enrol("alice", "General")
	p.until(`navigator.serviceWorker.controller !== null`)
	s.Close()
	p.open(p.address())
	p.says("notice", "No connection. Token codes still work.")
	compareCode(t, p, e, 0)
}
