package selfservice_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func TestSomebodySignsInSeesAndDeletes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.enrolled(alice, "Alice’s old phone")
	w.forward(time.Minute)
	second := w.enrolled(alice, "Alice’s phone")
	bobs := w.enrolled(`hospital\bob`, "Bob’s phone")
	c := w.client()
	if a := c.post("/me/sign-in", "name", "alice", "password", "wrong"); a.status != http.StatusForbidden || !strings.Contains(a.body, "not right") {
		t.Fatalf("wrong password: %d %s", a.status, a.body)
	}
	c.post("/me/sign-in", "name", "alice", "password", password)
	if a := c.get("/me"); strings.Contains(a.body, "What you have") {
		t.Fatal("the password alone shows what somebody has")
	}
	for _, path := range []string{"/me/delete?what=device&id=" + string(first.ID)} {
		if a := c.get(path); strings.Contains(a.body, "Delete this?") {
			t.Errorf("%s is shown before the second factor", path)
		}
	}
	c.post("/me/act", "do", "use", "method", "code")
	if a := c.post("/me/act", "do", "code", "code", "000000"); !strings.Contains(a.body, "was not right") {
		t.Errorf("wrong code: %s", a.body)
	}
	before := c.cookie()
	a := c.post("/me/act", "do", "code", "code", w.code(second))
	if !strings.Contains(a.body, "Alice’s old phone") || strings.Contains(a.body, "Bob’s phone") {
		t.Fatalf("list: %s", a.body)
	}
	in := c.cookie()

	// Of others nothing can be deleted, and nothing without the form's token or from another page.
	if a := c.post("/me/delete", "what", "device", "id", string(bobs.ID)); a.status != http.StatusNotFound {
		t.Errorf("somebody else's phone: %d", a.status)
	}
	if a := c.send(http.MethodPost, "/me/delete", url.Values{"what": {"device"}, "id": {string(first.ID)}}.Encode()); a.status != http.StatusForbidden {
		t.Errorf("without the form's token: %d", a.status)
	}
	if a := c.get("/me/delete?what=device&id=" + string(first.ID)); !strings.Contains(a.body, "go on working") {
		t.Errorf("question: %s", a.body)
	}
	if a := c.post("/me/delete", "what", "device", "id", string(first.ID)); a.path != "/me?done=deleted" || strings.Contains(a.body, "old phone") {
		t.Errorf("delete: %s %s", a.path, a.body)
	}
	if a := c.get("/me/delete?what=device&id=" + string(second.ID)); !strings.Contains(a.body, "This is your last second factor. Without it you cannot log in from outside.") {
		t.Errorf("question of the last one: %s", a.body)
	}
	if d, err := w.store.Devices(t.Context(), `hospital\bob`); err != nil || len(d) != 1 {
		t.Errorf("bob's phone: %v %v", d, err)
	}
	records, err := w.store.AuditRecords(t.Context(), store.AuditQuery{})
	check(t, err)
	found := false
	for _, r := range records.Records {
		found = found || r.Action == "device.delete" && r.Actor.Kind == sallyport.ActorUser && r.Actor.Name == string(alice)
	}
	if !found {
		t.Error("the audit trail does not say that alice deleted it")
	}

	// What the browser carried before is worth nothing: neither the step that was taken, nor the session after its end.
	other := w.client()
	other.carry(before)
	if a := other.post("/me/act", "do", "code", "code", w.code(second)); a.status != http.StatusConflict {
		t.Errorf("a step is taken twice: %d", a.status)
	}
	c.post("/me/sign-out")
	other.carry(in)
	if a := other.get("/me"); strings.Contains(a.body, "What you have") {
		t.Error("a session goes on after its end")
	}
}

func TestASessionEndsByItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client()
	c.in(w.enrolled(alice, "Alice’s phone"))
	w.forward(15 * time.Minute)
	if a := c.get("/me"); strings.Contains(a.body, "What you have") {
		t.Error("it goes on")
	}
}

