package main

import (
	"crypto/tls"
	"net"
	"os"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport/sallyport/internal/pki"
	"github.com/sallyport/sallyport/test/ldapsim"
)

// hospitalCommand is the script command
//
//	hospital DIR
//
// which makes an appliance's data directory DIR, as after 'sallyport appliance trust', and starts a
// directory beside it: $SERVER is its address, ca.pem its authority, password.txt its service account's.
func hospitalCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hospital DIR")
	}
	ca, err := pki.NewCA(time.Now())
	ts.Check(err)
	ts.Check(makeAppliance(ts.MkAbs(args[0])))
	ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), ca.CertPEM(), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("password.txt"), []byte("svc password\n"), 0o600))
	ts.Setenv("SERVER", serveDirectory(ts, ca))
}

// serveDirectory starts a directory with eight users until the script ends.
func serveDirectory(ts *testscript.TestScript, ca *pki.CA) (url string) {
	cert, err := ca.ServerCertificate(time.Now(), time.Hour, "localhost", "127.0.0.1")
	ts.Check(err)
	cfg := ldapsim.Config{NetBIOS: "HOSPITAL", DNSName: "hospital.test", Now: time.Now, LockoutThreshold: 4,
		Users: []ldapsim.User{{Name: "svc", Password: "svc password"}}, Groups: []ldapsim.Group{{Name: "VPN", OU: "Groups", Members: []string{"alice"}}}}
	for _, name := range []string{"alice", "bob", "carol", "dora", "emil", "fritz", "gina"} {
		cfg.Users = append(cfg.Users, ldapsim.User{Name: name, OU: "Staff", Password: "right"})
	}
	srv, err := ldapsim.New(cfg)
	ts.Check(err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	ts.Check(err)
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(l) })
	ts.Defer(func() { srv.Close(); wg.Wait() })
	return "ldaps://" + l.Addr().(*net.TCPAddr).String()
}
