package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/harness"
)

func (s *Stack) prepareKeys() error {
	if _, err := s.Run("cloud", "init", "--key-dir", s.KeyDir()); err != nil {
		return err
	}
	_, err := s.Run("cloud", "issue", "--key-dir", s.KeyDir(), "--cert", s.file("tokens.crt"), "--key", s.file("tokens.key"), "localhost", "127.0.0.1")
	return err
}

// KeyDir is the folder with the cloud's keys.
func (s *Stack) KeyDir() string { return s.file("cloud-keys") }

// ready asks a process's /readyz.
func ready(admin string) func(context.Context) error {
	return func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)); resp.StatusCode != http.StatusOK {
			return errors.New(string(text))
		}
		return nil
	}
}

func (s *Stack) startServices() error {
	tokenArgs, err := s.tokenArgs()
	if err != nil {
		return err
	}
	var all []*harness.Program
	for i := range 2 {
		s.Clouds[i] = harness.NewProgram(s.tb, fmt.Sprintf("cloud-%d", i), s.bin, ready(s.addr(cloudAdmin, i)),
			"cloud", "--redis", s.Redis.URL(), "--key-dir", s.KeyDir(), "--replica", fmt.Sprintf("cloud-%d", i),
			"--listen", s.addr(cloudBrowser, i), "--tunnel-listen", s.addr(cloudTunnel, i), "--admin-listen", s.addr(cloudAdmin, i),
			"--public-url", s.CloudURL(), "--tunnel-address", s.addr(cloudTunnel, 0), "--tokensvc-address", s.Service.Addr(),
			"--trusted-proxy", "127.0.0.1", "--limit-per-address", "1000", "--log-level", "debug")
		s.Tokens[i] = harness.NewProgram(s.tb, fmt.Sprintf("tokensvc-%d", i), s.bin, ready(s.addr(tokensAdmin, i)),
			append(tokenArgs, "--listen", s.addr(tokensService, i), "--device-listen", s.addr(tokensDevice, i), "--admin-listen", s.addr(tokensAdmin, i))...)
		all = append(all, s.Clouds[i], s.Tokens[i])
	}
	return startAll(all...)
}

// startAll starts programs side by side.
func startAll(all ...*harness.Program) error {
	for _, p := range all {
		if err := p.Launch(); err != nil {
			return err
		}
	}
	var g errgroup.Group
	for _, p := range all {
		g.Go(p.Await)
	}
	return g.Wait()
}

func (s *Stack) tokenArgs() ([]string, error) {
	roots, err1 := s.write("push-ca.pem", string(s.Push.RootsPEM))
	account, err2 := s.write("service-account.json", string(s.Push.ServiceAccount))
	p8, err3 := s.write("apns.p8", string(s.Push.P8))
	return []string{"tokensvc", "--redis", s.Redis.URL(), "--cert", s.file("tokens.crt"), "--key", s.file("tokens.key"),
		"--appliance-ca", filepath.Join(s.KeyDir(), "ca.crt"), "--device-url", s.DeviceURL(), "--web-push-url", s.Push.ControlURL,
		"--push-ca", roots, "--fcm-service-account", account, "--fcm-url", s.Push.FCMURL, "--fcm-token-url", s.Push.TokenURL,
		"--apns-url", s.Push.APNsURL, "--apns-key", p8, "--apns-key-id", s.Push.KeyID, "--apns-team-id", s.Push.TeamID,
		"--apns-topic", s.Push.Topic, "--log-level", "debug"}, errors.Join(err1, err2, err3)
}

// ApplianceDir is the data directory of an appliance.
func (s *Stack) ApplianceDir(i int) string { return s.file(fmt.Sprintf("appliance-%d", i)) }

// ApplianceConfig is the YAML file of an appliance.
func (s *Stack) ApplianceConfig(i int) string { return s.file(fmt.Sprintf("appliance-%d.yaml", i)) }

