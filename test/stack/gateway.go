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
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/apmsim"
	"github.com/sallyport/sallyport/test/browserclient"
	"github.com/sallyport/sallyport/test/harness"
)

// addIntegration adds a gateway by the command line and returns its id and RADIUS secret.
func (s *Stack) addIntegration(config, nickname, client, origin string, more ...string) (sallyport.IntegrationID, sallyport.Secret, error) {
	var added struct{ ID, Secret string }
	err := s.ask(&added, append([]string{"integration", "add", "--config", config, "--nickname", nickname, "--client", client, "--origin", origin}, more...)...)
	return sallyport.IntegrationID(added.ID), sallyport.Secret(added.Secret), err
}

var tokenInTag = regexp.MustCompile(`data-access-token="([^"]+)"`)

// script returns what is pasted into a gateway: the standard tag, the modern address and its
// integrity hash, and the access token that both carry.
func (s *Stack) script(config string, id sallyport.IntegrationID) (tag, address, integrity, accessToken string, err error) {
	var v struct{ StandardTag, ModernAddress, Integrity string }
	if err := s.ask(&v, "integration", "script", string(id), "--config", config); err != nil {
		return "", "", "", "", err
	}
	m := tokenInTag.FindStringSubmatch(v.StandardTag)
	if m == nil {
		return "", "", "", "", fmt.Errorf("no access token in %q", v.StandardTag)
	}
	return v.StandardTag, v.ModernAddress, v.Integrity, m[1], nil
}

// ScriptFrom returns what is pasted for a cloud that browsers reach at another address.
func (s *Stack) ScriptFrom(cloudURL string) (tag, address string, err error) {
	var v struct{ StandardTag, ModernAddress string }
	err = s.ask(&v, "integration", "script", string(s.Integration), "--cloud", cloudURL, "--config", s.ApplianceConfig(0))
	return v.StandardTag, v.ModernAddress, err
}

func (s *Stack) addGateway() (err error) {
	if s.Integration, s.RADIUSSecret, err = s.addIntegration(s.ApplianceConfig(0), Nickname, "127.0.0.1", s.Origin()); err != nil {
		return err
	}
	s.StandardTag, s.ModernAddress, s.Integrity, s.AccessToken, err = s.script(s.ApplianceConfig(0), s.Integration)
	return err
}

// AddLegacyGateway adds a gateway whose users log in by RADIUS alone, and returns its id and secret.
func (s *Stack) AddLegacyGateway(tb testing.TB, nickname, client string, more ...string) (sallyport.IntegrationID, sallyport.Secret) {
	tb.Helper()
	id, secret, err := s.addIntegration(s.ApplianceConfig(0), nickname, client, s.Origin(), append([]string{"--experience", "legacy"}, more...)...)
	if err != nil {
		tb.Fatalf("add gateway: %v", err)
	}
	return id, secret
}

func (s *Stack) startGateway() (err error) {
	s.Gateway, err = s.StartGateway(s.tb, fmt.Sprintf("127.0.0.1:%d", s.base+gatewayPort), s.StandardTag, s.ModernAddress)
	return err
}

// StartGateway starts a gateway on an address ("" is any) with a script of its own; it ends with tb.
func (s *Stack) StartGateway(tb testing.TB, listen, tag, modern string) (*apmsim.Server, error) {
	return s.startGatewayAt(tb, listen, s.RADIUSAddrs(), s.RADIUSSecret, tag, apmsim.ExternalScript{Address: modern, Integrity: s.Integrity})
}

func (s *Stack) startGatewayAt(tb testing.TB, listen string, servers []string, secret sallyport.Secret, tag string, modern apmsim.ExternalScript) (*apmsim.Server, error) {
	pem, err := os.ReadFile(s.Samba.CAFile())
	if err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	g, err := apmsim.Listen(apmsim.Config{
		Listen: listen, LDAPURL: s.Samba.URL(), LDAPRoots: roots, BaseDN: harness.SambaBaseDN,
		BindDN: harness.ServiceDN, BindPassword: harness.ServicePass,
		RADIUSServers: servers, RADIUSSecret: secret, Timeout: s.opts.RADIUSTimeout, MessageAuthenticator: true,
		Script: tag, ModernScript: modern,
		Log: s.story.tell,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-served; err != nil && !errors.Is(err, context.Canceled) {
			tb.Errorf("gateway: %v", err)
		}
	})
	return g, nil
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

// Page is a browser at the gateway's logon page, which reaches the cloud through the balancer.
func (s *Stack) Page() *browserclient.Client {
	return &browserclient.Client{
		Base: s.CloudURL(), AccessToken: s.AccessToken, Tenant: s.Tenant, Integration: s.Integration,
		Fingerprint: s.Fingerprint, Origin: s.Origin(), HTTP: newHTTP(),
	}
}

// PageAt is a browser that reaches one cloud replica alone.
func (s *Stack) PageAt(replica int) *browserclient.Client {
	c := s.Page()
	c.Base = s.ReplicaURL(replica)
	return c
}
