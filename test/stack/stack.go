// Package stack brings the whole of Sallyport up for tests, the way a newcomer does by
// the command line: a Samba domain controller, Redis, PostgreSQL, two cloud replicas, two
// token services and two appliances as processes of the real program, built with the race
// detector; simulated push services and the stand-in gateway in the test's own process.
//
//	browser ──▶ Cloud (balancer) ──▶ Clouds[0], Clouds[1] ◀── tunnel ── Appliances[0], [1]
//	device  ──▶ Devices (balancer) ─▶ Tokens[0], Tokens[1] ◀─ Service (balancer) ─┘    │
//	Gateway ──RADIUS──▶ Appliances[0], then [1]                        LDAP (proxy) ◀──┘
package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/test/apmsim"
	"github.com/sallyport/sallyport/test/harness"
	"github.com/sallyport/sallyport/test/pushsim"
)

// Options change what Start starts. The zero value is a stack as it should be.
type Options struct {
	// RADIUSTimeout is how long the gateway waits for an answer; 0: 5 s.
	RADIUSTimeout time.Duration
}

// lockout is high: with 0 the directory would count no wrong passwords at all.
const lockout = 50

// Names that tests look for.
const (
	EnterpriseName = "St. Mary's Hospital"
	Nickname       = "Hospital VPN"
)

// Stack is everything, running.
type Stack struct {
	tb   testing.TB
	opts Options
	dir  string
	bin  string
	base int // first of the ports

	Redis    *harness.Redis
	Samba    *harness.Samba
	Postgres *harness.Postgres
	Push     *pushsim.Sim
	Browser  func() *harness.Browser // starts when first asked for

	Clouds     [2]*harness.Program
	Tokens     [2]*harness.Program
	Appliances [2]*harness.Program

	Cloud   *harness.Balancer // in front of the clouds, for browsers
	Devices *harness.Balancer // in front of the token services, for devices
	Service *harness.Balancer // in front of the token services, for appliances
	LDAP    *harness.Proxy    // between the appliances and the directory

	Tenant        sallyport.TenantID
	ApplianceIDs  [2]sallyport.ApplianceID
	Fingerprint   string
	Integration   sallyport.IntegrationID
	RADIUSSecret  sallyport.Secret
	AccessToken   string // of the script tag
	StandardTag   string
	ModernAddress string
	Integrity     string
	// Codes are the codes that were used while everything was set up.
	Codes []sallyport.Secret

	// Store is the store of the enterprise, as an administrator of the appliances has it.
	Store *store.Store

	Gateway *apmsim.Server
	story   story
	lists   userLists
	address string // of the store
}

// Start brings a stack up and ends it with tb. That a process reports a data race fails tb.
func Start(tb testing.TB, opts Options) *Stack {
	tb.Helper()
	s := &Stack{tb: tb, opts: opts, base: harness.PortBlock(tb)}
	var err error
	if s.dir, err = os.MkdirTemp("", "sallyport-stack-"); err != nil {
		tb.Fatalf("make directory: %v", err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(s.dir) })
	tb.Cleanup(func() { judge(tb, s.Programs()...) })
	s.startParts()
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"prepare keys", s.prepareKeys},
		{"start cloud and token service", s.startServices},
		{"establish trust", s.establishTrust},
		{"add the domain", func() error { return s.addDomain(s.ApplianceConfig(0)) }},
		{"go live", s.goLiveForAll},
		{"start the first appliance", func() error { s.Appliances[0].Start(); return nil }},
		{"join the second appliance", s.joinSecond},
		{"add the gateway", s.addGateway},
		{"start the appliances", s.startAppliances},
		{"start the gateway", s.startGateway},
	} {
		begun := time.Now()
		if err := step.do(); err != nil {
			tb.Fatalf("%s: %v", step.what, err)
		}
		tb.Logf("%s: %v", step.what, time.Since(begun).Round(time.Millisecond))
	}
	return s
}

