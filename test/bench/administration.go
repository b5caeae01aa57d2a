package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"time"

	"github.com/sallyport/sallyport"
	appliance "github.com/sallyport/sallyport/appliance-connector"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/test/ldapsim"
)

// staff is an enterprise that is large for one appliance.
const staff = 100_000

var givenNames = []string{"Alice", "Bob", "Carol", "David", "Émile", "Fatma", "Gül", "Hassan", "Inés", "Jürgen", "Karl", "Łucja", "Maria", "Nuno", "Olive", "Petra"}

var familyNames = []string{"Archer", "Baker", "Carter", "Díaz", "Evans", "Fischer", "García", "Haddad", "Ivanov", "Jones", "Kaya", "Larsen", "Müller", "Nowak", "Öztürk", "Roux"}

// measureAdministration has 100,000 users of a directory in the store, and does with them what
// administrators do; with either engine.
func measureAdministration(ctx context.Context, b *bench) ([]row, error) {
	w, err := b.newWorld(ctx)
	if err != nil {
		return nil, err
	}
	defer w.close()
	n := pick(b, staff, 1000)
	domain, err := w.startStaff(ctx, n)
	if err != nil {
		return nil, err
	}
	rows, err := w.administerIn(ctx, "SQLite", w.file("people.db"), domain, n)
	if err != nil {
		return rows, err
	}
	err = withPostgres(func(address string) error {
		more, err := w.administerIn(ctx, "PostgreSQL", address, domain, n)
		rows = append(rows, more...)
		return err
	})
	return rows, err
}

// administerIn is administer in a store of its own. What is measured is named by the engine.
func (w *world) administerIn(ctx context.Context, engine, address string, domain sallyport.Domain, n int) ([]row, error) {
	db, err := store.Open(ctx, address, sallyport.Key(rand.Text()[:16]+rand.Text()[:16]))
	if err != nil {
		return nil, err
	}
	rows, err := w.administer(ctx, db, domain, n, slog.New(slog.DiscardHandler))
	for i := range rows {
		rows[i].what = engine + ", " + rows[i].what
	}
	return rows, errors.Join(err, db.Close())
}

// startStaff serves a directory of n users in this process and returns its domain.
func (w *world) startStaff(ctx context.Context, n int) (d sallyport.Domain, err error) {
	cfg := ldapsim.Config{NetBIOS: netbios, DNSName: "hospital.test", Now: time.Now, Users: make([]ldapsim.User, n+1)}
	password := sallyport.NewCode(4)
	for i := range n {
		given, family := givenNames[i%len(givenNames)], familyNames[i/len(givenNames)%len(familyNames)]
		name := fmt.Sprintf("user%06d", i)
		cfg.Users[i] = ldapsim.User{Name: name, OU: fmt.Sprintf("Ward %d", i%100), DisplayName: fmt.Sprintf("%s %s %d", given, family, i), Mail: name + "@hospital.test", Password: password}
	}
	cfg.Users[n] = ldapsim.User{Name: "svc", Password: password}
	s, err := ldapsim.New(cfg)
	if err != nil {
		return d, err
	}
	cert, err := w.keys.CA.ServerCertificate(time.Now(), 24*time.Hour, "localhost")
	if err != nil {
		return d, err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}})
	if err != nil {
		return d, fmt.Errorf("listen: %w", err)
	}
	go func() { _ = s.Serve(l) }()
	context.AfterFunc(ctx, s.Close)
	return sallyport.Domain{
		Name: "hospital.test", NetBIOS: netbios, Base: "DC=hospital,DC=test", Servers: []string{fmt.Sprintf("ldaps://localhost:%d", l.Addr().(*net.TCPAddr).Port)},
		Authority: string(w.keys.CA.CertPEM()), BindName: "svc@hospital.test", BindPassword: password,
	}, nil
}

