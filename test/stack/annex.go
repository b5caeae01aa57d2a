package stack

import (
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/test/harness"
)

// Annex is a further replica of the cloud, and one of the token service, beside the stack's own: for tests
// that do to a replica what others would notice. Each has a clock that the test sets.
type Annex struct {
	s    *Stack
	base int

	Cloud, Tokens          *harness.Program
	CloudClock, TokenClock *harness.Clock
}

// NewAnnex describes an annex without starting it.
func (s *Stack) NewAnnex(tb testing.TB) *Annex {
	tb.Helper()
	a := &Annex{s: s, base: harness.PortBlock(tb), CloudClock: harness.NewClock(tb), TokenClock: harness.NewClock(tb)}
	tb.Cleanup(func() { judge(tb, a.Cloud, a.Tokens) }) // after they have ended: see NewProgram
	name := fmt.Sprintf("annex-%d", a.base)
	tokenArgs, err := s.tokenArgs()
	if err != nil {
		tb.Fatal(err)
	}
	a.Cloud = harness.NewProgram(tb, name+"-cloud", s.bin, ready(a.addr(cloudAdmin)), append(s.cloudArgs(),
		"--replica", name, "--tunnel-address", a.TunnelAddr(), "--tokensvc-address", a.addr(tokensService),
		"--listen", a.addr(cloudBrowser), "--tunnel-listen", a.TunnelAddr(), "--admin-listen", a.addr(cloudAdmin))...)
	a.Tokens = harness.NewProgram(tb, name+"-tokensvc", s.bin, ready(a.addr(tokensAdmin)), append(tokenArgs,
		"--device-url", "http://"+a.addr(tokensDevice),
		"--listen", a.addr(tokensService), "--device-listen", a.addr(tokensDevice), "--admin-listen", a.addr(tokensAdmin))...)
	a.Cloud.SetClock(a.CloudClock)
	a.Tokens.SetClock(a.TokenClock)
	return a
}

func (a *Annex) addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", a.base+port) }

// URL is where browsers and appliances reach the annex's cloud over HTTP.
func (a *Annex) URL() string { return "http://" + a.addr(cloudBrowser) }

// TunnelAddr is where appliances dial its cloud.
func (a *Annex) TunnelAddr() string { return a.addr(cloudTunnel) }

// Start starts both.
func (a *Annex) Start(tb testing.TB) {
	tb.Helper()
	if err := startAll(a.Cloud, a.Tokens); err != nil {
		tb.Fatal(err)
	}
}

// NewBranch sets a further enterprise up that knows the annex alone, without starting its appliance.
func (a *Annex) NewBranch(tb testing.TB) *Branch {
	tb.Helper()
	return a.s.newBranch(tb, "", a.URL(), a.TunnelAddr())
}