// startParts starts what is not ours, and builds what is, at the same time.
func (s *Stack) startParts() {
	begun := time.Now()
	var g errgroup.Group
	part := func(f func()) {
		g.Go(func() (err error) {
			defer func() {
				if r := recover(); r != nil {
					err = fmt.Errorf("%v", r)
				}
			}()
			f()
			return nil
		})
	}
	part(func() { s.bin = harness.Build(s.tb, "github.com/sallyport/sallyport/cmd/sallyport") })
	part(func() { s.Redis = harness.StartRedis(s.tb, harness.RedisAppendOnly()) })
	part(func() {
		s.Samba = harness.StartSamba(s.tb, harness.LockoutThreshold(lockout))
		s.LDAP = harness.StartProxy(s.tb, s.Samba.Addr())
	})
	part(func() { s.Postgres = harness.StartPostgres(s.tb) })
	if err := g.Wait(); err != nil {
		s.tb.Fatal(err)
	}
	if s.tb.Failed() {
		s.tb.FailNow() // a part ended its goroutine with Fatal
	}
	var err error
	if s.Push, err = pushsim.Start(pushsim.Config{}); err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(s.Push.Close)
	s.Cloud = harness.StartBalancer(s.tb, s.addr(cloudBrowser, 0), s.addr(cloudBrowser, 1))
	s.Devices = harness.StartBalancer(s.tb, s.addr(tokensDevice, 0), s.addr(tokensDevice, 1))
	s.Service = harness.StartBalancer(s.tb, s.addr(tokensService, 0), s.addr(tokensService, 1))
	s.Browser = sync.OnceValue(func() *harness.Browser { return harness.StartChromium(s.tb) })
	s.tb.Logf("parts: %v", time.Since(begun).Round(time.Millisecond))
}

// The ports of the block, a pair each: one for either replica.
const (
	cloudBrowser = 2 * iota
	cloudTunnel
	cloudAdmin
	tokensDevice
	tokensService
	tokensAdmin
	applianceRADIUS
	appliancePeer
	applianceAdmin
	gatewayPort
)

func (s *Stack) addr(port, replica int) string {
	return fmt.Sprintf("127.0.0.1:%d", s.base+port+replica)
}

func (s *Stack) file(name string) string { return filepath.Join(s.dir, name) }

func (s *Stack) write(name, text string) (string, error) {
	path := s.file(name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	return path, nil
}

// CloudURL is where browsers and appliances reach the cloud over HTTP.
func (s *Stack) CloudURL() string { return fmt.Sprintf("http://localhost:%d", s.Cloud.Port()) }

// ReplicaURL is the address of one cloud replica alone.
func (s *Stack) ReplicaURL(i int) string { return "http://" + s.addr(cloudBrowser, i) }

// DeviceURL is where devices reach the token service.
func (s *Stack) DeviceURL() string { return fmt.Sprintf("http://localhost:%d", s.Devices.Port()) }

// Origin is the origin of the gateway's logon pages.
func (s *Stack) Origin() string { return fmt.Sprintf("http://localhost:%d", s.base+gatewayPort) }

// RADIUSAddrs are the addresses of the appliances' RADIUS servers.
func (s *Stack) RADIUSAddrs() []string {
	return []string{s.addr(applianceRADIUS, 0), s.addr(applianceRADIUS, 1)}
}

// TunnelAddrs are the addresses of the clouds' tunnel ends.
func (s *Stack) TunnelAddrs() []string {
	return []string{s.addr(cloudTunnel, 0), s.addr(cloudTunnel, 1)}
}

// Programs returns all processes of the product.
func (s *Stack) Programs() []*harness.Program {
	all := []*harness.Program{s.Clouds[0], s.Clouds[1], s.Tokens[0], s.Tokens[1], s.Appliances[0], s.Appliances[1]}
	return slices.DeleteFunc(all, func(p *harness.Program) bool { return p == nil })
}

// Logs returns everything that all processes have written.
func (s *Stack) Logs() string {
	var all strings.Builder
	for _, p := range s.Programs() {
		all.WriteString(p.Log())
	}
	return all.String()
}

// judge fails tb for what a process must never write, and keeps the logs of a failed one.
func judge(tb testing.TB, programs ...*harness.Program) {
	for _, p := range programs {
		if i := strings.Index(p.Log(), "WARNING: DATA RACE"); i >= 0 {
			tb.Errorf("%s reports a data race:\n%s", p.Name(), p.Log()[i:min(len(p.Log()), i+4000)])
		}
		if i := strings.Index(p.Log(), "\npanic: "); i >= 0 {
			tb.Errorf("%s panicked:\n%s", p.Name(), p.Log()[i:min(len(p.Log()), i+4000)])
		}
	}
	name := strings.NewReplacer("/", "-", " ", "-").Replace(tb.Name())
	for _, p := range programs {
		path := filepath.Join(harness.ArtifactDir(tb), fmt.Sprintf("%s-%s.log", name, p.Name()))
		if err := os.WriteFile(path, []byte(p.Log()), 0o644); err != nil {
			tb.Logf("keep log: %v", err)
		}
	}
}

// patience bounds every wait of a stack for something to come up.
const patience = 60 * time.Second

// Until polls f until it says true, at most for d; what names it in the failure.
func Until(tb testing.TB, d time.Duration, what string, f func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("never happened within %v: %s", d, what)
		}
	}
}
