package console

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/usersync"
	"github.com/sallyport/sallyport/internal/pki"
	"github.com/sallyport/sallyport/test/ldapsim"
)

const servicePassword = "svc p4ssword & more"

// clinic is a world whose domain answers: a controller in this process with twelve users.
type clinic struct {
	*world
	server    string // its address
	authority string // its issuer, in PEM
}

func newClinic(t *testing.T) *clinic {
	t.Helper()
	c := &clinic{}
	c.serve(t)
	c.world = newWorld(t, worldOptions{admin: func(cfg *admin.Config) {
		d, err := directory.New(directory.Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: time.Now, Timeout: 20 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(d.Close)
		live := liveDomains{d, cfg.Store}
		cfg.Domains = live
		cfg.Synchroniser = atOnce{usersync.New(usersync.Options{Store: cfg.Store, Directory: live, Holder: "a1", Now: cfg.Now, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})}
	}})
	return c
}

func (c *clinic) serve(t *testing.T) {
	t.Helper()
	ca, err := pki.NewCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.ServerCertificate(time.Now(), time.Hour, "localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	cfg := ldapsim.Config{NetBIOS: "HOSPITAL", DNSName: "hospital.test", Now: time.Now, LockoutThreshold: 4, Users: []ldapsim.User{{Name: "svc", Password: servicePassword}},
		Groups: []ldapsim.Group{{Name: "VPN users", OU: "Groups", Members: []string{"alice"}}, {Name: "VPN doctors", OU: "Groups", Members: []string{"bob"}}, {Name: "Kitchen", OU: "Groups"}}}
	for i, name := range []string{"alice", "bob", "carol", "dora", "emil", "fritz", "gina", "hugo", "ida", "jan", "karl", "lena"} {
		ou := []string{"Wards", "Offices"}[i%2]
		cfg.Users = append(cfg.Users, ldapsim.User{Name: name, OU: ou, DisplayName: strings.ToUpper(name[:1]) + name[1:] + " Example", Mail: name + "@hospital.test", Password: "right"})
	}
	srv, err := ldapsim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := srv.Serve(l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { srv.Close(); wg.Wait() })
	c.server, c.authority = "ldaps://"+l.Addr().(*net.TCPAddr).String(), string(ca.CertPEM())
}

// liveDomains are the domains as the store has them at the time.
type liveDomains struct {
	*directory.Directory
	store *store.Store
}

func (l liveDomains) set(ctx context.Context) error {
	list, err := l.store.Domains(ctx)
	if err != nil {
		return err
	}
	return l.Directory.Set(list)
}

func (l liveDomains) States(ctx context.Context) []directory.State {
	if l.set(ctx) != nil {
		return nil
	}
	return l.Directory.States(ctx)
}

func (l liveDomains) Tree(ctx context.Context, id sallyport.DomainID, parent string) ([]directory.Branch, bool, error) {
	if err := l.set(ctx); err != nil {
		return nil, false, err
	}
	return l.Directory.Tree(ctx, id, parent)
}

func (l liveDomains) Read(ctx context.Context, id sallyport.DomainID, f func(usersync.Source) error) error {
	if err := l.set(ctx); err != nil {
		return err
	}
	return l.Directory.Read(ctx, id, func(r *directory.Reader) error { return f(r) })
}

// atOnce synchronises while the request waits, so that tests need not.
type atOnce struct{ *usersync.Service }

func (a atOnce) Start(ctx context.Context, d sallyport.DomainID, kind sallyport.SynchronisationKind, actor sallyport.Actor) (sallyport.Synchronisation, error) {
	return a.Synchronise(ctx, d, kind, actor)
}

func (a atOnce) Confirm(ctx context.Context, d sallyport.DomainID, id string, actor sallyport.Actor) (sallyport.Synchronisation, error) {
	return a.ConfirmNow(ctx, d, id, actor)
}
