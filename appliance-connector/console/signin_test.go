package console

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// company is a directory of two people.
type company struct {
	groups map[string][]string // group: account names
	down   bool
}

func (c *company) Verify(_ context.Context, typed string, password sallyport.Secret) (sallyport.Account, bool, error) {
	if c.down {
		return sallyport.Account{}, false, sallyport.Errorf(sallyport.CodeUnavailable, "The directory does not answer.", nil)
	}
	name := strings.TrimPrefix(strings.ToLower(typed), `hospital\`)
	if password != goodPassword || name != "dora" && name != "erik" && name != "olive" {
		return sallyport.Account{}, false, nil
	}
	return sallyport.Account{Name: sallyport.NewAccountName("HOSPITAL", name), DN: "CN=" + name, DisplayName: name + " of the directory"}, true, nil
}

func (c *company) Member(_ context.Context, account sallyport.Account, _ sallyport.DomainID, group string) (bool, error) {
	return slices.Contains(c.groups[group], string(account.Name)), nil
}

var number = regexp.MustCompile(`[A-Za-z0-9_-]{20,}|value="[^"]*"`)

// Whatever is wrong, the page is the same, and the answer comes after the same time.
func TestRefusalsTellNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{directory: &company{}})
	w.someone("olive", sallyport.RoleSuper, true)
	off := w.someone("otto", sallyport.RoleHelpDesk, true)
	off.Disabled = true
	if _, _, err := w.admin.PutAdministrator(t.Context(), sallyport.Actor{Kind: sallyport.ActorLocal, Role: sallyport.RoleSuper}, off); err != nil {
		t.Fatal(err)
	}
	var pages []string
	for _, try := range [][2]string{{"olive", "wrong"}, {"nobody", "wrong"}, {"otto", goodPassword}, {"otto", "wrong"}, {"dora", goodPassword}, {"dora", "wrong"}, {`hospital\olive`, goodPassword}} {
		before := len(w.slept)
		a := w.client().post("/sign-in", "name", try[0], "password", try[1])
		if a.StatusCode != http.StatusForbidden || a.Header.Get("Set-Cookie") != "" || !strings.Contains(a.body, "Name or password is not right.") {
			t.Errorf("%v: %d %s", try, a.StatusCode, a.Header.Get("Set-Cookie"))
		}
		pages = append(pages, number.ReplaceAllString(a.body, ""))
		if slept := w.slept[before:]; len(slept) != 1 || slept[0] != time.Second {
			t.Errorf("%v: waited %v", try, slept)
		}
	}
	for _, p := range pages[1:] {
		if p != pages[0] {
			t.Errorf("two refusals differ:\n%s\n%s", pages[0], p)
		}
	}
}

func TestGuessingIsSlowedMoreAndMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	w.someone("hugo", sallyport.RoleHelpDesk, true)
	c := w.client()
	try := func(name, password string) int {
		return c.post("/sign-in", "name", name, "password", password).StatusCode
	}
	w.clock.forward(time.Hour)
	begun := w.clock.Now()
	looked := 0
	for w.clock.Now().Sub(begun) < time.Hour {
		if try("olive", "wrong") == http.StatusForbidden {
			looked++
		}
		w.clock.forward(5 * time.Second)
	}
	if looked < 10 || looked > 25 {
		t.Errorf("%d guesses of 720 in an hour were looked at", looked)
	}
	if code := try("olive", goodPassword); code != http.StatusTooManyRequests {
		t.Errorf("the right password among guesses: %d", code)
	}
	if code := try("nobody-at-all", "wrong"); code != http.StatusForbidden {
		t.Errorf("another name: %d", code)
	}
	if code := try("hugo", goodPassword); code != http.StatusSeeOther {
		t.Errorf("somebody else from the same address: %d", code)
	}
	w.clock.forward(25 * time.Hour)
	if code := try("OLIVE", goodPassword); code != http.StatusSeeOther {
		t.Errorf("a day later: %d", code)
	}
}

