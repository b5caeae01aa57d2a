package stack

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/apmsim"
	"github.com/sallyport/sallyport/test/harness"
)

// Newcomer is a further enterprise whose appliance has trust and nothing else: no domain, no gateway, no administrator.
type Newcomer struct {
	*harness.Program
	s      *Stack
	Tenant sallyport.TenantID
	// Origin is that of the gateway's logon page, once StartGateway has started it.
	Origin string

	dir, config, radius string
	base                int
}

// NewNewcomer sets an enterprise up as far as the command line has to, and starts its appliance.
func (s *Stack) NewNewcomer(tb testing.TB) *Newcomer {
	tb.Helper()
	base := harness.PortBlock(tb)
	n := &Newcomer{s: s, base: base, radius: fmt.Sprintf("127.0.0.1:%d", base), Origin: fmt.Sprintf("http://localhost:%d", base+2)}
	var code sallyport.Secret
	var err error
	if n.Tenant, code, err = s.CreateEnterprise("Newcomer of the test"); err != nil {
		tb.Fatal(err)
	}
	name, admin := "newcomer-"+string(n.Tenant), fmt.Sprintf("127.0.0.1:%d", base+1)
	n.dir, n.config = s.file(name), s.file(name+".yaml")
	if _, err = s.Trust(s.CloudURL(), n.dir, n.Tenant, code); err == nil {
		err = s.describe(n.config, settings{data: n.dir, radius: n.radius, admin: admin, tunnels: s.TunnelAddrs()})
	}
	if err != nil {
		tb.Fatal(err)
	}
	n.Program = harness.NewProgram(tb, name, s.bin, n.serving, "appliance", "run", "--config", n.config, "--log-level", "debug")
	tb.Cleanup(func() { judge(tb, n.Program) })
	n.Start()
	return n
}

// serving waits for the console: without a domain the appliance is not ready for logins.
func (n *Newcomer) serving(context.Context) error {
	_, _, err := consoleOf(n.Program)
	return err
}

// SetupLink is the console's address for the first administrator.
func (n *Newcomer) SetupLink(tb testing.TB) string {
	tb.Helper()
	address, _, err := consoleOf(n.Program)
	var made struct{ Link string }
	if err == nil {
		err = n.s.ask(&made, "appliance", "console-link", "--config", n.config, "--console-url", "https://"+address)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return made.Link
}

// Enrol enrols a phone for a user.
func (n *Newcomer) Enrol(tb testing.TB, user string) *Device {
	tb.Helper()
	return n.s.complete(tb, n.s.invite(tb, n.config, user))
}

// StartGateway starts a gateway with what its administrator was shown.
func (n *Newcomer) StartGateway(tb testing.TB, secret sallyport.Secret, tag, modern, integrity string) {
	tb.Helper()
	_, err := n.s.startGatewayAt(tb, fmt.Sprintf("127.0.0.1:%d", n.base+2), []string{n.radius}, secret, tag, apmsim.ExternalScript{Address: modern, Integrity: integrity})
	if err != nil {
		tb.Fatal(err)
	}
}

// Directory is how the console is told of the directory's domain: server, service account and its authority's certificate.
func (s *Stack) Directory(tb testing.TB) (server, bindName, bindPassword, authority string) {
	tb.Helper()
	pem, err := os.ReadFile(s.Samba.CAFile())
	if err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprintf("ldaps://localhost:%d", s.LDAP.Port()), harness.ServiceDN, harness.ServicePass, string(pem)
}
