package usersync_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/usersync"
	"github.com/sallyport/sallyport/test/harness"
)

// reads is the directory as the synchronisation reads it.
type reads struct{ *directory.Directory }

func (r reads) Read(ctx context.Context, domain sallyport.DomainID, f func(usersync.Source) error) error {
	return r.Directory.Read(ctx, domain, func(x *directory.Reader) error { return f(x) })
}

// world is a domain, a store, and what synchronises the one into the other.
type world struct {
	*testing.T
	dc     *harness.Samba
	dir    *directory.Directory
	store  *store.Store
	sync   *usersync.Service
	domain sallyport.Domain
	ahead  atomic.Int64 // of the clock
}

var admin = sallyport.Actor{Kind: sallyport.ActorAdministrator, ID: "a1", Name: "ann", Role: sallyport.RoleSuper}

const domainID = "hospital"

// hospital starts a world whose domain is the harness's, within OU=Staff.
func hospital(t *testing.T) *world {
	t.Helper()
	dc := harness.StartSamba(t)
	pem, err := os.ReadFile(dc.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	w := begin(t, sallyport.Domain{
		ID: domainID, Name: harness.UPNSuffix, NetBIOS: harness.SambaDomain, Servers: []string{dc.URL()}, Authority: string(pem),
		BindName: harness.ServiceDN, BindPassword: harness.ServicePass, Base: harness.SambaStaffDN,
	})
	w.dc = dc
	return w
}

func begin(t *testing.T, d sallyport.Domain) *world {
	t.Helper()
	w := &world{T: t}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	var err error
	if w.store, err = store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "appliance.db"), make(sallyport.Key, 32)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	if w.dir, err = directory.New(directory.Options{Log: log, Now: w.now, Timeout: 20 * time.Second}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.dir.Close)
	w.sync = w.appliance("appliance-1")
	w.put(d)
	return w
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// appliance is another one of the enterprise.
func (w *world) appliance(holder string) *usersync.Service {
	return usersync.New(usersync.Options{Store: w.store, Directory: reads{w.dir}, Holder: holder, Now: w.now, Log: slog.New(slog.NewTextHandler(w.Output(), nil))})
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// put saves the domain, and has the directory take it.
func (w *world) put(d sallyport.Domain) {
	w.Helper()
	saved, err := w.store.As(admin).PutDomain(w.Context(), d)
	w.must(err)
	w.domain = saved
	list, err := w.store.Domains(w.Context())
	w.must(err)
	w.must(w.dir.Set(list))
}

// run synchronises, and holds the counts against want: "added changed removed".
func (w *world) run(kind sallyport.SynchronisationKind, want string) sallyport.Synchronisation {
	w.Helper()
	y, err := w.sync.Synchronise(w.Context(), domainID, kind, admin)
	w.must(err)
	if y.State != sallyport.SynchronisationDone {
		w.Fatalf("%s: %s %q", kind, y.State, y.Message)
	}
	if got := fmt.Sprint(y.Added, y.Changed, y.Removed); got != want {
		w.Errorf("%s: %s, want %s", kind, got, want)
	}
	return y
}

// list returns the names of those who are in the list, with a mark on those who are disabled.
func (w *world) list() string {
	w.Helper()
	var names []string
	w.must(w.store.EachUser(w.Context(), store.UserQuery{Domain: domainID}, func(u sallyport.User) error {
		name := u.Account.User()
		if u.State == sallyport.UserDisabled {
			name += "(disabled)"
		}
		names = append(names, name)
		return nil
	}))
	slices.Sort(names)
	return strings.Join(names, " ")
}

func (w *world) user(name string) sallyport.User {
	w.Helper()
	u, err := w.store.UserByAccount(w.Context(), sallyport.NewAccountName(harness.SambaDomain, name))
	w.must(err)
	return u
}

// policy makes a user policy.
func (w *world) policy(name string) sallyport.UserPolicyID {
	w.Helper()
	p, err := w.store.As(admin).PutUserPolicy(w.Context(), sallyport.UserPolicy{ID: sallyport.UserPolicyID(strings.ToLower(name)), Name: name})
	w.must(err)
	return p.ID
}

// rules sets the assignment rules, each "ou DN" or "group DN" to a policy.
func (w *world) rules(rules ...sallyport.AssignmentRule) {
	w.Helper()
	_, version, err := w.store.AssignmentRules(w.Context())
	w.must(err)
	w.must(w.store.As(admin).SetAssignmentRules(w.Context(), rules, version))
}

func rule(kind sallyport.ObjectKind, dn string, p sallyport.UserPolicyID) sallyport.AssignmentRule {
	return sallyport.AssignmentRule{Domain: domainID, Object: sallyport.DirectoryObject{Kind: kind, DN: dn}, Policy: p}
}

// policies returns who has which policy by which source.
func (w *world) policies(names ...string) string {
	w.Helper()
	var all []string
	for _, n := range names {
		u := w.user(n)
		all = append(all, fmt.Sprintf("%s:%s/%s", n, u.Policy, u.PolicyFrom))
	}
	return strings.Join(all, " ")
}

func staff(name string) string { return "CN=" + name + "," + harness.SambaStaffDN }

func addOU(c *ldap.Conn, dn string) error {
	r := ldap.NewAddRequest(dn, nil)
	r.Attribute("objectClass", []string{"organizationalUnit"})
	return c.Add(r)
}

func replace(c *ldap.Conn, dn, attribute string, values ...string) error {
	r := ldap.NewModifyRequest(dn, nil)
	r.Replace(attribute, values)
	return c.Modify(r)
}

func move(c *ldap.Conn, dn, to string) error {
	rdn, _, _ := strings.Cut(dn, ",")
	return c.ModifyDN(ldap.NewModifyDNRequest(dn, rdn, true, to))
}
