package harness

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Samba is a running Active Directory domain controller of the domain in
// samba_accounts.go. Its ports stay the same over Kill, Stop and Start.
type Samba struct {
	tb     testing.TB
	dir    string
	offset int
	proc   *process
	roots  *x509.CertPool
}

// SambaOption changes the domain before its controller starts.
type SambaOption func(*Samba) error

// LockoutThreshold sets after how many wrong passwords an account is locked (3
// without this option); 0: never.
func LockoutThreshold(n int) SambaOption {
	return func(s *Samba) error {
		return modifyLDIF(s.dir, fmt.Sprintf("dn: %s\nchangetype: modify\nreplace: lockoutThreshold\nlockoutThreshold: %d\n", SambaBaseDN, n))
	}
}

// StartSamba starts a fresh copy of the domain. The first call on a machine makes the
// domain (about ten seconds), and later ones copy it.
func StartSamba(tb testing.TB, opts ...SambaOption) *Samba {
	tb.Helper()
	ready, err := provisioned()
	if err != nil {
		tb.Fatal(err)
	}
	s := &Samba{tb: tb, dir: filepath.Join(dir(tb, "dc"), "d")}
	if err := copyTree(ready, s.dir); err != nil {
		tb.Fatal(err)
	}
	if err := writeConf(s.dir); err != nil {
		tb.Fatal(err)
	}
	for _, o := range opts {
		if err := o(s); err != nil {
			tb.Fatal(err)
		}
	}
	pem, err := os.ReadFile(s.CAFile())
	if err != nil {
		tb.Fatalf("read authority: %v", err)
	}
	s.roots = x509.NewCertPool()
	s.roots.AppendCertsFromPEM(pem)
	release, err := s.claimPorts()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if s.proc != nil {
			s.proc.kill()
		}
		release()
	})
	s.Start()
	return s
}

// The ports that Samba would bind; portshift moves them up by the offset.
var sambaPorts = [...]int{389, 636, 3268, 3269}

const (
	firstOffset = 10000 // below the ephemeral ports
	offsets     = 100
	ldapPort    = 389
	ldapsPort   = 636
)

// claimPorts takes an offset that no other test process uses and whose ports are free.
func (s *Samba) claimPorts() (release func(), err error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	start := os.Getpid()
	for i := range offsets {
		// Steps of two: 3268 and 3269 are neighbours.
		offset := firstOffset + 2*((start+i)%offsets)
		unlock, err := lockFile(filepath.Join(cache, fmt.Sprintf("ports-%d.lock", offset)), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			continue
		}
		if portsFree(offset) {
			s.offset = offset
			return unlock, nil
		}
		unlock()
	}
	return nil, errors.New("find free ports for samba: all taken")
}

func portsFree(offset int) bool {
	for _, p := range sambaPorts {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p+offset)))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}

// Addr returns host:port of LDAPS.
func (s *Samba) Addr() string { return fmt.Sprintf("localhost:%d", ldapsPort+s.offset) }

// URL returns the ldaps:// address.
func (s *Samba) URL() string { return "ldaps://" + s.Addr() }

// StartTLSURL returns the ldap:// address, on which StartTLS has to come first.
func (s *Samba) StartTLSURL() string { return fmt.Sprintf("ldap://localhost:%d", ldapPort+s.offset) }

// CAFile returns the file with the authority that signed the controller's certificate.
func (s *Samba) CAFile() string { return filepath.Join(s.dir, "tls", "ca.pem") }