// Names that nobody has are limited as well: else the limit would tell who exists.
func TestUnknownNamesAreLimitedToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	w.clock.forward(time.Hour)
	for _, name := range []string{"olive", "nobody"} {
		var codes []int
		for range 8 {
			codes = append(codes, w.client().post("/sign-in", "name", name, "password", "wrong").StatusCode)
		}
		if want := []int{403, 403, 403, 403, 403, 429, 429, 429}; !slices.Equal(codes, want) {
			t.Errorf("%s: %v", name, codes)
		}
	}
}

func TestCodesCannotBeGuessedOrUsedTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	used := w.code()
	other := w.client()
	if a := other.post("/sign-in", "name", "olive", "password", goodPassword); a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.StatusCode)
	}
	if a := other.post("/sign-in/code", "csrf", other.csrf("/sign-in/factor"), "code", used); a.StatusCode != http.StatusForbidden {
		t.Errorf("a code for the second time: %d", a.StatusCode)
	}
	w.clock.forward(2 * time.Minute)
	for range 4 {
		if a := other.post("/sign-in/code", "csrf", other.csrf("/sign-in/factor"), "code", "000000"); a.StatusCode != http.StatusForbidden {
			t.Errorf("a wrong code: %d", a.StatusCode)
		}
	}
	if a := other.post("/sign-in/code", "csrf", other.csrf("/sign-in/factor"), "code", w.code()); a.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the right code after five wrong ones: %d", a.StatusCode)
	}
	if a := c.get("/"); a.StatusCode != http.StatusOK {
		t.Errorf("guesses elsewhere end a session: %d", a.StatusCode)
	}
}

func TestRecoveryCodesWorkOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	a := c.post("/account/recovery", "csrf", c.csrf("/account"))
	codes := regexp.MustCompile(`<li><code>([0-9A-Z-]+)</code>`).FindAllStringSubmatch(a.body, -1)
	if len(codes) != 10 {
		t.Fatalf("%d codes", len(codes))
	}
	for i, want := range []int{http.StatusSeeOther, http.StatusForbidden} {
		other := w.client()
		if a := other.post("/sign-in", "name", "olive", "password", goodPassword); a.StatusCode != http.StatusSeeOther {
			t.Fatal(a.StatusCode)
		}
		if a := other.post("/sign-in/code", "csrf", other.csrf("/sign-in/factor"), "code", " "+strings.ToLower(codes[3][1])); a.StatusCode != want {
			t.Errorf("time %d: %d", i+1, a.StatusCode)
		}
	}
}

func TestPeopleOfTheDirectory(t *testing.T) {
	t.Parallel()
	dir := &company{groups: map[string][]string{"CN=Help,DC=hospital,DC=test": {`hospital\dora`, `hospital\erik`}, "CN=Admins,DC=hospital,DC=test": {`hospital\erik`}}}
	w := newWorld(t, worldOptions{directory: dir})
	w.someone("olive", sallyport.RoleSuper, true)
	domain := w.domain()
	root := sallyport.Actor{Kind: sallyport.ActorLocal, Role: sallyport.RoleSuper}
	set := func(grants ...sallyport.RoleGrant) {
		t.Helper()
		_, version, err := w.admin.RoleGrants(t.Context(), root)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.admin.SetRoleGrants(t.Context(), root, grants, version); err != nil {
			t.Fatal(err)
		}
	}
	signIn := func(name string) (*admin.Session, error) {
		return w.admin.SignIn(t.Context(), admin.SignInRequest{Name: name, Password: goodPassword, Visitor: admin.Visitor{Address: "192.0.2.1"}})
	}
	set(sallyport.RoleGrant{Domain: domain, Group: "CN=Admins,DC=hospital,DC=test", Role: sallyport.RoleAdmin},
		sallyport.RoleGrant{Domain: domain, Group: "CN=Help,DC=hospital,DC=test", Role: sallyport.RoleHelpDesk})
	for name, role := range map[string]sallyport.Role{"dora": sallyport.RoleHelpDesk, `HOSPITAL\erik`: sallyport.RoleAdmin} {
		s, err := signIn(name)
		if err != nil || s.Administrator().Role != role || s.Stage() != admin.StageEnrol {
			t.Fatalf("%s: %v %+v", name, err, s)
		}
	}
	dir.groups["CN=Admins,DC=hospital,DC=test"] = nil
	if s, err := signIn("erik"); err != nil || s.Administrator().Role != sallyport.RoleHelpDesk {
		t.Errorf("out of the first group: %v", err)
	}
	set()
	if _, err := signIn("erik"); sallyport.ErrorCode(err) != sallyport.CodeDenied {
		t.Errorf("out of every group: %v", err)
	}
	dir.down = true
	if _, err := signIn("dora"); sallyport.ErrorCode(err) != sallyport.CodeDenied {
		t.Errorf("with the directory down: %v", err)
	}
	if _, err := signIn("olive"); err != nil {
		t.Errorf("a local administrator with the directory down: %v", err)
	}
}

