package stack

import (
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/test/harness"
)

// Pair is a further enterprise with two appliances on a PostgreSQL database of its own, for tests that do to both what
// others would notice.
type Pair struct {
	*Branch
	// Second is the other appliance; it has the enterprise's keys, and is not started.
	Second *harness.Program
	// SecondRADIUS is where the other appliance's RADIUS server listens.
	SecondRADIUS string

	secondDir, secondConfig string
}

// NewPair sets a further enterprise up, starts its first appliance, and has the second one join.
func (s *Stack) NewPair(tb testing.TB) *Pair {
	tb.Helper()
	b := s.newBranch(tb, s.Postgres.Database()+"&connect_timeout=20", s.CloudURL(), s.TunnelAddrs()...)
	base := harness.PortBlock(tb)
	name := "second-" + string(b.Tenant)
	p := &Pair{Branch: b, SecondRADIUS: fmt.Sprintf("127.0.0.1:%d", base), secondDir: s.file(name), secondConfig: s.file(name + ".yaml")}
	admin := fmt.Sprintf("127.0.0.1:%d", base+1)
	b.Start()
	code, err := s.Code(b.Tenant)
	if err == nil {
		_, err = s.Trust(b.cloud, p.secondDir, b.Tenant, code)
	}
	if err == nil {
		err = s.describe(p.secondConfig, settings{data: p.secondDir, store: b.database, radius: p.SecondRADIUS, admin: admin, tunnels: s.TunnelAddrs()})
	}
	if err != nil {
		tb.Fatalf("set the second appliance up: %v", err)
	}
	p.Join(tb)
	p.Second = s.appliance(tb, name, p.secondConfig, admin)
	tb.Cleanup(func() { judge(tb, p.Second) })
	return p
}

// Join gives the second appliance the enterprise's keys, with a join code of the first, which runs.
func (p *Pair) Join(tb testing.TB, more ...string) {
	tb.Helper()
	var invited struct{ JoinCode, Fingerprint string }
	if err := p.s.ask(&invited, "appliance", "invite", "--config", p.config); err != nil {
		tb.Fatal(err)
	}
	r, err := p.s.RunWith(invited.JoinCode+"\n", append([]string{"appliance", "join", "--data", p.secondDir, "--code-file", "-"}, more...)...)
	if err != nil {
		tb.Fatal(err)
	}
	if got := after(r.Stdout, "Root key fingerprint: "); got != p.fingerprint {
		tb.Fatalf("fingerprints differ: %q and %q", got, p.fingerprint)
	}
}

// Leave closes the test's own view of the store, which a change of the master key would shut out.
func (p *Pair) Leave() { p.s.lists.leaveStore(p.Store) }