func (w *world) administer(ctx context.Context, db *store.Store, domain sallyport.Domain, n int, log *slog.Logger) (rows []row, err error) {
	domain, err = db.PutDomain(ctx, domain)
	if err != nil {
		return nil, err
	}
	dir, err := appliance.OpenDirectory(ctx, db, 0, log)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	s := appliance.NewSynchroniser(db, dir, "bench", log)
	for _, kind := range []struct {
		what   string
		kind   sallyport.SynchronisationKind
		target time.Duration
	}{
		{"first synchronisation", sallyport.SynchroniseFull, 2 * time.Minute},
		{"full synchronisation without a change", sallyport.SynchroniseFull, time.Minute},
		{"incremental synchronisation without a change", sallyport.SynchroniseChanges, 10 * time.Second},
	} {
		begun := time.Now()
		y, err := s.Synchronise(ctx, domain.ID, kind.kind, sallyport.Actor{Kind: sallyport.ActorSystem, Name: "bench"})
		if err == nil && y.State != sallyport.SynchronisationDone {
			err = errors.New(y.Message)
		}
		if err != nil {
			return rows, fmt.Errorf("%s: %w", kind.what, err)
		}
		took := time.Since(begun)
		rows = append(rows, row{what: fmt.Sprintf("%s users: %s, directory in the same process", count(n), kind.what),
			ours: took.Round(10 * time.Millisecond).String(), target: "≤ " + kind.target.String(), met: took <= kind.target})
	}
	more, err := w.look(ctx, db, n)
	return append(rows, more...), err
}

// look searches, turns pages and assigns.
func (w *world) look(ctx context.Context, db *store.Store, n int) (rows []row, err error) {
	random := mathrand.New(mathrand.NewPCG(1, 2))
	var page store.UserPage
	for _, q := range []struct {
		what  string
		query func() store.UserQuery
	}{
		{"search by two words of a name, first page", func() store.UserQuery {
			return store.UserQuery{Text: givenNames[random.IntN(len(givenNames))][:3] + " " + familyNames[random.IntN(len(familyNames))][:3]}
		}},
		{"search by account name", func() store.UserQuery { return store.UserQuery{Text: fmt.Sprintf("user%06d", random.IntN(n))} }},
		{"next page of everybody", func() store.UserQuery { return store.UserQuery{After: page.Next} }},
		{"first page of an organisational unit", func() store.UserQuery {
			return store.UserQuery{OU: fmt.Sprintf("OU=Ward %d,DC=hospital,DC=test", random.IntN(100))}
		}},
	} {
		var times []time.Duration
		page = store.UserPage{}
		for range pick(w.bench, 100, 10) {
			query := q.query()
			begun := time.Now()
			if page, err = db.Users(ctx, query); err != nil {
				return rows, err
			}
			if len(page.Users) == 0 {
				return rows, fmt.Errorf("%s: nobody found with %+v", q.what, query)
			}
			times = append(times, time.Since(begun))
		}
		p50, p95 := median(times), quantile(times, 0.95)
		rows = append(rows, row{what: fmt.Sprintf("%s users: %s", count(n), q.what), ours: fmt.Sprintf("p50 %s, p95 %s", millis(p50), millis(p95)), target: "p95 ≤ 100 ms", met: p95 <= 100*time.Millisecond})
	}
	p, err := db.PutUserPolicy(ctx, sallyport.UserPolicy{Name: "Everybody"})
	if err != nil {
		return rows, err
	}
	begun := time.Now()
	changed, err := db.AssignPolicy(ctx, store.UserQuery{}, p.ID, sallyport.PolicyByHand)
	took := time.Since(begun)
	if err == nil && changed < n {
		err = fmt.Errorf("%d of %d assigned", changed, n)
	}
	return append(rows, row{what: fmt.Sprintf("%s users: a policy assigned to all at once", count(n)), ours: took.Round(10 * time.Millisecond).String(), target: "≤ 10 s", met: took <= 10*time.Second}), err
}
