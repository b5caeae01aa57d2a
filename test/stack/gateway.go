package stack

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/apmsim"
	"github.com/sallyport/sallyport/test/harness"
)

// AddIntegration adds a gateway by the command line and returns its id and RADIUS secret.
func (s *Stack) AddIntegration(nickname, client, origin string, more ...string) (sallyport.IntegrationID, sallyport.Secret, error) {
	var added struct{ ID, Secret string }
	args := append([]string{"integration", "add", "--config", s.ApplianceConfig(0), "--nickname", nickname, "--client", client, "--origin", origin}, more...)
	err := s.ask(&added, args...)
	return sallyport.IntegrationID(added.ID), sallyport.Secret(added.Secret), err
}

var tokenInTag = regexp.MustCompile(`data-access-token="([^"]+)"`)

// Script returns what is pasted into a gateway: the standard tag, the modern address and its
// integrity hash, and the access token that both carry.
func (s *Stack) Script(id sallyport.IntegrationID) (tag, address, integrity, accessToken string, err error) {
	var v struct{ StandardTag, ModernAddress, Integrity string }
	if err := s.ask(&v, "integration", "script", string(id), "--config", s.ApplianceConfig(0)); err != nil {
		return "", "", "", "", err
	}
	m := tokenInTag.FindStringSubmatch(v.StandardTag)
	if m == nil {
		return "", "", "", "", fmt.Errorf("no access token in %q", v.StandardTag)
	}
	return v.StandardTag, v.ModernAddress, v.Integrity, m[1], nil
}

func (s *Stack) addGateway() (err error) {
	if s.Integration, s.RADIUSSecret, err = s.AddIntegration(Nickname, "127.0.0.1", s.Origin()); err != nil {
		return err
	}
	s.StandardTag, s.ModernAddress, s.Integrity, s.AccessToken, err = s.Script(s.Integration)
	return err
}

func (s *Stack) startGateway() error {
	pem, err := os.ReadFile(s.Samba.CAFile())
	if err != nil {
		return fmt.Errorf("read authority: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	s.Gateway, err = apmsim.Listen(apmsim.Config{
		Listen: fmt.Sprintf("127.0.0.1:%d", s.base+gatewayPort), LDAPURL: s.Samba.URL(), LDAPRoots: roots, BaseDN: harness.SambaBaseDN,
		BindDN: harness.ServiceDN, BindPassword: harness.ServicePass,
		RADIUSServers: s.RADIUSAddrs(), RADIUSSecret: s.RADIUSSecret, Timeout: s.opts.RADIUSTimeout, MessageAuthenticator: true,
		Script: s.StandardTag, ModernScript: apmsim.ExternalScript{Address: s.ModernAddress, Integrity: s.Integrity},
		Log: s.story.tell,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Gateway.Serve(ctx) }()
	s.tb.Cleanup(func() {
		cancel()
		if err := <-served; err != nil && !errors.Is(err, context.Canceled) {
			s.tb.Errorf("gateway: %v", err)
		}
	})
	return nil
}

// story is what the gateway's log has told.
type story struct {
	mu    sync.Mutex
	lines []string
}

func (t *story) tell(step int, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, fmt.Sprintf("%d %s", step, text))
}

// Told counts the lines of the gateway's log that have all of the words.
func (s *Stack) Told(words ...string) int {
	s.story.mu.Lock()
	defer s.story.mu.Unlock()
	n := 0
next:
	for _, line := range s.story.lines {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		n++
	}
	return n
}
