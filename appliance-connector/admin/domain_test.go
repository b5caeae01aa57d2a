package admin

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// controllers answer for domains: they say what they were asked with.
type controllers struct {
	*directory.Directory
	tried []sallyport.Domain
	err   error
}

func (c *controllers) Try(_ context.Context, d sallyport.Domain) (directory.Found, error) {
	c.tried = append(c.tried, d)
	return directory.Found{NetBIOS: "HOSPITAL", DNSName: "hospital.test", Base: "DC=hospital,DC=test"}, c.err
}

func domainsOf(t *testing.T) (*Service, *store.Store, *controllers) {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), sallyport.Key(strings.Repeat("m", 32)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	d, err := directory.New(directory.Options{Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	c := &controllers{Directory: d}
	s, err := New(Config{Store: db, Key: sallyport.Key(strings.Repeat("k", 32)), Domains: c})
	if err != nil {
		t.Fatal(err)
	}
	return s, db, c
}

var keepsDomains = sallyport.Actor{Kind: sallyport.ActorAdministrator, ID: "1", Name: "ann", Role: sallyport.RoleSuper}

func newDomain() sallyport.Domain {
	return sallyport.Domain{Servers: []string{"ldaps://dc1.hospital.test"}, BindName: "svc@hospital.test", BindPassword: "svc password"}
}

func TestADomainIsSavedOnceItWasFoundToAnswer(t *testing.T) {
	s, db, c := domainsOf(t)
	c.err = sallyport.Errorf(sallyport.CodeInvalid, "dc1.hospital.test:636 does not answer.", nil)
	if _, err := s.PutDomain(t.Context(), keepsDomains, newDomain(), false); sallyport.ErrorMessage(err) != "dc1.hospital.test:636 does not answer." {
		t.Errorf("one that does not answer: %v", err)
	}
	if list, err := db.Domains(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("it was saved all the same: %v, %v", list, err)
	}
	c.err = nil
	saved, err := s.PutDomain(t.Context(), keepsDomains, newDomain(), false)
	if err != nil || saved.Domain.Name != "hospital.test" || saved.Domain.NetBIOS != "HOSPITAL" || saved.Domain.BindPassword != "" {
		t.Fatalf("saved: %+v, %v", saved.Domain, err)
	}
	list, err := s.Domains(t.Context(), keepsDomains)
	if err != nil || len(list) != 1 || list[0].Domain.BindPassword != "" || list[0].Problem == "" || list[0].Scheduled {
		t.Errorf("list: %+v, %v", list, err)
	}
}

func TestAPasswordGoesToNobodyElseThanBefore(t *testing.T) {
	s, _, c := domainsOf(t)
	saved, err := s.PutDomain(t.Context(), keepsDomains, newDomain(), false)
	if err != nil {
		t.Fatal(err)
	}
	d := saved.Domain
	d.Every = time.Hour
	if saved, err = s.PutDomain(t.Context(), keepsDomains, d, false); err != nil || c.tried[len(c.tried)-1].BindPassword != "svc password" {
		t.Fatalf("with the password kept: %v", err)
	}
	before := len(c.tried)
	for what, change := range map[string]func(*sallyport.Domain){
		"another server":    func(d *sallyport.Domain) { d.Servers = []string{"ldaps://dc1.hospital.test", "ldaps://evil.test"} },
		"another authority": func(d *sallyport.Domain) { d.Authority = "-----BEGIN CERTIFICATE-----" },
		"another account":   func(d *sallyport.Domain) { d.BindName = "other@hospital.test" },
	} {
		changed := saved.Domain
		changed.Servers = append([]string(nil), changed.Servers...)
		change(&changed)
		var f FieldErrors
		if _, err := s.TryDomain(t.Context(), keepsDomains, changed); !errors.As(err, &f) || f["bindPassword"] == "" {
			t.Errorf("%s: tried: %v", what, err)
		}
		if _, err := s.PutDomain(t.Context(), keepsDomains, changed, true); !errors.As(err, &f) {
			t.Errorf("%s: saved: %v", what, err)
		}
	}
	if len(c.tried) != before {
		t.Errorf("the password was sent on: %+v", c.tried[before:])
	}
}
