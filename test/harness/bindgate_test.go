package harness

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// through is a connection to the controller by way of the gate.
func through(t *testing.T, s *Samba, g *BindGate) *ldap.Conn {
	t.Helper()
	_, port, err := net.SplitHostPort(g.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c, err := ldap.DialURL("ldaps://localhost:"+port, ldap.DialWithTLSConfig(&tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestBindGateHoldsTheBindOrItsAnswerOfOneDN(t *testing.T) {
	t.Parallel()
	s := StartSamba(t)
	g := s.StartBindGate(t)
	for name, c := range map[string]struct {
		at      HoldPoint
		counted int // by the controller while it is held, and when the sender has gone away
	}{
		"bind": {HoldBind, 0}, "answer": {HoldAnswer, 1},
	} {
		t.Run(name, func(t *testing.T) {
			for _, goes := range []bool{false, true} {
				user := map[bool]string{false: "waits" + name, true: "goes" + name}[goes]
				dn := s.AddUser(user, UserPassword)
				lift := g.Hold(dn, c.at)
				conn := through(t, s, g)
				ended := make(chan error, 1)
				go func() { ended <- conn.Bind(dn, "wrong") }()
				held := func(n int) func() bool { return func() bool { return g.Held(dn) == n } }
				soon(t, "held", held(1))
				if n := s.BadPwdCount(user); n != c.counted {
					t.Errorf("while held the directory has counted %d, want %d", n, c.counted)
				}
				if goes {
					_ = conn.Close()
					soon(t, "let go", held(0))
				}
				lift()
				if err := <-ended; goes == ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
					t.Errorf("once lifted: %v", err)
				}
				if n := s.BadPwdCount(user); goes && n != c.counted {
					t.Errorf("in the end the directory has counted %d, want %d", n, c.counted)
				}
				if n := g.Binds(dn); n != 1 {
					t.Errorf("the gate has seen %d binds, want 1", n)
				}
			}
		})
	}
	if err := through(t, s, g).Bind(ServiceDN, ServicePass); err != nil {
		t.Errorf("somebody else: %v", err)
	}
}

func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
