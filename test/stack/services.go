package stack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

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
		s.Clouds[i] = harness.NewProgram(s.tb, fmt.Sprintf("cloud-%d", i), s.bin, ready(s.addr(cloudAdmin, i)), append(s.cloudArgs(),
			"--replica", fmt.Sprintf("cloud-%d", i), "--tunnel-address", s.addr(cloudTunnel, 0), "--tokensvc-address", s.Service.Addr(),
			"--listen", s.addr(cloudBrowser, i), "--tunnel-listen", s.addr(cloudTunnel, i), "--admin-listen", s.addr(cloudAdmin, i),
			"--limit-per-address", "1000")...)
		s.Tokens[i] = harness.NewProgram(s.tb, fmt.Sprintf("tokensvc-%d", i), s.bin, ready(s.addr(tokensAdmin, i)), append(tokenArgs,
			"--device-url", s.DeviceURL(),
			"--listen", s.addr(tokensService, i), "--device-listen", s.addr(tokensDevice, i), "--admin-listen", s.addr(tokensAdmin, i))...)
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

func (s *Stack) cloudArgs() []string {
	return []string{"cloud", "--redis", s.Redis.URL(), "--key-dir", s.KeyDir(), "--public-url", s.CloudURL(),
		"--trusted-proxy", "127.0.0.1", "--log-level", "debug"}
}

func (s *Stack) tokenArgs() ([]string, error) {
	roots, err1 := s.write("push-ca.pem", string(s.Push.RootsPEM))
	account, err2 := s.write("service-account.json", string(s.Push.ServiceAccount))
	p8, err3 := s.write("apns.p8", string(s.Push.P8))
	return []string{"tokensvc", "--redis", s.Redis.URL(), "--cert", s.file("tokens.crt"), "--key", s.file("tokens.key"),
		"--appliance-ca", filepath.Join(s.KeyDir(), "ca.crt"), "--web-push-url", s.Push.ControlURL,
		"--push-ca", roots, "--fcm-service-account", account, "--fcm-url", s.Push.FCMURL, "--fcm-token-url", s.Push.TokenURL,
		"--apns-url", s.Push.APNsURL, "--apns-key", p8, "--apns-key-id", s.Push.KeyID, "--apns-team-id", s.Push.TeamID,
		"--apns-topic", s.Push.Topic, "--log-level", "debug"}, errors.Join(err1, err2, err3)
}

// ApplianceDir is the data directory of an appliance.
func (s *Stack) ApplianceDir(i int) string { return s.file(fmt.Sprintf("appliance-%d", i)) }

// ApplianceConfig is the YAML file of an appliance.
func (s *Stack) ApplianceConfig(i int) string { return s.file(fmt.Sprintf("appliance-%d.yaml", i)) }

func (s *Stack) establishTrust() error {
	var code sallyport.Secret
	var err error
	if s.Tenant, code, err = s.CreateEnterprise(EnterpriseName); err != nil {
		return err
	}
	out, err := s.trust(0, code)
	if err != nil {
		return err
	}
	if s.Fingerprint = after(out.Stdout, "Root key fingerprint: "); s.Fingerprint == "" {
		return fmt.Errorf("no fingerprint in %q", out.Stdout)
	}
	return s.describeAppliances()
}

// CreateEnterprise makes an enterprise and the provisioning code of its first appliance.
func (s *Stack) CreateEnterprise(name string) (sallyport.TenantID, sallyport.Secret, error) {
	var created struct{ EnterpriseID, ProvisioningCode string }
	err := s.ask(&created, "enterprise", "create", "--name", name, "--redis", s.Redis.URL())
	return sallyport.TenantID(created.EnterpriseID), sallyport.Secret(created.ProvisioningCode), err
}

// Code makes another provisioning code of an enterprise.
func (s *Stack) Code(tenant sallyport.TenantID, more ...string) (sallyport.Secret, error) {
	var further struct{ ProvisioningCode string }
	err := s.ask(&further, append([]string{"enterprise", "code", string(tenant), "--redis", s.Redis.URL()}, more...)...)
	return sallyport.Secret(further.ProvisioningCode), err
}

// Trust establishes trust, with the code on standard input as a careful person does.
func (s *Stack) Trust(cloudURL, dir string, tenant sallyport.TenantID, code sallyport.Secret) (Result, error) {
	return s.RunWith(string(code)+"\n", "appliance", "trust", "--data", dir, "--cloud", cloudURL,
		"--enterprise", string(tenant), "--code-file", "-", "--name", filepath.Base(dir))
}

// trust establishes trust for one of the two appliances.
func (s *Stack) trust(i int, code sallyport.Secret) (Result, error) {
	s.Codes = append(s.Codes, code)
	r, err := s.Trust(s.CloudURL(), s.ApplianceDir(i), s.Tenant, code)
	s.ApplianceIDs[i] = applianceIn(r)
	return r, err
}

// applianceIn reads the appliance's id out of what 'appliance trust' printed.
func applianceIn(r Result) sallyport.ApplianceID {
	id, _, _ := strings.Cut(after(r.Stdout, "appliance "), " ")
	return sallyport.ApplianceID(id)
}

