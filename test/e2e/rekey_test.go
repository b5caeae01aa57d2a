package e2e_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/stack"
)

// The master key is changed on the first of two appliances that share PostgreSQL: the second lets nobody in until it has
// joined again, and then everybody.
func TestAnApplianceJoinsAgainAfterTheMasterKeyWasChanged(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	p := s.NewPair(t)
	p.Second.Start()
	u := s.NewUser(t)
	code, now := sallyport.NewTemporaryCode(), time.Now()
	err := p.Store.IssueTemporaryCode(within(t, patience), sallyport.TemporaryCode{ID: sallyport.NewID(), Account: u.Account(), Issued: now, Expires: now.Add(time.Hour), By: "helga"}, code)
	if err != nil {
		t.Fatal(err)
	}
	first, second := elsewhere{p.RADIUSAddr, net.IPv4(127, 0, 0, 1)}, elsewhere{p.SecondRADIUS, net.IPv4(127, 0, 0, 1)}
	first.counts(t, "before", p.RADIUSSecret, u.Name, code, accepted)
	second.counts(t, "before", p.RADIUSSecret, u.Name, code, accepted)

	p.Leave()
	p.Second.Stop()
	p.Stop()
	if r, err := p.Run("appliance", "rekey"); err == nil || !strings.Contains(r.Stderr, "--others-join-again") {
		t.Errorf("others are cut off without a word: %v, %q", err, r.Stderr)
	}
	if _, err := p.Run("appliance", "rekey", "--others-join-again"); err != nil {
		t.Fatal(err)
	}
	p.Start()
	first.counts(t, "under the new key", p.RADIUSSecret, u.Name, code, accepted)

	mark := p.Second.LogSize()
	if err := p.Second.Launch(); err != nil {
		t.Fatal(err)
	}
	stack.Until(t, patience, "the second appliance ends, and says why", func() bool {
		return !p.Second.Running() && strings.Contains(p.Second.LogSince(mark), "join --again")
	})
	p.Join(t, "--again")
	p.Second.Start()
	second.counts(t, "after it has joined again", p.RADIUSSecret, u.Name, code, accepted)
}
