package directory_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/test/harness"
)

// wrong tries as many different wrong passwords of bob, and returns what was said to the last.
func wrong(t *testing.T, d *directory.Directory, from, to int) sallyport.AccountState {
	t.Helper()
	var last sallyport.AccountState
	for i := from; i < to; i++ {
		last = verify(t, d, "bob", sallyport.Secret(fmt.Sprintf("wrong %d", i))).State
	}
	return last
}

func TestAttemptsFromOutsideStopBeforeTheyLockAnAccount(t *testing.T) {
	t.Parallel()
	_, f := samba(t, harness.LockoutThreshold(5))
	d := f.open(t, nil)
	verify(t, d, "bob", harness.UserPassword)
	if got := wrong(t, d, 0, 3); got != sallyport.AccountWrongPassword || f.bad("bob") != 3 {
		t.Errorf("the attempts that are allowed: %q, %d counted", got, f.bad("bob"))
	}
	if got := wrong(t, d, 3, 20); got != sallyport.AccountGuarded || f.bad("bob") != 3 {
		t.Errorf("the others: %q, %d counted", got, f.bad("bob"))
	}
	if res := verify(t, d, "bob", harness.UserPassword); res.State != sallyport.AccountGuarded || res.Account.Name != `hospital\bob` {
		t.Errorf("the right password from outside: %+v", res)
	}
	for i := range 2 { // what was left to the inside
		if res, err := d.VerifyOnSite(t.Context(), "bob", sallyport.Secret(fmt.Sprint("inside ", i))); err != nil || res.State != sallyport.AccountWrongPassword {
			t.Errorf("inside: %q, %v", res.State, err)
		}
		if i == 0 {
			if res, err := d.VerifyOnSite(t.Context(), "bob", harness.UserPassword); err != nil || res.State != sallyport.AccountOK {
				t.Errorf("inside: %q, %v", res.State, err)
			}
			if res := verify(t, d, "bob", harness.UserPassword); res.State != sallyport.AccountOK {
				t.Errorf("outside, once the inside was in: %q", res.State)
			}
		}
	}
}

func TestAttemptsAtTheSameTimeDoNotLockAnAccount(t *testing.T) {
	t.Parallel()
	_, f := samba(t, harness.LockoutThreshold(5))
	here, there := f.open(t, nil), f.open(t, nil) // two appliances, of which neither knows of the other's
	var g sync.WaitGroup
	for i := range 6 {
		for _, d := range []*directory.Directory{here, there} {
			g.Go(func() {
				if _, err := d.Verify(t.Context(), []string{"bob", `HOSPITAL\bob`}[i%2], sallyport.Secret(fmt.Sprintf("%p %d", d, i)), nil); err != nil {
					t.Error(err)
				}
			})
		}
	}
	g.Wait()
	if n := f.bad("bob"); n > 4 {
		t.Errorf("%d wrong passwords were counted", n)
	}
	if res, err := here.VerifyOnSite(t.Context(), "bob", harness.UserPassword); err != nil || res.State != sallyport.AccountOK {
		t.Errorf("the inside: %q, %v", res.State, err)
	}
}

func TestTheSameWrongPasswordIsCountedOnce(t *testing.T) {
	t.Parallel()
	dc, f := samba(t, harness.LockoutThreshold(10))
	d := f.open(t, nil)
	for range 5 {
		if res := verify(t, d, "bob", "New.Passw0rd"); res.State != sallyport.AccountWrongPassword {
			t.Errorf("state %q", res.State)
		}
	}
	if n := f.bad("bob"); n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
	dc.SetPassword(harness.Bob, "New.Passw0rd")
	if res := verify(t, d, "bob", "New.Passw0rd"); res.State != sallyport.AccountOK {
		t.Errorf("once it is the password: %q", res.State)
	}
}

