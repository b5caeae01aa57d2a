package apmsim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
)

var errRefused = errors.New("refused")

// account is what the directory says about somebody whose password was right.
type account struct {
	dn, name string
	groups   []string
}

// checkPassword looks the user up with the service account and then binds as the user. It returns errRefused for an
// unknown user and for a wrong password alike.
func (s *Server) checkPassword(ctx context.Context, user string, password sallyport.Secret) (account, error) {
	if user == "" || password == "" { // an empty password would be an anonymous bind, which succeeds
		return account{}, errRefused
	}
	conn, err := s.dialDirectory(ctx)
	if err != nil {
		return account{}, err
	}
	defer closeQuietly(conn)
	if err := conn.Bind(s.cfg.BindDN, string(s.cfg.BindPassword)); err != nil {
		return account{}, fmt.Errorf("bind service account: %w", err)
	}
	res, err := conn.Search(ldap.NewSearchRequest(s.cfg.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 5, false,
		userFilter(user), []string{"displayName", "memberOf"}, nil))
	if err != nil {
		return account{}, fmt.Errorf("search user: %w", err)
	}
	if len(res.Entries) != 1 {
		return account{}, errRefused
	}
	e := res.Entries[0]
	if err := conn.Bind(e.DN, string(password)); err != nil {
		if ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
			return account{}, errRefused
		}
		return account{}, fmt.Errorf("bind user: %w", err)
	}
	return account{dn: e.DN, name: e.GetAttributeValue("displayName"), groups: e.GetAttributeValues("memberOf")}, nil
}

func (s *Server) dialDirectory(ctx context.Context) (*ldap.Conn, error) {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	if d, ok := ctx.Deadline(); ok {
		dialer.Deadline = d
	}
	conn, err := ldap.DialURL(s.cfg.LDAPURL, ldap.DialWithDialer(dialer),
		ldap.DialWithTLSConfig(&tls.Config{RootCAs: s.cfg.LDAPRoots, MinVersion: tls.VersionTLS12}))
	if err != nil {
		return nil, fmt.Errorf("dial directory: %w", err)
	}
	conn.SetTimeout(5 * time.Second)
	return conn, nil
}

// userFilter finds a user by sAMAccountName, or by userPrincipalName when an @ was typed.
func userFilter(user string) string {
	if strings.Contains(user, "@") {
		return "(userPrincipalName=" + ldap.EscapeFilter(user) + ")"
	}
	if i := strings.IndexByte(user, '\\'); i >= 0 {
		user = user[i+1:]
	}
	return "(sAMAccountName=" + ldap.EscapeFilter(user) + ")"
}

func closeQuietly(c *ldap.Conn) {
	// The answer is already known: what goes wrong while hanging up changes nothing.
	_ = c.Close()
}
