package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport/sallyport"
	appliance "github.com/sallyport/sallyport/appliance-connector"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/trust"
	"github.com/sallyport/sallyport/internal/pki"
)

// applianceCommand is the script command
//
//	appliance make DIR           a data directory as after 'sallyport appliance trust'
//	appliance heard DIR NICKNAME an appliance heard of the gateway, and of a source that nobody has
//	appliance tamper DIR         somebody makes the first audit record say something else, past the appliance
//	appliance used DIR           alice has a phone, and people logged in
//	appliance told DIR ID NAME   another appliance of the enterprise has told of itself
func applianceCommand(ts *testscript.TestScript, neg bool, args []string) {
	switch {
	case neg || len(args) < 2:
		ts.Fatalf("usage: appliance make DIR, appliance heard DIR NICKNAME, appliance tamper DIR, appliance used DIR, or appliance told DIR ID NAME")
	case args[0] == "make":
		ts.Check(makeAppliance(ts.MkAbs(args[1])))
	case args[0] == "heard" && len(args) == 3:
		ts.Check(heardOf(ts.MkAbs(args[1]), args[2]))
	case args[0] == "tamper":
		ts.Check(tamper(filepath.Join(ts.MkAbs(args[1]), "appliance.db")))
	case args[0] == "used":
		ts.Check(withStore(ts.MkAbs(args[1]), used))
	case args[0] == "told" && len(args) == 4:
		ts.Check(withStore(ts.MkAbs(args[1]), func(ctx context.Context, db *store.Store) error {
			return db.ReportAppliance(ctx, sallyport.Appliance{ID: sallyport.ApplianceID(args[2]), Name: args[3], Version: "v1.0.0", Started: time.Now(), Heard: time.Now(), RADIUS: "[::]:1812"})
		}))
	default:
		ts.Fatalf("appliance %s is not known", args[0])
	}
}

func makeAppliance(dir string) error {
	now := time.Now()
	ca, err := pki.NewCA(now)
	if err != nil {
		return err
	}
	key, err := pki.NewKey()
	if err != nil {
		return err
	}
	csr, err := pki.CSR(key)
	if err != nil {
		return err
	}
	chain, err := ca.SignAppliance(csr, pki.Identity{Tenant: "hospital", Appliance: "one"}, now, time.Hour)
	if err != nil {
		return err
	}
	text, err := json.Marshal(&trust.Trust{Tenant: "hospital", Appliance: "one", CloudURL: "https://cloud.example"})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := pki.WriteKey(filepath.Join(dir, "appliance.key"), key); err != nil {
		return err
	}
	for name, data := range map[string][]byte{"appliance.crt": pki.CertPEM(chain...), "cloud-ca.pem": ca.CertPEM(), "trust.json": text} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	ring, err := keyring.New("hospital")
	if err != nil {
		return err
	}
	return ring.Save(dir)
}

func tamper(file string) error {
	db, err := sql.Open("sqlite", file) // the driver is the store's
	if err != nil {
		return err
	}
	_, err = db.Exec(`UPDATE audit SET object = 'Nothing' WHERE sequence = 1`)
	return errors.Join(err, db.Close())
}

// withStore opens the store of a data directory for f.
func withStore(dir string, f func(context.Context, *store.Store) error) error {
	ctx := context.Background()
	ring, err := keyring.Load(dir)
	if err != nil {
		return err
	}
	db, err := appliance.OpenStore(ctx, dir, "", ring, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return f(ctx, db)
}

func heardOf(dir, nickname string) error {
	return withStore(dir, func(ctx context.Context, db *store.Store) error { return heard(ctx, db, nickname) })
}

func heard(ctx context.Context, db *store.Store, nickname string) error {
	now := time.Now()
	list, err := db.Integrations(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(list, func(in sallyport.Integration) bool { return in.Nickname == nickname })
	if at < 0 {
		return fmt.Errorf("no integration %q", nickname)
	}
	if err := db.RecordGatewayHeard(ctx, []sallyport.GatewayHealth{{Integration: list[at].ID, Appliance: "one", Heard: now, Accepted: now,
		Error: "wrong shared secret", Cure: "enter the same secret", ErrorTime: now, OldSecret: now}}); err != nil {
		return err
	}
	return db.RecordUnknownSources(ctx, []sallyport.UnknownSource{{Appliance: "one", Source: netip.MustParseAddr("10.1.2.3"), First: now, Last: now, Count: 12}})
}