func TestTheFineGrainedPolicyCountsWhereThereIsOne(t *testing.T) {
	t.Parallel()
	dc, f := samba(t, harness.LockoutThreshold(50))
	dc.Admin(func(c *ldap.Conn) error {
		r := ldap.NewAddRequest("CN=Strict,CN=Password Settings Container,CN=System,"+harness.SambaBaseDN, nil)
		for name, value := range map[string]string{
			"objectClass": "msDS-PasswordSettings", "msDS-PasswordSettingsPrecedence": "1", "msDS-PasswordReversibleEncryptionEnabled": "FALSE",
			"msDS-PasswordHistoryLength": "0", "msDS-PasswordComplexityEnabled": "FALSE", "msDS-MinimumPasswordLength": "1",
			"msDS-MinimumPasswordAge": "0", "msDS-MaximumPasswordAge": "-36288000000000", "msDS-LockoutThreshold": "4",
			"msDS-LockoutObservationWindow": "-18000000000", "msDS-LockoutDuration": "-18000000000",
			"msDS-PSOAppliesTo": "CN=bob Test," + harness.SambaStaffDN,
		} {
			r.Attribute(name, []string{value})
		}
		return c.Add(r)
	})
	// A plain service account may not read the policy; the administrator may.
	for name, x := range map[string]struct {
		account  string
		password sallyport.Secret
		allowed  int
	}{
		"read":    {"Administrator@" + harness.UPNSuffix, harness.AdminPassword, 2}, // 4, less 2 for the inside
		"assumed": {harness.ServiceDN, harness.ServicePass, 3},                      // 5, less 2
	} {
		d := f.open(t, func(c *config) { c.BindName, c.BindPassword = x.account, x.password })
		if _, err := d.VerifyOnSite(t.Context(), "bob", harness.UserPassword); err != nil {
			t.Fatal(err)
		}
		got := wrong(t, d, 0, 6)
		if n := f.bad("bob"); got != sallyport.AccountGuarded || n != x.allowed {
			t.Errorf("%s: %q after %d, want after %d", name, got, n, x.allowed)
		}
		wrong(t, d, 0, 1)
		if res := verify(t, d, "alice", "wrong"); res.State != sallyport.AccountWrongPassword {
			t.Errorf("%s: alice, whom the domain's policy is for: %q", name, res.State)
		}
	}
}

func TestTheLargestCountOfTheServersIsTaken(t *testing.T) {
	t.Parallel()
	// Two controllers that count each for itself.
	first, second := clinic(t), clinic(t)
	d := first.open(t, func(c *config) {
		c.Servers, c.Authority = append(c.Servers, second.domain.Servers...), c.Authority+second.domain.Authority
	})
	elsewhere := second.open(t, nil)
	for i := range 3 {
		verify(t, elsewhere, "dora", sallyport.Secret(fmt.Sprint("wrong ", i)))
	}
	if n := second.bad("dora"); n != 3 {
		t.Fatalf("%d counted at the second", n)
	}
	if res := verify(t, d, "dora", "wrong"); res.State != sallyport.AccountGuarded || first.bad("dora") != 0 {
		t.Errorf("%q, %d counted at the first", res.State, first.bad("dora"))
	}
}

func TestAnAccountThatIsLockedIsSaidToBe(t *testing.T) {
	t.Parallel()
	_, f := samba(t, harness.LockoutThreshold(3))
	d := f.open(t, nil)
	for i := range 3 {
		if _, err := d.VerifyOnSite(t.Context(), "bob", sallyport.Secret(fmt.Sprint("wrong ", i))); err != nil {
			t.Fatal(err)
		}
	}
	if res := verify(t, d, "bob", harness.UserPassword); res.State != sallyport.AccountLocked {
		t.Errorf("state %q", res.State)
	}
}

func TestTheWindowEndsTheGuard(t *testing.T) {
	t.Parallel()
	_, f := samba(t, harness.LockoutThreshold(5))
	clock := time.Now()
	var mu sync.Mutex
	d := f.open(t, func(c *config) {
		c.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return clock }
	})
	wrong(t, d, 0, 3)
	if got := wrong(t, d, 3, 4); got != sallyport.AccountGuarded {
		t.Errorf("state %q", got)
	}
	mu.Lock()
	clock = clock.Add(32 * time.Minute) // the window is 30
	mu.Unlock()
	if res := verify(t, d, "bob", harness.UserPassword); res.State != sallyport.AccountOK {
		t.Errorf("after the window: %q", res.State)
	}
}

func TestACallerWhoWaitsForATurnMayGoAway(t *testing.T) {
	t.Parallel()
	_, f := samba(t, harness.LockoutThreshold(5)) // 3 for the outside: one at a time
	d := f.open(t, nil)
	begun, end := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := d.Verify(t.Context(), "alice", harness.UserPassword, func() { close(begun); <-end }); err != nil {
			t.Error(err)
		}
	})
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := d.Verify(ctx, "alice", harness.UserPassword, func() { t.Error("a bind was announced") }); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("while another attempt is under way: %v", err)
	}
	close(end)
	wg.Wait()
}
