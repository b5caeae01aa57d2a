package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/adminapi"
	"github.com/sallyport/sallyport/appliance-connector/console"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/language"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/passcode"
	"github.com/sallyport/sallyport/appliance-connector/selfservice"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/tokenserver"
	"github.com/sallyport/sallyport/appliance-connector/trust"
)

// ConsoleConfig is how the admin console is served.
type ConsoleConfig struct {
	// Listen is its TCP address, ":8443"; empty: there is no console here.
	Listen string
	// Cert and Key are PEM files; empty: a certificate that the appliance makes and keeps in its data directory.
	Cert, Key string
	// URL is its address for browsers; empty: whatever they use.
	URL string
	// SelfServiceFrom are the networks for whose browsers the self-service page is; nil: private ones, empty: none.
	SelfServiceFrom []netip.Prefix
}

// Administration is what the enterprise's administration works with, the directory not counted.
func Administration(s *store.Store, t *trust.Trust, ring *keyring.Ring) admin.Config {
	return admin.Config{Store: s, Key: ring.Derive("administration"), Now: time.Now, Tokens: tokenserver.New(tokenserver.Options{Name: string(t.Appliance)}),
		Served:     admin.Served{Methods: login.Served(), Enrols: login.Enrols()},
		Enterprise: admin.Enterprise{Tenant: t.Tenant, CloudURL: t.CloudURL, Fingerprint: ring.Fingerprint()}}
}

func (s *Service) prepareConsole(ring *keyring.Ring) error {
	c := s.cfg.Console
	if c.Listen == "" {
		return nil
	}
	cert, err := s.consoleCertificate()
	if err != nil {
		return err
	}
	cfg := Administration(s.store, s.trust, ring)
	cfg.Groups, cfg.Domains, cfg.Synchroniser = AccountGroups{s.store, s.dir}, s.dir, s.sync
	cfg.Tokens = s.tokens
	cfg.Directory, cfg.Watched, cfg.Log, cfg.Logs = asAdministrator{s.dir}, s.watched(cert), s.log, s.files
	cfg.Texts = s.texts
	cfg.Changed = s.reconfigure
	if s.admin, err = admin.New(cfg); err != nil {
		return err
	}
	api, err := adminapi.New(adminapi.Config{Admin: s.admin, Now: time.Now, Log: s.log})
	if err != nil {
		return err
	}
	s.console, err = console.New(console.Config{Admin: s.admin, API: api, Listen: c.Listen, URL: c.URL, Certificate: cert,
		SelfService: s.selfService(ring), Key: ring.Derive("console notes"), Enterprise: s.trust.EnterpriseName, Now: time.Now, Log: s.log})
	return err
}

// selfService makes the page on which users look after their own authenticators.
func (s *Service) selfService(ring *keyring.Ring) func(func(string) string) (http.Handler, error) {
	from := s.cfg.Console.SelfServiceFrom
	if from == nil {
		from = selfservice.PrivateNetworks()
	}
	if len(from) == 0 {
		return nil
	}
	return func(asset func(string) string) (http.Handler, error) {
		return selfservice.New(selfservice.Config{Engine: s.engine, Standings: s.standings, Store: s.store, From: from, Key: ring.Derive("self-service"),
			Enrols: []sallyport.AuthenticatorKind{sallyport.AuthenticatorApp, sallyport.AuthenticatorPhone, sallyport.AuthenticatorOTP},
			Language: func(ctx context.Context) string {
				v, err := language.ReadSettings(ctx, s.store)
				if err != nil {
					s.log.WarnContext(ctx, "language settings not read", "err", err)
				}
				return v.Default
			},
			HashPIN:    passcode.HashPIN,
			Enterprise: s.trust.EnterpriseName, Asset: asset, Now: time.Now, Log: s.log})
	}
}

// consoleCertificate is one for all that use it: two would make themselves anew one over the other.
func (s *Service) consoleCertificate() (cert *console.Certificate, err error) {
	c := s.cfg.Console
	switch {
	case s.consoleCert != nil:
		return s.consoleCert, nil
	case c.Cert != "" || c.Key != "":
		cert, err = console.CertificateFromFiles(c.Cert, c.Key, time.Now)
	default:
		name, nerr := os.Hostname()
		if nerr != nil {
			return nil, fmt.Errorf("ask for host name: %w", nerr)
		}
		cert, err = console.OwnCertificate(s.cfg.DataDir, time.Now, name)
	}
	if err == nil {
		s.consoleCert = cert
	}
	return cert, err
}

func (s *Service) watched(cert *console.Certificate) admin.Watched {
	return admin.Watched{
		Version: s.cfg.Version, Appliance: s.trust.Appliance, OwnCertificate: cert.Own, CertificateEnds: cert.Ends,
		Parts: []admin.Part{
			{Name: "Database", Check: s.store.Ping, Help: "Changes cannot be saved. Look at the database and at the appliance's log."},
			{Name: "Directory", Check: s.dir.Health, Help: "Nobody can log in until a domain controller answers. Look at the servers, the service account and the network."},
			{Name: "Cloud connection", Help: "The overlay does not work; the gateway's own form does, with a code. Look at the way out to the cloud, and at the log.",
				Check: func(context.Context) error {
					if !s.tunnel.Connected() {
						return errors.New("no connection is open")
					}
					return nil
				}},
			{Name: "Log files", Help: "What happens now is not kept in the appliance's log files. Look at the space in its data directory.",
				Check: func(context.Context) error { return s.files.Health() }},
		},
		Streams: s.streams,
	}
}

func (s *Service) streams() admin.Tunnel {
	st := s.tunnel.Status()
	var out admin.Tunnel
	for _, o := range st.Streams {
		out.Streams = append(out.Streams, admin.Stream{Replica: o.Replica, Since: o.Since, Draining: o.Draining})
	}
	if st.LastError != nil {
		out.Trouble = st.LastError.Error()
	}
	return out
}

// ConsoleAddr is where the console listens; empty: nowhere.
func (s *Service) ConsoleAddr() string {
	if s.console == nil {
		return ""
	}
	return s.console.Addr()
}

// runConsole serves the console and says, as long as there is no administrator, how to make one. The link
// itself is never in a log: whoever reads logs would be the super administrator.
func (s *Service) runConsole(ctx context.Context) error {
	need, err := s.admin.NeedsSetup(ctx)
	if err != nil {
		return err
	}
	s.log.InfoContext(ctx, "console runs", "address", s.ConsoleAddr(), "own_certificate", s.consoleCert.Own, "certificate_sha256", s.consoleCert.Fingerprint())
	if need {
		s.log.WarnContext(ctx, "console has no administrator yet; make the link for the first one", "command", "sallyport appliance console-link")
	}
	return s.console.Run(ctx)
}

// asAdministrator is the directory as the console asks it.
type asAdministrator struct{ dir *directory.Directory }

func (a asAdministrator) Verify(ctx context.Context, typed string, password sallyport.Secret) (sallyport.Account, bool, error) {
	r, err := a.dir.VerifyOnSite(ctx, typed, password)
	return r.Account, err == nil && r.State == sallyport.AccountOK, err
}

func (a asAdministrator) Member(ctx context.Context, account sallyport.Account, domain sallyport.DomainID, group string) (bool, error) {
	if account.Domain != domain {
		return false, nil
	}
	groups, err := a.dir.Groups(ctx, domain, account.DN, true)
	return slices.ContainsFunc(groups, func(dn string) bool { return sallyport.SameDN(dn, group) }), err
}
