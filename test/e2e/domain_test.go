package e2e_test

import (
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/harness"
	"github.com/sallyport/sallyport/test/stack"
)

func TestADomainComesAndGoesWithoutARestart(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	b := s.NewBranch(t)
	b.Start()
	u := s.NewUser(t)
	answers := func() bool {
		_, err := b.Page().LogIn(within(t, patience), u.Name, u.Password)
		if err != nil && sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
			t.Errorf("log in: %v", err)
		}
		return err == nil
	}
	stack.Until(t, patience, "a login is answered", answers)
	if r, err := b.Run("domain", "remove", harness.UPNSuffix, "--yes"); err != nil {
		t.Fatalf("%v\n%s", err, r.Stderr)
	}
	stack.Until(t, patience, "a login ends without the domain", func() bool { return !answers() })
	if b.Ready(t) == "" {
		t.Error("ready without a domain")
	}
	b.AddDomain(t)
	stack.Until(t, patience, "a login is answered again", answers)
	if r, err := b.Run("domain", "sync", harness.UPNSuffix); err != nil {
		t.Errorf("synchronise: %v\n%s", err, r.Stderr)
	}
}
