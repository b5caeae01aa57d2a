package stack

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/test/browserclient"
	"github.com/sallyport/sallyport/test/harness"
)

// Branch is a further enterprise at the same cloud, with one appliance that keeps its store in a file,
// for tests that do to an appliance what others would notice.
type Branch struct {
	*harness.Program
	s         *Stack
	Tenant    sallyport.TenantID
	Appliance sallyport.ApplianceID
	Dir       string
	Code      sallyport.Secret // the provisioning code, used
	Store     *store.Store

	RADIUSAddr   string
	RADIUSSecret sallyport.Secret
	Integration  sallyport.IntegrationID

	config, admin, cloud, fingerprint, accessToken string
	database                                       string // address of the store; empty: SQLite in Dir
}

// NewBranch sets a further enterprise up, without starting its appliance.
func (s *Stack) NewBranch(tb testing.TB) *Branch {
	tb.Helper()
	return s.newBranch(tb, "", s.CloudURL(), s.TunnelAddrs()...)
}

// newBranch is NewBranch at a part of the cloud, with a database of its own unless it is to keep its store in a file.
func (s *Stack) newBranch(tb testing.TB, database, cloud string, tunnels ...string) *Branch {
	tb.Helper()
	base := harness.PortBlock(tb)
	b := &Branch{s: s, cloud: cloud, database: database, RADIUSAddr: fmt.Sprintf("127.0.0.1:%d", base), admin: fmt.Sprintf("127.0.0.1:%d", base+1)}
	var err error
	if b.Tenant, b.Code, err = s.CreateEnterprise("Branch of the test"); err != nil {
		tb.Fatal(err)
	}
	name := "branch-" + string(b.Tenant)
	b.Dir, b.config = s.file(name), s.file(name+".yaml")
	r, err := s.Trust(cloud, b.Dir, b.Tenant, b.Code)
	if err != nil {
		tb.Fatal(err)
	}
	b.Appliance, b.fingerprint = applianceIn(r), after(r.Stdout, "Root key fingerprint: ")
	b.Tunnels(tb, tunnels...)
	b.AddDomain(tb)
	if b.Integration, b.RADIUSSecret, err = s.addIntegration(b.config, Nickname, "127.0.0.1", s.Origin()); err != nil {
		tb.Fatal(err)
	}
	if _, _, _, b.accessToken, err = s.script(b.config, b.Integration); err != nil {
		tb.Fatal(err)
	}
	if b.Store, err = s.goLive(tb, b.Dir, database); err != nil {
		tb.Fatal(err)
	}
	b.Program = s.appliance(tb, name, b.config, b.admin)
	return b
}

// AddDomain adds the directory's domain to the branch.
func (b *Branch) AddDomain(tb testing.TB) {
	tb.Helper()
	if err := b.s.addDomain(b.config); err != nil {
		tb.Fatal(err)
	}
}

// Tunnels has the appliance dial the cloud at other addresses from its next start on.
func (b *Branch) Tunnels(tb testing.TB, addrs ...string) {
	tb.Helper()
	err := b.s.describe(b.config, settings{data: b.Dir, store: b.database, radius: b.RADIUSAddr, admin: b.admin, tunnels: addrs})
	if err != nil {
		tb.Fatal(err)
	}
}

// TokenService has the appliance dial the token service at another address from its next start on.
func (b *Branch) TokenService(tb testing.TB, addr string) {
	tb.Helper()
	name := filepath.Join(b.Dir, "trust.json")
	text, err := os.ReadFile(name)
	trust := map[string]any{}
	if err == nil {
		err = json.Unmarshal(text, &trust)
	}
	if err == nil {
		trust["tokensvcAddress"] = addr
		if text, err = json.Marshal(trust); err == nil {
			err = os.WriteFile(name, text, 0o600)
		}
	}
	if err != nil {
		tb.Fatalf("move token service: %v", err)
	}
}

// Page is a browser at the branch's logon page.
func (b *Branch) Page() *browserclient.Client {
	c := b.s.Page()
	c.Base = b.cloud
	c.Tenant, c.Integration, c.Fingerprint, c.AccessToken = b.Tenant, b.Integration, b.fingerprint, b.accessToken
	return c
}

// PageAt is a browser at the branch's logon page that reaches one of the stack's own cloud replicas alone.
func (b *Branch) PageAt(replica int) *browserclient.Client {
	c := b.Page()
	c.Base = b.s.ReplicaURL(replica)
	return c
}

// Invite runs 'sallyport appliance enrol' on the branch's appliance up to the link.
func (b *Branch) Invite(tb testing.TB, user string) *Enrolment {
	tb.Helper()
	return b.s.invite(tb, b.config, user)
}

// Complete enrols a phone with an invitation of the branch.
func (b *Branch) Complete(tb testing.TB, e *Enrolment) *Device {
	tb.Helper()
	return b.s.complete(tb, e)
}

// Run runs an administrative command with the branch's settings.
func (b *Branch) Run(args ...string) (Result, error) {
	return b.s.Run(append(args, "--config", b.config)...)
}

// Ready asks the appliance whether it can work; "" is yes.
func (b *Branch) Ready(tb testing.TB) string {
	tb.Helper()
	if err := ready(b.admin)(tb.Context()); err != nil {
		return err.Error()
	}
	return ""
}