// after returns the rest of the first line that has the mark.
func after(text, mark string) string {
	_, rest, _ := strings.Cut(text, mark)
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

// settings are what stands in the YAML file of an appliance.
type settings struct {
	data, store, radius, admin, peer string
	tunnels                          []string
}

// describe writes the file of an appliance, as an administrator does once.
func (s *Stack) describe(file string, c settings) error {
	text := fmt.Sprintf(`data: %s
store: %q
radius-listen: %s
radius-accounting-listen: ""
admin-listen: %s
console-listen: 127.0.0.1:0
peer-listen: %q
tunnel-address: [%s]
`, c.data, c.store, c.radius, c.admin, c.peer, strings.Join(c.tunnels, ", "))
	_, err := s.write(filepath.Base(file), text)
	return err
}

// Streams is how many streams to the cloud an appliance has open, by its own metrics; 0 when it does not say.
func (s *Stack) Streams(appliance int) int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr(applianceAdmin, appliance)+"/metrics", nil)
	if err != nil {
		return 0
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if n, found := strings.CutPrefix(lines.Text(), "sallyport_tunnel_streams "); found {
			streams, _ := strconv.Atoi(n)
			return streams
		}
	}
	return 0
}

// addDomain adds the directory's domain to the store of an appliance, as an administrator does once.
func (s *Stack) addDomain(config string) error {
	password, err := s.write("ldap-password", harness.ServicePass+"\n")
	if err != nil {
		return err
	}
	var added struct{ Name string }
	if err := s.ask(&added, "domain", "add", "--config", config, "--server", fmt.Sprintf("ldaps://localhost:%d", s.LDAP.Port()),
		"--ca", s.Samba.CAFile(), "--base", harness.SambaBaseDN, "--bind-name", harness.ServiceDN, "--bind-password-file", password, "--every", "0"); err != nil {
		return err
	}
	if added.Name != harness.UPNSuffix {
		return fmt.Errorf("the domain is called %q", added.Name)
	}
	return nil
}

// describeAppliances describes the two appliances, which share a database.
func (s *Stack) describeAppliances() error {
	s.address = s.Postgres.Database() + "&connect_timeout=20" // the machine may be busy with others
	for i := range 2 {
		if err := s.describe(s.ApplianceConfig(i), settings{
			data: s.ApplianceDir(i), store: s.address, radius: s.addr(applianceRADIUS, i), admin: s.addr(applianceAdmin, i),
			peer: s.addr(appliancePeer, i), tunnels: []string{s.addr(cloudTunnel, i), s.addr(cloudTunnel, 1-i)},
		}); err != nil {
			return err
		}
		s.Appliances[i] = s.appliance(s.tb, fmt.Sprintf("appliance-%d", i), s.ApplianceConfig(i), s.addr(applianceAdmin, i))
	}
	return nil
}

func (s *Stack) appliance(tb testing.TB, name, config, admin string) *harness.Program {
	return harness.NewProgram(tb, name, s.bin, ready(admin), "appliance", "run", "--config", config, "--log-level", "debug")
}

// joinSecond gives the second appliance trust of its own, and the enterprise's keys from the first.
func (s *Stack) joinSecond() error {
	code, err := s.Code(s.Tenant)
	if err != nil {
		return err
	}
	if _, err := s.trust(1, code); err != nil {
		return err
	}
	join, err := s.JoinCode()
	if err != nil {
		return err
	}
	joined, err := s.Join(s.ApplianceDir(1), join)
	if err != nil {
		return err
	}
	if got := after(joined.Stdout, "Root key fingerprint: "); got != s.Fingerprint {
		return fmt.Errorf("fingerprints differ: %q and %q", s.Fingerprint, got)
	}
	return nil
}

// JoinCode makes a join code on the first appliance.
func (s *Stack) JoinCode() (sallyport.Secret, error) {
	var invited struct{ JoinCode, Fingerprint string }
	if err := s.ask(&invited, "appliance", "invite", "--config", s.ApplianceConfig(0)); err != nil {
		return "", err
	}
	if invited.Fingerprint != s.Fingerprint {
		return "", fmt.Errorf("fingerprints differ: %q and %q", s.Fingerprint, invited.Fingerprint)
	}
	s.Codes = append(s.Codes, sallyport.Secret(invited.JoinCode))
	return sallyport.Secret(invited.JoinCode), nil
}

// Join gets the enterprise's keys with a join code.
func (s *Stack) Join(dir string, code sallyport.Secret) (Result, error) {
	return s.RunWith(string(code)+"\n", "appliance", "join", "--data", dir, "--code-file", "-")
}

// startAppliances starts both with each other as peer.
func (s *Stack) startAppliances() error {
	for i, p := range s.Appliances {
		p.SetArgs(append(p.Args(), "--peer", fmt.Sprintf("%s@%s", s.ApplianceIDs[1-i], s.addr(appliancePeer, 1-i)))...)
	}
	s.Appliances[0].Stop()
	return startAll(s.Appliances[:]...)
}