func TestTheSetupLinkMakesOneAdministrator(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	c := w.client()
	if a := c.get("/"); a.Header.Get("Location") != "/sign-in" {
		t.Error(a.Header.Get("Location"))
	}
	if a := c.get("/sign-in"); a.Header.Get("Location") != "/setup" {
		t.Error(a.Header.Get("Location"))
	}
	code, err := w.admin.IssueSetupCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	form := func(code string) []string {
		return []string{"code", code, "display_name", "Olive", "name", "olive", "password", goodPassword, "again", goodPassword}
	}
	if a := c.post("/setup", form("WRONG-WRONG")...); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "This code is not valid") {
		t.Errorf("a wrong code: %d", a.StatusCode)
	}
	w.clock.forward(admin.SetupLife)
	if a := c.post("/setup", form(string(code))...); a.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("an old code: %d", a.StatusCode)
	}
	if code, err = w.admin.IssueSetupCode(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := c.post("/setup", form(strings.ToLower(string(code)))...); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/sign-in/enrol" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if a := w.client().post("/setup", form(string(code))...); a.StatusCode == http.StatusSeeOther && a.Header.Get("Location") == "/sign-in/enrol" {
		t.Error("the code works twice")
	}
	if _, err := w.admin.IssueSetupCode(t.Context()); sallyport.ErrorCode(err) != sallyport.CodeConflict {
		t.Errorf("another link with an administrator there: %v", err)
	}
	if strings.Contains(w.logs.String(), string(code)) {
		t.Error("the log has the code in it")
	}
}

func TestAGivenPasswordIsForOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	root := sallyport.Actor{Kind: sallyport.ActorLocal, Role: sallyport.RoleSuper}
	a, first, err := w.admin.PutAdministrator(t.Context(), root, sallyport.Administrator{Name: "bea", DisplayName: "Bea", Role: sallyport.RoleHelpDesk})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.SetTOTP(t.Context(), a.ID, seed); err != nil {
		t.Fatal(err)
	}
	c := w.client()
	if a := c.post("/sign-in", "name", "bea", "password", string(first)); a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.StatusCode)
	}
	if a := c.post("/sign-in/code", "csrf", c.csrf("/sign-in/factor"), "code", w.code()); a.Header.Get("Location") != "/sign-in/password" {
		t.Fatal(a.StatusCode, a.Header.Get("Location"))
	}
	if a := c.get("/account"); a.Header.Get("Location") != "/sign-in/password" {
		t.Error("the account opens before the password is changed")
	}
	for password, words := range map[string]string{"short": "at least 12", "aaaaaaaaaaaaaaaa": "more different", "bea bea bea bea bea": "sign-in name", string(first): "another password"} {
		if a := c.post("/sign-in/password", "csrf", c.csrf("/sign-in/password"), "password", password, "again", password); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, words) {
			t.Errorf("%q: %d", password, a.StatusCode)
		}
		w.clock.forward(6 * time.Minute) // tries are counted
	}
	if a := c.post("/sign-in/password", "csrf", c.csrf("/sign-in/password"), "password", goodPassword, "again", goodPassword); a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.StatusCode, a.body)
	}
	if a := c.get("/account"); a.StatusCode != http.StatusOK {
		t.Error(a.StatusCode)
	}
	if a := w.client().post("/sign-in", "name", "bea", "password", string(first)); a.StatusCode != http.StatusForbidden {
		t.Errorf("the first password again: %d", a.StatusCode)
	}
}