func TestThePageIsForThoseInside(t *testing.T) {
	t.Parallel()
	w := newWorld(t, netip.MustParsePrefix("10.0.0.0/8"))
	if a := w.client().get("/me"); a.status != http.StatusForbidden || !strings.Contains(a.body, "inside the network") || strings.Contains(a.body, "<form") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestWhoHasEnrolledNothingEnrolsOnSiteWhereTheRuleSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client()
	if a := c.post("/me/sign-in", "name", "alice", "password", password); a.status != http.StatusForbidden || !strings.Contains(a.body, "no second factor") {
		t.Fatalf("without the rule: %d %s", a.status, a.body)
	}
	w.rule(sallyport.UnenrolledOther, true)
	if a := c.post("/me/sign-in", "name", "alice", "password", password); !strings.Contains(a.body, "Nothing yet") {
		t.Fatalf("with the rule: %s", a.body)
	}
	if a := c.post("/me/add", "kind", "app"); !strings.Contains(a.body, "data:image/png;base64,") || w.invited != alice {
		t.Fatalf("no picture: %s", a.body)
	}
	w.follows <- w.phone(alice, "New phone").Device
	if a := c.post("/me/check"); a.path != "/me?done=added" || !strings.Contains(a.body, "New phone") {
		t.Errorf("%s %s", a.path, a.body)
	}
	again := w.client()
	again.post("/me/sign-in", "name", "alice", "password", password)
	if a := again.get("/me"); strings.Contains(a.body, "What you have") {
		t.Error("the password alone is enough although the app is enrolled")
	}
}

func TestAPhoneIsReplacedOnceTheNewOneIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.enrolled(alice, "Old phone")
	c := w.client()
	c.in(old)
	w.forward(time.Second)
	c.post("/me/add", "kind", "app", "replaces", string(old.ID))
	if d, err := w.store.Devices(t.Context(), alice); err != nil || len(d) != 1 {
		t.Fatalf("before the new one is confirmed: %v %v", d, err)
	}
	w.follows <- w.phone(alice, "New phone").Device
	c.post("/me/check")
	if d, err := w.store.Devices(t.Context(), alice); err != nil || len(d) != 1 || d[0].Name != "New phone" {
		t.Errorf("%v %v", d, err)
	}
}

func TestTriesAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client()
	for range 5 {
		c.post("/me/sign-in", "name", "alice", "password", "wrong")
	}
	if a := c.post("/me/sign-in", "name", "Alice", "password", password); a.status != http.StatusTooManyRequests {
		t.Errorf("%d", a.status)
	}
}

func TestATokenInTheHandIsClaimed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seed := sallyport.Key("12345678901234567890") // RFC 4226, appendix D
	_, err := w.store.ImportOTPTokens(t.Context(), []sallyport.OTPToken{{Serial: "FT-1", Kind: sallyport.HOTP, Algorithm: sallyport.SHA1, Digits: 6, Seed: seed}})
	check(t, err)
	c := w.client()
	c.in(w.enrolled(alice, "Alice’s phone"))
	c.post("/me/add", "kind", "otp")
	if a := c.post("/me/act", "do", "enrol", "serial", "FT-1", "code1", "111111", "code2", "222222"); !strings.Contains(a.body, "This was not right") {
		t.Errorf("wrong codes: %s", a.body)
	}
	if a := c.post("/me/act", "do", "enrol", "serial", "FT-1", "code1", "755224", "code2", "287082"); a.path != "/me?done=added" || !strings.Contains(a.body, "Token FT-1") {
		t.Fatalf("%s %s", a.path, a.body)
	}
	page, err := w.store.OTPTokens(t.Context(), store.OTPTokenQuery{Account: alice})
	check(t, err)
	if len(page.Tokens) != 1 {
		t.Fatal(page.Tokens)
	}
	if a := c.post("/me/delete", "what", "token", "id", string(page.Tokens[0].ID)); strings.Contains(a.body, "FT-1") {
		t.Errorf("after deleting: %s", a.body)
	}
}

func TestAPhoneNumberIsAddedByTheCodeThatIsSentThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client()
	c.in(w.enrolled(alice, "Alice’s phone"))
	c.post("/me/add", "kind", "phone")
	if a := c.post("/me/act", "do", "enrol", "number", "+447700900123"); !strings.Contains(a.body, "ends in 23") || strings.Contains(a.body, "7700900123") {
		t.Fatalf("%s", a.body)
	}
	w.mu.Lock()
	sent := w.sent
	w.mu.Unlock()
	if a := c.post("/me/act", "do", "enrol", "code", "000000"); !strings.Contains(a.body, "was not right") {
		t.Errorf("a wrong code: %s", a.body)
	}
	if a := c.post("/me/act", "do", "enrol", "code", sent); !strings.Contains(a.body, "Number that ends in 23") || strings.Contains(a.body, "7700900123") {
		t.Errorf("%s", a.body)
	}
}
