package conformance

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// authority makes a certificate in PEM.
func authority(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: start, NotAfter: start.Add(time.Hour), IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func domainComesBack(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address).As(chief), t.Context()
	want := NewDomain("hospital")
	want.Authority = authority(t) + authority(t)
	got, err := s.PutDomain(ctx, want)
	must(t, err)
	want.Version = 1
	if !reflect.DeepEqual(got, want) || got.BindPassword != "bind-password-of-hospital" {
		t.Fatalf("put %+v, want %+v", got, want)
	}
	bare := sallyport.Domain{Name: "Clinic.example", NetBIOS: "CLINIC", Servers: []string{"ldap://[2001:db8::1]:389"}, BindName: "CN=r", BindPassword: "x"}
	bare, err = s.PutDomain(ctx, bare)
	must(t, err)
	if bare.ID == "" || bare.Version != 1 {
		t.Fatalf("a domain without an identifier: %+v", bare)
	}
	list, err := s.Domains(ctx)
	if err != nil || !reflect.DeepEqual(list, []sallyport.Domain{bare, want}) {
		t.Fatalf("list %+v, %v", list, err)
	}
	want.Every, want.BindPassword = 0, ""
	got, err = s.PutDomain(ctx, want)
	must(t, err)
	again, err := s.Domain(ctx, "hospital")
	if err != nil || !reflect.DeepEqual(got, again) || again.Version != 2 || again.BindPassword != "bind-password-of-hospital" {
		t.Errorf("replaced without its password: %+v, %v; password %q", again, err, string(again.BindPassword))
	}
	wantOvertaken(t, second(s.PutDomain(ctx, want)))
	want.Version = 0
	wantWords(t, second(s.PutDomain(ctx, want)), sallyport.CodeConflict, `"hospital"`)
	want.ID, want.Version = "other", 7
	wantCode(t, second(s.PutDomain(ctx, want)), sallyport.CodeNotFound)
	_, err = s.Domain(ctx, "other")
	wantCode(t, err, sallyport.CodeNotFound)
	r := lastRecord(t, s, "domain.change")
	if r.Actor.Name != chief.Name || r.ObjectID != "hospital" || !bytes.Contains(r.After, []byte("[redacted]")) {
		t.Errorf("recorded %+v: %s", r, r.After)
	}
	if dump := e.Dump(t, address); holds(dump, []byte("bind-password-of-hospital")) || !bytes.Contains(dump, []byte("reader@hospital.example")) {
		t.Error("the service account's password stands in the database, or its name does not")
	}
}

// second drops the first of two results.
func second[T any](_ T, err error) error { return err }

