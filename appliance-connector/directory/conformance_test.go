package directory_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/test/harness"
)

func TestSambaConforms(t *testing.T) {
	t.Parallel()
	dc, f := samba(t, harness.LockoutThreshold(10))
	dc.AddUser("odd", odd)
	conformance(t, f)
}

func TestLDAPSimConforms(t *testing.T) {
	t.Parallel()
	conformance(t, sim(t))
}

// conformance is what holds on every directory that serves the harness's users.
func conformance(t *testing.T, f fixture) {
	d := f.open(t, nil)
	if err := d.Health(t.Context()); err != nil {
		t.Fatalf("health: %v", err)
	}
	t.Run("every account state is told from the others", func(t *testing.T) { states(t, d) })
	t.Run("who is kept out is told without a password", func(t *testing.T) { present(t, f, d) })
	t.Run("every way to write a name finds the user", func(t *testing.T) { names(t, d) })
	t.Run("nothing typed as a name reaches another user", func(t *testing.T) { hostileNames(t, d) })
	t.Run("a wrong password counts once", func(t *testing.T) { wrongPasswordCountsOnce(t, f, d) })
	t.Run("an empty password never reaches the directory", func(t *testing.T) { emptyPassword(t, f, d) })
	t.Run("any character may stand in a password", func(t *testing.T) { oddPassword(t, d) })
	t.Run("groups are those above, directly or by whatever way", func(t *testing.T) { groups(t, d) })
	t.Run("one account has one name", func(t *testing.T) { identify(t, f, d) })
	t.Run("a further UPN suffix is taken when configured", func(t *testing.T) { furtherSuffix(t, f, d) })
	t.Run("users outside the base do not exist", func(t *testing.T) { outsideBase(t, f) })
}

func verify(t *testing.T, d *directory.Directory, name string, password sallyport.Secret) directory.Result {
	t.Helper()
	binds := 0
	res, err := d.Verify(t.Context(), name, password, func() { binds++ })
	if err != nil {
		t.Fatalf("%q: %v", name, err)
	}
	if binds != 1 {
		t.Errorf("%q: %d binds announced, want 1", name, binds)
	}
	return res
}