// Start starts the controller again after Stop or Kill, with what it knew.
func (s *Samba) Start() {
	s.tb.Helper()
	path, err := tool("samba")
	if err != nil {
		s.tb.Fatal(err)
	}
	// Interactive, it ends when its standard input does; in a single process, nothing
	// of it can outlive that.
	cmd := exec.Command(path, "-i", "-M", "single", "--configfile="+s.dir+"/smb.conf", "--no-process-group", "--debug-stdout")
	cmd.Env = append(os.Environ(), "LD_PRELOAD="+s.dir+"/portshift.so", fmt.Sprintf("PORT_OFFSET=%d", s.offset))
	if s.proc, err = startProcess(cmd); err != nil {
		s.tb.Fatal(err)
	}
	err = s.proc.await("samba", func(context.Context) error {
		c, err := s.dial()
		if err != nil {
			return err
		}
		return c.Close()
	})
	if err != nil {
		s.tb.Fatal(err)
	}
}

// Stop ends the controller the way an operator does.
func (s *Samba) Stop() { s.proc.stop(syscall.SIGTERM) }

// Kill ends the controller the way a power cut does.
func (s *Samba) Kill() { s.proc.kill() }

// Pause stops the controller from answering while its connections stay open.
func (s *Samba) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Samba) Resume() { s.signal(syscall.SIGCONT) }

func (s *Samba) signal(sig syscall.Signal) {
	s.tb.Helper()
	if err := s.proc.cmd.Process.Signal(sig); err != nil {
		s.tb.Fatalf("signal samba: %v", err)
	}
}

func (s *Samba) dial() (*ldap.Conn, error) {
	return ldap.DialURL(s.URL(), ldap.DialWithTLSConfig(&tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}),
		ldap.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}))
}

// Admin calls f with a connection of the domain's administrator.
func (s *Samba) Admin(f func(*ldap.Conn) error) {
	s.tb.Helper()
	c, err := s.dial()
	if err != nil {
		s.tb.Fatalf("dial samba: %v", err)
	}
	defer func() { _ = c.Close() }()
	c.SetTimeout(startDeadline)
	if err := c.Bind(adminUPN, AdminPassword); err != nil {
		s.tb.Fatalf("bind as administrator: %v", err)
	}
	if err := f(c); err != nil {
		s.tb.Fatalf("administer samba: %v", err)
	}
}

// BadPwdCount returns how many wrong passwords the directory has counted for a user.
func (s *Samba) BadPwdCount(user string) int {
	s.tb.Helper()
	n := 0
	s.Admin(func(c *ldap.Conn) error {
		res, err := c.Search(ldap.NewSearchRequest(SambaBaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 30, false,
			"(sAMAccountName="+ldap.EscapeFilter(user)+")", []string{"badPwdCount"}, nil))
		if err != nil {
			return err
		}
		if len(res.Entries) != 1 {
			return fmt.Errorf("find %q: %d entries", user, len(res.Entries))
		}
		v := res.Entries[0].GetAttributeValue("badPwdCount")
		if v == "" {
			return nil
		}
		n, err = strconv.Atoi(v)
		return err
	})
	return n
}

// AddUser adds a user under OU=Staff who may log in, and returns the DN.
func (s *Samba) AddUser(name, password string) string {
	s.tb.Helper()
	dn := "CN=" + ldap.EscapeDN(name) + "," + SambaStaffDN
	s.Admin(func(c *ldap.Conn) error {
		r := ldap.NewAddRequest(dn, nil)
		r.Attribute("objectClass", []string{"user"})
		r.Attribute("sAMAccountName", []string{name})
		r.Attribute("userPrincipalName", []string{name + "@" + UPNSuffix})
		r.Attribute("userAccountControl", []string{strconv.Itoa(normalAccount | noExpiry)})
		r.Attribute("unicodePwd", []string{string(quotedUTF16(password))})
		return c.Add(r)
	})
	return dn
}

// SetPassword sets a user's password as an administrator does.
func (s *Samba) SetPassword(user, password string) {
	s.tb.Helper()
	s.Admin(func(c *ldap.Conn) error {
		r := ldap.NewModifyRequest(userDN(user), nil)
		r.Replace("unicodePwd", []string{string(quotedUTF16(password))})
		return c.Modify(r)
	})
}