func (s *Stack) establishTrust() error {
	var created struct{ EnterpriseID, ProvisioningCode string }
	if err := s.ask(&created, "enterprise", "create", "--name", EnterpriseName, "--redis", s.Redis.URL()); err != nil {
		return err
	}
	s.Tenant = sallyport.TenantID(created.EnterpriseID)
	out, err := s.trust(0, created.ProvisioningCode)
	if err != nil {
		return err
	}
	if s.Fingerprint = after(out.Stdout, "Root key fingerprint: "); s.Fingerprint == "" {
		return fmt.Errorf("no fingerprint in %q", out.Stdout)
	}
	return s.describeAppliances()
}

// trust establishes trust for an appliance, the code on standard input as a careful person does.
func (s *Stack) trust(i int, code string) (Result, error) {
	s.Codes = append(s.Codes, sallyport.Secret(code))
	r, err := s.RunWith(code+"\n", "appliance", "trust", "--data", s.ApplianceDir(i), "--cloud", s.CloudURL(),
		"--enterprise", string(s.Tenant), "--code-file", "-", "--name", fmt.Sprintf("appliance-%d", i))
	if err == nil {
		id, _, _ := strings.Cut(after(r.Stdout, "appliance "), " ")
		s.ApplianceIDs[i] = sallyport.ApplianceID(id)
	}
	return r, err
}

// after returns the rest of the first line that has the mark.
func after(text, mark string) string {
	_, rest, _ := strings.Cut(text, mark)
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

// describeAppliances writes the settings of both appliances, as an administrator does once.
func (s *Stack) describeAppliances() error {
	password, err := s.write("ldap-password", harness.ServicePass+"\n")
	if err != nil {
		return err
	}
	store := s.Postgres.Database()
	for i := range 2 {
		text := fmt.Sprintf(`data: %s
store: %q
radius-listen: %s
admin-listen: %s
peer-listen: %s
tunnel-address: [%q, %q]
ldap-url: [%q]
ldap-ca: %s
ldap-base: %q
ldap-bind-dn: %q
ldap-bind-password-file: %s
ldap-netbios-name: %s
`, s.ApplianceDir(i), store, s.addr(applianceRADIUS, i), s.addr(applianceAdmin, i), s.addr(appliancePeer, i),
			s.addr(cloudTunnel, i), s.addr(cloudTunnel, 1-i),
			fmt.Sprintf("ldaps://localhost:%d", s.LDAP.Port()), s.Samba.CAFile(), harness.SambaBaseDN, harness.ServiceDN, password, harness.SambaDomain)
		if _, err := s.write(filepath.Base(s.ApplianceConfig(i)), text); err != nil {
			return err
		}
		s.Appliances[i] = harness.NewProgram(s.tb, fmt.Sprintf("appliance-%d", i), s.bin, ready(s.addr(applianceAdmin, i)),
			"appliance", "run", "--config", s.ApplianceConfig(i), "--log-level", "debug")
	}
	return nil
}

// joinSecond gives the second appliance trust of its own, and the enterprise's keys from the first.
func (s *Stack) joinSecond() error {
	var further struct{ ProvisioningCode string }
	if err := s.ask(&further, "enterprise", "code", string(s.Tenant), "--redis", s.Redis.URL()); err != nil {
		return err
	}
	if _, err := s.trust(1, further.ProvisioningCode); err != nil {
		return err
	}
	var invited struct{ JoinCode, Fingerprint string }
	if err := s.ask(&invited, "appliance", "invite", "--config", s.ApplianceConfig(0)); err != nil {
		return err
	}
	s.Codes = append(s.Codes, sallyport.Secret(invited.JoinCode))
	joined, err := s.RunWith(invited.JoinCode+"\n", "appliance", "join", "--data", s.ApplianceDir(1), "--code-file", "-")
	if err != nil {
		return err
	}
	if got := after(joined.Stdout, "Root key fingerprint: "); got != s.Fingerprint || invited.Fingerprint != s.Fingerprint {
		return fmt.Errorf("fingerprints differ: %q, %q and %q", s.Fingerprint, invited.Fingerprint, got)
	}
	return nil
}

// startAppliances starts both with each other as peer.
func (s *Stack) startAppliances() error {
	for i, p := range s.Appliances {
		p.SetArgs(append(p.Args(), "--peer", fmt.Sprintf("%s@%s", s.ApplianceIDs[1-i], s.addr(appliancePeer, 1-i)))...)
	}
	s.Appliances[0].Stop()
	return startAll(s.Appliances[:]...)
}