func states(t *testing.T, d *directory.Directory) {
	for user, want := range map[string]sallyport.AccountState{
		harness.Alice: sallyport.AccountOK, harness.Bob: sallyport.AccountOK, harness.Carol: sallyport.AccountOK,
		harness.Disabled: sallyport.AccountDisabled, harness.MustChange: sallyport.AccountMustChange,
		harness.ExpiredPw: sallyport.AccountPasswordExpired, harness.AcctExpired: sallyport.AccountExpired,
		harness.Locked: sallyport.AccountLocked, harness.Hours: sallyport.AccountLogonHours,
		harness.Workstation: sallyport.AccountWrongWorkstation, "nobody": sallyport.AccountUnknown,
	} {
		res := verify(t, d, user, harness.UserPassword)
		if res.State != want {
			t.Errorf("%s: %q, want %q", user, res.State, want)
		}
		if want != sallyport.AccountUnknown && res.Account.Name != sallyport.NewAccountName("hospital", user) {
			t.Errorf("%s: account %q", user, res.Account.Name)
		}
		// Who does not know the password learns nothing of the state, save that it is locked.
		switch got := verify(t, d, user, "wrong").State; want {
		case sallyport.AccountUnknown, sallyport.AccountLocked:
			if got != want {
				t.Errorf("%s with a wrong password: %q", user, got)
			}
		default:
			if got != sallyport.AccountWrongPassword {
				t.Errorf("%s with a wrong password: %q", user, got)
			}
		}
	}
	res := verify(t, d, harness.Carol, harness.UserPassword)
	if a := res.Account; a.Domain != "hospital" || len(a.GUID) != 32 || a.UPN != harness.CarolUPN {
		t.Errorf("carol's account: %+v", a)
	}
	if a := res.Account; a.DisplayName != "Carol Jones" || a.Mail != "carol@hospital.test" || !strings.HasPrefix(a.DN, `CN=Jones\`) {
		t.Errorf("carol's account: %+v", a)
	}
}

func names(t *testing.T, d *directory.Directory) {
	for _, typed := range []string{
		"alice", "ALICE", "  Alice \t", `HOSPITAL\alice`, `hospital\ALICE`, `hospital.test\alice`, `HOSPITAL \ alice`,
		"alice@hospital.test", "Alice@HOSPITAL.Test", "alice@hospital",
	} {
		if res := verify(t, d, typed, harness.UserPassword); res.State != sallyport.AccountOK || res.Account.Name != `hospital\alice` {
			t.Errorf("%q: %q %q", typed, res.State, res.Account.Name)
		}
	}
	for _, typed := range []string{harness.CarolUPN, strings.ToUpper(harness.CarolUPN), "carol", "carol@hospital.test"} {
		if res := verify(t, d, typed, harness.UserPassword); res.State != sallyport.AccountOK || res.Account.Name != `hospital\carol` {
			t.Errorf("%q: %q %q", typed, res.State, res.Account.Name)
		}
	}
}

func hostileNames(t *testing.T, d *directory.Directory) {
	for _, typed := range []string{
		"", " ", "*", "ali*", "alice)(cn=*", "*)(|(cn=*", `\alice`, `HOSPITAL\`, `OTHER\alice`, `HOSPITAL\\alice`, "alice@", "@hospital.test",
		"alice@other.test", "alice\x00", "al\x00ice", "alice\n", "\xff\xfe", strings.Repeat("a", 300), `alice\2a`, "DC1$",
		"CN=alice Test,OU=Staff,DC=hospital,DC=test", "alice@hospital.test@hospital.test", "Nurses",
	} {
		if strings.TrimSpace(typed) == "alice" {
			continue // "alice\n": space around a name is trimmed
		}
		if res := verify(t, d, typed, harness.UserPassword); res.State != sallyport.AccountUnknown || res.Account.Name != "" {
			t.Errorf("%q: %+v", typed, res)
		}
	}
}

func wrongPasswordCountsOnce(t *testing.T, f fixture, d *directory.Directory) {
	verify(t, d, "bob", harness.UserPassword) // the count begins anew
	before := f.bad("bob")
	verify(t, d, "bob", "wrong")
	if n := f.bad("bob"); n != before+1 {
		t.Errorf("count went from %d to %d", before, n)
	}
	verify(t, d, `HOSPITAL\nobody`, "wrong")
	if n := f.bad("bob"); n != before+1 {
		t.Errorf("somebody else's log-in was counted: %d", n)
	}
	verify(t, d, "bob", harness.UserPassword)
}

func emptyPassword(t *testing.T, f fixture, d *directory.Directory) {
	before := f.bad("bob")
	for _, password := range []sallyport.Secret{"", "\x00", harness.UserPassword + "\x00rest", sallyport.Secret(strings.Repeat("x", 2000))} {
		res, err := d.Verify(t.Context(), "bob", password, func() { t.Error("a bind was announced") })
		if err != nil || res.State != sallyport.AccountWrongPassword || res.Account.Name != "" {
			t.Errorf("%d octets: %+v, %v", len(password), res, err)
		}
	}
	if n := f.bad("bob"); n != before {
		t.Errorf("count went from %d to %d", before, n)
	}
}

func oddPassword(t *testing.T, d *directory.Directory) {
	if res := verify(t, d, "odd", odd); res.State != sallyport.AccountOK {
		t.Errorf("state %q", res.State)
	}
	if res := verify(t, d, "odd", odd+" "); res.State != sallyport.AccountWrongPassword {
		t.Errorf("with a space more: %q", res.State)
	}
}

func groups(t *testing.T, d *directory.Directory) {
	for user, want := range map[string][2]string{ // direct, nested
		harness.Alice: {"Domain Users, Nurses", "Clinicians, Domain Users, Nurses, Remote Access"},
		harness.Bob:   {"Domain Users, Remote Access", "Domain Users, Remote Access"},
		harness.Carol: {"Domain Users", "Domain Users"},
	} {
		a, err := d.LookUp(t.Context(), user)
		if err != nil {
			t.Fatal(err)
		}
		for i, nested := range []bool{false, true} {
			if got := groupNames(t, d, a, nested); got != want[i] {
				t.Errorf("%s, nested %v: %s; want %s", user, nested, got, want[i])
			}
		}
	}
	if _, err := d.Groups(t.Context(), "hospital", "CN=gone,"+harness.SambaBaseDN, true); sallyport.ErrorCode(err) != sallyport.CodeNotFound {
		t.Errorf("of nobody: %v", err)
	}
	if _, err := d.Groups(t.Context(), "elsewhere", harness.SambaBaseDN, true); sallyport.ErrorCode(err) != sallyport.CodeNotFound {
		t.Errorf("of no domain: %v", err)
	}
}

// groupNames returns the names of the groups of the harness that an account is in, sorted.
func groupNames(t *testing.T, d *directory.Directory, a sallyport.Account, nested bool) string {
	t.Helper()
	dns, err := d.Groups(t.Context(), a.Domain, a.DN, nested)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, dn := range dns {
		name, _, _ := strings.Cut(strings.TrimPrefix(dn, "CN="), ",")
		if name != "Users" { // the built-in group that Domain Users is in
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func identify(t *testing.T, f fixture, d *directory.Directory) {
	configured := f.open(t, func(c *config) { c.Base = harness.SambaBaseDN })
	for typed, want := range map[string]sallyport.AccountName{
		"Alice": `hospital\alice`, " alice ": `hospital\alice`, `HOSPITAL\ALICE`: `hospital\alice`, `hospital.test\alice`: `hospital\alice`,
		"ALICE@hospital.test": `hospital\alice`, "alice@HOSPITAL": `hospital\alice`,
		harness.CarolUPN: `hospital\carol`, strings.ToLower(harness.CarolUPN): `hospital\carol`, "carol@hospital.test": `hospital\carol`,
		"whoever": `hospital\whoever`, `OTHER\Dave`: `other\dave`,
	} {
		for _, x := range []*directory.Directory{d, d, configured} { // twice: searched and remembered
			if got, err := x.Identify(t.Context(), typed); err != nil || got != want {
				t.Errorf("%q: %q, %v; want %q", typed, got, err, want)
			}
		}
	}
	for typed, want := range map[string]sallyport.Code{
		"nobody@hospital.test": sallyport.CodeNotFound, "alice@other.test": sallyport.CodeNotFound, "n\u00f6body": sallyport.CodeNotFound,
		"": sallyport.CodeInvalid, "a\x00": sallyport.CodeInvalid,
	} {
		for range 2 {
			if got, err := d.Identify(t.Context(), typed); sallyport.ErrorCode(err) != want {
				t.Errorf("%q: %q, %v; want %s", typed, got, err, want)
			}
		}
	}
}

func furtherSuffix(t *testing.T, f fixture, d *directory.Directory) {
	if res := verify(t, d, "alice@hospital.example", harness.UserPassword); res.State != sallyport.AccountUnknown {
		t.Errorf("not configured: %q", res.State)
	}
	with := f.open(t, func(c *config) { c.UPNSuffixes = []string{"Hospital.Example"} })
	if res := verify(t, with, "alice@hospital.example", harness.UserPassword); res.State != sallyport.AccountOK {
		t.Errorf("configured: %q", res.State)
	}
}

func outsideBase(t *testing.T, f fixture) {
	d := f.open(t, func(c *config) { c.Base = "CN=Configuration," + harness.SambaBaseDN })
	before := f.bad("bob")
	if res := verify(t, d, "bob", "wrong"); res.State != sallyport.AccountUnknown {
		t.Errorf("state %q", res.State)
	}
	if n := f.bad("bob"); n != before {
		t.Errorf("count went from %d to %d", before, n)
	}
}

func present(t *testing.T, f fixture, d *directory.Directory) {
	for user, want := range map[string]sallyport.AccountState{
		harness.Alice: sallyport.AccountOK, harness.CarolUPN: sallyport.AccountOK, "nobody": sallyport.AccountUnknown, "": sallyport.AccountUnknown,
		harness.Disabled: sallyport.AccountDisabled, harness.Locked: sallyport.AccountLocked, harness.AcctExpired: sallyport.AccountExpired,
		harness.Hours: sallyport.AccountLogonHours, harness.Workstation: sallyport.AccountWrongWorkstation,
		// Their passwords are no matter here.
		harness.MustChange: sallyport.AccountOK, harness.ExpiredPw: sallyport.AccountOK,
	} {
		res, err := d.Present(t.Context(), user)
		if err != nil || res.State != want {
			t.Errorf("%q: %q, want %q: %v", user, res.State, want, err)
		}
		if (res.Account.Name != "") != (want != sallyport.AccountUnknown) {
			t.Errorf("%q: %+v", user, res.Account)
		}
	}
	before := f.bad(harness.Alice)
	if _, err := d.Present(t.Context(), harness.Alice); err != nil || f.bad(harness.Alice) != before {
		t.Errorf("asking counted as a wrong password: %v", err)
	}
}