func domainRefused(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	must(t, second(s.PutDomain(ctx, NewDomain("hospital"))))
	for name, spoil := range map[string]func(*sallyport.Domain){
		"no name":              func(d *sallyport.Domain) { d.Name = "" },
		"name with a space":    func(d *sallyport.Domain) { d.Name = "a b" },
		"no NetBIOS name":      func(d *sallyport.Domain) { d.NetBIOS = "" },
		"long NetBIOS name":    func(d *sallyport.Domain) { d.NetBIOS = strings.Repeat("A", 16) },
		"NetBIOS name with \\": func(d *sallyport.Domain) { d.NetBIOS = `A\B` },
		"no servers":           func(d *sallyport.Domain) { d.Servers = nil },
		"many servers":         func(d *sallyport.Domain) { d.Servers = make([]string, 17) },
		"server twice":         func(d *sallyport.Domain) { d.Servers = []string{"ldaps://a", "ldaps://a"} },
		"server by http":       func(d *sallyport.Domain) { d.Servers = []string{"http://a"} },
		"server with a path":   func(d *sallyport.Domain) { d.Servers = []string{"ldaps://a/b"} },
		"server with a name":   func(d *sallyport.Domain) { d.Servers = []string{"ldaps://u:p@a"} },
		"authority that is no": func(d *sallyport.Domain) { d.Authority = "hello" },
		"authority, a key": func(d *sallyport.Domain) {
			d.Authority = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
		},
		"authority, broken": func(d *sallyport.Domain) {
			d.Authority = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
		},
		"no service account": func(d *sallyport.Domain) { d.BindName = "" },
		"no password":        func(d *sallyport.Domain) { d.BindPassword = "" },
		"base that is no":    func(d *sallyport.Domain) { d.Base = "everything" },
		"scope that is no":   func(d *sallyport.Domain) { d.Scope = []sallyport.DirectoryObject{{Kind: "tree", DN: "OU=a"}} },
		"scope twice":        func(d *sallyport.Domain) { d.Scope = append(d.Scope, d.Scope[0]) },
		"every second":       func(d *sallyport.Domain) { d.Every = time.Second },
		"every 32 days":      func(d *sallyport.Domain) { d.Every = 32 * 24 * time.Hour },
	} {
		d := NewDomain("clinic")
		spoil(&d)
		if _, err := s.PutDomain(ctx, d); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, same := range map[string]func(*sallyport.Domain){
		"name":         func(d *sallyport.Domain) { d.Name = "HOSPITAL.example" },
		"NetBIOS name": func(d *sallyport.Domain) { d.NetBIOS = "Hospital" },
	} {
		d := NewDomain("clinic")
		same(&d)
		if _, err := s.PutDomain(ctx, d); sallyport.ErrorCode(err) != sallyport.CodeConflict || !strings.Contains(sallyport.ErrorMessage(err), "hospital.example") {
			t.Errorf("the %s of another domain: got %v", name, err)
		}
	}
}

// A domain edited behind the store's back does not get the password of the service account.
func domainEdited(t *testing.T, e Engine) {
	for _, statement := range []string{
		`UPDATE domains SET servers = '["ldaps://evil.example"]'`,
		`UPDATE domains SET authority = 'evil'`,
		`UPDATE domains SET name = 'evil.example'`,
		`UPDATE domains SET bind_name = 'evil'`,
	} {
		address := e.Fresh(t)
		s := Open(t, address)
		must(t, second(s.PutDomain(t.Context(), NewDomain("hospital"))))
		e.Exec(t, address, statement)
		if _, err := s.Domains(t.Context()); sallyport.ErrorCode(err) != sallyport.CodeInternal {
			t.Errorf("%s: got %v", statement, err)
		}
	}
}

func domainDeleted(t *testing.T, e Engine) {
	s, ctx := hospital(t, e).As(chief), t.Context()
	must(t, second(s.PutDomain(ctx, NewDomain("clinic"))))
	apply(t, s, person("A", "alice"), person("B", "bob"))
	other := person("C", "carol")
	other.Account = `clinic\carol`
	must(t, second(s.ApplyUsers(ctx, "clinic", []store.UserChange{other})))
	must(t, s.PutSynchronisation(ctx, newSynchronisation("y1", start)))
	rule := func(domain sallyport.DomainID) sallyport.AssignmentRule {
		return sallyport.AssignmentRule{Domain: domain, Policy: "default", Object: sallyport.DirectoryObject{Kind: sallyport.ObjectOU, DN: "OU=a"}}
	}
	must(t, s.SetAssignmentRules(ctx, []sallyport.AssignmentRule{rule("hospital"), rule("clinic")}, 1))
	wantOvertaken(t, s.DeleteDomain(ctx, "hospital", 7))
	must(t, s.DeleteDomain(ctx, "hospital", 1))
	wantCode(t, s.DeleteDomain(ctx, "hospital", 1), sallyport.CodeNotFound)
	if got := accounts(t, s, store.UserQuery{}); got != "carol" {
		t.Errorf("users of the other domain: %q", got)
	}
	if got := accounts(t, s, store.UserQuery{State: sallyport.UserRemoved}); got != "alice bob" {
		t.Errorf("removed users: %q", got)
	}
	if rules, version, err := s.AssignmentRules(ctx); err != nil || version != 3 || !reflect.DeepEqual(rules, []sallyport.AssignmentRule{rule("clinic")}) {
		t.Errorf("rules: %+v, version %d, %v", rules, version, err)
	}
	if list, err := s.Synchronisations(ctx, "hospital", 10); err != nil || len(list) != 0 {
		t.Errorf("synchronisations: %v, %v", list, err)
	}
	wantCode(t, second(s.ApplyUsers(ctx, "hospital", []store.UserChange{person("A", "alice")})), sallyport.CodeNotFound)
	if r := lastRecord(t, s, "domain.delete"); !bytes.Contains(r.Before, []byte(`"Users":2`)) || r.After != nil {
		t.Errorf("recorded %s, %s", r.Before, r.After)
	}
}

func newSynchronisation(id string, began time.Time) sallyport.Synchronisation {
	return sallyport.Synchronisation{ID: id, Domain: "hospital", Kind: sallyport.SynchroniseFull,
		State: sallyport.SynchronisationRunning, Started: began, Told: began.Add(time.Second), By: "schedule"}
}

func synchronisations(t *testing.T, e Engine) {
	s, ctx := hospital(t, e), t.Context()
	y := newSynchronisation("y1", start)
	quiet := func(do func(context.Context) error) {
		t.Helper()
		if raises(t, s, do) {
			t.Error("the progress of a synchronisation raised the revision")
		}
	}
	quiet(func(ctx context.Context) error { return s.PutSynchronisation(ctx, y) })
	y.State, y.Ended, y.Read, y.Added, y.Changed, y.Removed = sallyport.SynchronisationAsks, start.Add(time.Minute), 4, 3, 2, 1
	y.Message = "It would remove\x00 1 user."
	quiet(func(ctx context.Context) error { return s.PutSynchronisation(ctx, y) })
	y.Message = "It would remove  1 user."
	if list, err := s.Synchronisations(ctx, "hospital", 10); err != nil || !reflect.DeepEqual(list, []sallyport.Synchronisation{y}) {
		t.Fatalf("got %+v, %v; want %+v", list, err, y)
	}
	for n := range 205 {
		must(t, s.PutSynchronisation(ctx, newSynchronisation(fmt.Sprintf("z%03d", n), start.Add(time.Duration(n+1)*time.Hour))))
	}
	list, err := s.Synchronisations(ctx, "hospital", 200)
	if err != nil || len(list) != 200 || list[0].ID != "z204" || list[199].ID != "z005" {
		t.Fatalf("%d synchronisations, %v", len(list), err)
	}
	if list, err := s.Synchronisations(ctx, "hospital", 2); err != nil || len(list) != 2 || list[1].ID != "z203" {
		t.Errorf("two: %+v, %v", list, err)
	}
	for name, spoil := range map[string]func(*sallyport.Synchronisation){
		"no id":    func(y *sallyport.Synchronisation) { y.ID = "" },
		"kind":     func(y *sallyport.Synchronisation) { y.Kind = "half" },
		"state":    func(y *sallyport.Synchronisation) { y.State = "lost" },
		"count":    func(y *sallyport.Synchronisation) { y.Removed = -1 },
		"no time":  func(y *sallyport.Synchronisation) { y.Started = time.Time{} },
		"nobody":   func(y *sallyport.Synchronisation) { y.By = "" },
		"long who": func(y *sallyport.Synchronisation) { y.By = strings.Repeat("x", 257) },
	} {
		wrong := newSynchronisation("w", start)
		spoil(&wrong)
		if err := s.PutSynchronisation(ctx, wrong); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
	wrong := newSynchronisation("w", start)
	wrong.Domain = "nowhere"
	wantCode(t, s.PutSynchronisation(ctx, wrong), sallyport.CodeNotFound)
}

func syncCursor(t *testing.T, e Engine) {
	s, ctx := hospital(t, e), t.Context()
	want := func(cursor string) {
		t.Helper()
		if got, err := s.SyncCursor(ctx, "hospital"); err != nil || string(got) != cursor {
			t.Errorf("cursor %q, %v; want %q", got, err, cursor)
		}
	}
	want("")
	if raises(t, s, func(ctx context.Context) error { return s.SetSyncCursor(ctx, "hospital", []byte("cookie \x00\xff")) }) {
		t.Error("a cursor raised the revision")
	}
	want("cookie \x00\xff")
	d, err := s.Domain(ctx, "hospital")
	must(t, err)
	d.Every = 2 * time.Hour
	d, err = s.PutDomain(ctx, d)
	must(t, err)
	want("cookie \x00\xff")
	d.Scope = nil
	must(t, second(s.PutDomain(ctx, d)))
	want("") // others are synchronised now: everything has to be read
	must(t, s.SetSyncCursor(ctx, "hospital", nil))
	wantCode(t, s.SetSyncCursor(ctx, "nowhere", nil), sallyport.CodeNotFound)
	wantCode(t, second(s.SyncCursor(ctx, "nowhere")), sallyport.CodeNotFound)
	wantCode(t, s.SetSyncCursor(ctx, "hospital", make([]byte, 256<<10+1)), sallyport.CodeInvalid)
}

func syncLease(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	must(t, second(s.PutDomain(ctx, NewDomain("hospital"))))
	lease := func(holder string, now, until time.Duration, want bool) {
		t.Helper()
		if got, err := s.LeaseSynchronisation(ctx, "hospital", holder, start.Add(now), start.Add(until)); err != nil || got != want {
			t.Errorf("%s at %v: %v, %v; want %v", holder, now, got, err, want)
		}
	}
	lease("a", 0, time.Minute, true)
	lease("b", 0, time.Minute, false)
	lease("a", time.Second, 2*time.Minute, true)
	lease("b", time.Minute, 3*time.Minute, false)
	lease("b", 2*time.Minute, 3*time.Minute, true)
	lease("b", 2*time.Minute, 2*time.Minute, true) // given back
	lease("a", 2*time.Minute, 3*time.Minute, true)
	wantCode(t, second(s.LeaseSynchronisation(ctx, "nowhere", "a", start, start)), sallyport.CodeNotFound)
	holders := make(chan string, 1000)
	atOnce(t, address, func(ctx context.Context, s *store.Store) (bool, error) {
		holder := sallyport.NewID()
		got, err := s.LeaseSynchronisation(ctx, "hospital", holder, start.Add(time.Hour), start.Add(2*time.Hour))
		if got {
			holders <- holder
		}
		return got, err
	})
	if len(holders) != 1 {
		t.Errorf("%d of 1,000 got the lease", len(holders))
	}
}
