package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	appliance "github.com/sallyport/sallyport/appliance-connector"
	"github.com/sallyport/sallyport/appliance-connector/claims"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/trust"
)

const defaultData = "/var/lib/sallyport"

func newApplianceCommand() *cobra.Command {
	c := &cobra.Command{Use: "appliance", Short: "The appliance beside the company's directory"}
	c.AddCommand(newApplianceRun(), newApplianceTrust(), newApplianceJoin(), newApplianceInvite(), newApplianceRekey(),
		newApplianceEnrol(), newApplianceDevices(), newConsoleLink(), newApplianceList(), newApplianceRename(), newApplianceRemove())
	return c
}

// place is where an appliance keeps what it has.
type place struct {
	data, store string
}

// admin is for the commands beside a running appliance: they share its file.
func (p *place) admin(c *cobra.Command) {
	configFlag(c)
	p.flags(c)
}

func (p *place) flags(c *cobra.Command) {
	c.Flags().StringVar(&p.data, "data", defaultData, "the appliance's data directory")
	c.Flags().StringVar(&p.store, "store", "", "the store: sqlite:FILE or postgres://… (default: SQLite in the data directory)")
	_ = c.MarkFlagDirname("data")
}

// opened is an appliance's trust, keys and store, for the administrative commands.
type opened struct {
	trust *trust.Trust
	ring  *keyring.Ring
	store *store.Store
}

func (p *place) open(c *cobra.Command) (*opened, error) {
	if err := fill(c); err != nil {
		return nil, err
	}
	t, err := trust.Load(p.data)
	if err != nil {
		return nil, err
	}
	ring, err := keyring.Load(p.data)
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeNotFound,
			"This appliance does not have the enterprise's keys yet. Run 'sallyport appliance join' first.", err)
	}
	s, err := appliance.OpenStore(c.Context(), p.data, p.store, ring, slog.New(slog.DiscardHandler))
	return &opened{t, ring, s}, err
}

// with opens the appliance's things for f.
func (p *place) with(c *cobra.Command, f func(context.Context, *opened) error) (err error) {
	o, err := p.open(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.store.Close()) }()
	return f(c.Context(), o)
}

func newApplianceRun() *cobra.Command {
	var (
		cfg   appliance.Config
		p     place
		l     logging
		proxy string
		peers []string
		// selfService are networks, as people write them.
		selfService []string
	)
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the appliance",
		Long: `Runs the appliance until it is told to stop (SIGTERM, Ctrl-C), then finishes the logins under way.
It dials out to the cloud and to the token service, and answers the gateway over RADIUS. Every flag can
be given as a SALLYPORT_* variable or in the file named by --config as well. The domains whose users log in
are kept in the store: 'sallyport domain add'.`,
		Example: `  sallyport appliance run --config /etc/sallyport/appliance.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := l.logger(c)
			if err != nil {
				return err
			}
			if cfg.Proxy, err = proxyURL(proxy); err != nil {
				return err
			}
			if cfg.Peers, err = parsePeers(peers); err != nil {
				return err
			}
			if cfg.Console.SelfServiceFrom, err = parseNetworks(selfService); err != nil {
				return err
			}
			cfg.DataDir, cfg.Store, cfg.Version = p.data, p.store, version()
			s, err := appliance.New(c.Context(), cfg, log)
			if err != nil {
				return err
			}
			return s.Run(c.Context())
		},
	}
	p.flags(c)
	l.flags(c)
	f := c.Flags()
	f.StringVar(&cfg.RADIUSListen, "radius-listen", ":1812", "UDP address of the RADIUS server")
	f.StringVar(&cfg.RADIUSAccounting, "radius-accounting-listen", ":1813", "UDP address of RADIUS accounting; empty for none")
	f.StringVar(&cfg.RADIUSTLS.Listen, "radius-tls-listen", "", "TCP address of the RADIUS server over TLS, usually :2083; empty for none")
	f.StringVar(&cfg.RADIUSTLS.Cert, "radius-tls-cert", "", "PEM file with its certificate and chain (default: the console's)")
	f.StringVar(&cfg.RADIUSTLS.Key, "radius-tls-key", "", "PEM file with the key of that certificate")
	f.StringVar(&cfg.AdminListen, "admin-listen", "127.0.0.1:9113", "TCP address of /healthz, /readyz and /metrics; empty for none")
	f.StringVar(&cfg.Console.Listen, "console-listen", ":8443", "TCP address of the admin console (HTTPS); empty for none")
	f.StringVar(&cfg.Console.Cert, "console-cert", "", "PEM file with the console's certificate and its chain (default: one that the appliance makes itself)")
	f.StringVar(&cfg.Console.Key, "console-key", "", "PEM file with the key of the console's certificate")
	f.StringVar(&cfg.Console.URL, "console-url", "", "the console's address for browsers, https://HOST[:PORT]; other names are sent there (default: any)")
	f.StringArrayVar(&selfService, "self-service-from", nil, "network for whose browsers the self-service page is, 10.20.0.0/16; may be given more than once; none: it is not served (default: private networks)")
	f.StringArrayVar(&cfg.TunnelAddresses, "tunnel-address", nil, "the cloud's tunnel, HOST:PORT, instead of the one from the provisioning; may be given more than once")
	f.StringVar(&proxy, "proxy", "", "HTTP CONNECT proxy on the way to the cloud: http://[USER:PASSWORD@]HOST:PORT")
	f.StringVar(&cfg.PeerListen, "peer-listen", "", "UDP address for the other appliances of the enterprise")
	f.StringArrayVar(&peers, "peer", nil, "another appliance: APPLIANCE-ID@HOST:PORT; may be given more than once")
	f.IntVar(&cfg.Leave, "leave-attempts", 2, "wrong passwords that logins from outside leave to the inside before Active Directory locks an account; -1 for none")
	return c
}

func proxyURL(s string) (*url.URL, error) {
	if s == "" {
		return nil, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, &usageError{errors.New("proxy: use http://[USER:PASSWORD@]HOST:PORT")}
	}
	return u, nil
}

// parseNetworks reads networks; nil: none were given, and empty for the word "none".
func parseNetworks(list []string) (out []netip.Prefix, err error) {
	if len(list) == 1 && list[0] == "none" {
		return []netip.Prefix{}, nil
	}
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("network %q: use a network such as 10.20.0.0/16, or none", text)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

func parsePeers(list []string) ([]claims.Peer, error) {
	var out []claims.Peer
	for _, s := range list {
		id, address, ok := strings.Cut(s, "@")
		if !ok || !sallyport.ValidID(id) || !strings.Contains(address, ":") {
			return nil, &usageError{fmt.Errorf("peer %q: use APPLIANCE-ID@HOST:PORT", s)}
		}
		out = append(out, claims.Peer{Appliance: sallyport.ApplianceID(id), Address: address})
	}
	return out, nil
}

// maxSecretFile bounds a file with a secret, in octets.
const maxSecretFile = 4 << 10

// secretFile reads a secret, without the line end that editors add.
func secretFile(name string) (sallyport.Secret, error) {
	if name == "" {
		return "", nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	if len(text) > maxSecretFile {
		return "", fmt.Errorf("read secret: %s has more than %d octets", name, maxSecretFile)
	}
	return sallyport.Secret(strings.TrimRight(string(text), "\r\n")), nil
}

func newApplianceTrust() *cobra.Command {
	var (
		r                      trust.Request
		tenant, code, join     string
		caFile, proxy, codeAsk string
	)
	c := &cobra.Command{
		Use:   "trust",
		Short: "Establish trust with the cloud, once, with a provisioning code",
		Long: `Makes this appliance's key, has the cloud sign its certificate, and keeps both in the data directory.
The first appliance of an enterprise makes the enterprise's keys as well; they never leave it but sealed to
a further appliance. A further appliance needs a join code from one that is running
('sallyport appliance invite').`,
		Example: `  sallyport appliance trust --cloud https://cloud.example --enterprise 01j… --code-file code.txt`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := fill(c); err != nil {
				return err
			}
			var err error
			if r.Code, err = codeFrom(c, code, codeAsk, "Provisioning code: "); err != nil {
				return err
			}
			if r.Client, err = httpClient(caFile, proxy); err != nil {
				return err
			}
			r.Tenant = sallyport.TenantID(tenant)
			return establish(c, r, sallyport.Secret(join), proxy)
		},
	}
	f := c.Flags()
	f.StringVar(&r.Dir, "data", defaultData, "the appliance's data directory")
	f.StringVar(&r.CloudURL, "cloud", "", "the cloud's address, https://…")
	f.StringVar(&tenant, "enterprise", "", "the enterprise id")
	f.StringVar(&code, "code", "", "the provisioning code; other users of this machine can see it: --code-file is better")
	f.StringVar(&codeAsk, "code-file", "", "file with the provisioning code; - reads standard input")
	f.StringVar(&join, "join-code", "", "join code from a running appliance, for a further appliance")
	f.StringVar(&r.Name, "name", hostname(), "what this appliance is called in lists")
	f.StringVar(&caFile, "cloud-ca", "", "PEM file with the authority of the cloud's HTTPS certificate (default: the system's)")
	f.StringVar(&proxy, "proxy", "", "HTTP CONNECT proxy: http://[USER:PASSWORD@]HOST:PORT")
	_ = c.MarkFlagRequired("cloud")
	_ = c.MarkFlagRequired("enterprise")
	return c
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "appliance"
	}
	return name
}

func establish(c *cobra.Command, r trust.Request, join sallyport.Secret, proxy string) error {
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	t, further, err := trust.Establish(ctx, r)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(c.OutOrStdout(), "Trust established: appliance %s of %s (%s).\n", t.Appliance, t.EnterpriseName, t.Tenant)
	switch {
	case further && join == "":
		_, _ = fmt.Fprintln(c.OutOrStdout(), "Other appliances have the enterprise's keys. On one of them run 'sallyport appliance invite', then here 'sallyport appliance join'.")
		return nil
	case further:
		return joinWith(ctx, c, r.Dir, join, proxy, false)
	}
	ring, err := keyring.New(t.Tenant)
	if err != nil {
		return err
	}
	if err := ring.Save(r.Dir); err != nil {
		return fmt.Errorf("keep enterprise keys: %w", err)
	}
	_, _ = fmt.Fprintf(c.OutOrStdout(), "The enterprise's keys were made and are kept in %s. Back it up: nobody else has them.\nRoot key fingerprint: %s\n", r.Dir, ring.Fingerprint())
	return nil
}

// codeFrom takes a code from a flag, a file, or the person.
func codeFrom(c *cobra.Command, flag, file, ask string) (sallyport.Secret, error) {
	switch {
	case flag != "":
		return sallyport.Secret(flag), nil
	case file != "" && file != "-":
		return secretFile(file)
	case file == "":
		_, _ = fmt.Fprint(c.ErrOrStderr(), ask)
	}
	line, err := readLine(c.InOrStdin())
	if err != nil || line == "" {
		return "", &usageError{errors.New("no code was given; use --code-file")}
	}
	return sallyport.Secret(line), nil
}

func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < maxSecretFile; line = append(line, b[0]) {
		n, err := r.Read(b)
		if n == 1 && b[0] == '\n' || n == 0 && errors.Is(err, io.EOF) {
			return strings.TrimSpace(string(line)), nil
		}
		if n == 0 && err != nil {
			return "", fmt.Errorf("read line: %w", err)
		}
	}
	return "", errors.New("the line is too long")
}

func httpClient(caFile, proxy string) (*http.Client, error) {
	tr := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 10 * time.Second, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	u, err := proxyURL(proxy)
	if err != nil {
		return nil, err
	}
	if u != nil {
		tr.Proxy = http.ProxyURL(u)
	}
	if caFile != "" {
		text, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("read authority: %w", err)
		}
		tr.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !tr.TLSClientConfig.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate", caFile)
		}
	}
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}, nil
}

func newApplianceJoin() *cobra.Command {
	var data, code, file, proxy string
	var again bool
	c := &cobra.Command{
		Use:   "join",
		Short: "Get the enterprise's keys from an appliance that has them",
		Long: `Gets the enterprise's keys from an appliance that is running, with the join code that 'sallyport appliance
invite' makes there. After 'sallyport appliance rekey' on another appliance, stop this one, run it with
--again, and start this one.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := fill(c); err != nil {
				return err
			}
			secret, err := codeFrom(c, code, file, "Join code: ")
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
			defer cancel()
			return joinWith(ctx, c, data, secret, proxy, again)
		},
	}
	c.Flags().StringVar(&data, "data", defaultData, "the appliance's data directory")
	c.Flags().BoolVar(&again, "again", false, "replace the keys that are here already: the store's was changed on another appliance")
	c.Flags().StringVar(&code, "join-code", "", "the join code; other users of this machine can see it: --code-file is better")
	c.Flags().StringVar(&file, "code-file", "", "file with the join code; - reads standard input")
	c.Flags().StringVar(&proxy, "proxy", "", "HTTP CONNECT proxy: http://[USER:PASSWORD@]HOST:PORT")
	return c
}

func joinWith(ctx context.Context, c *cobra.Command, data string, code sallyport.Secret, proxy string, again bool) error {
	t, err := trust.Load(data)
	if err != nil {
		return err
	}
	if _, err := keyring.Load(data); err == nil && !again {
		return sallyport.Errorf(sallyport.CodeConflict, "This appliance has the enterprise's keys already. If the store's key was changed on another appliance, give --again.", nil)
	}
	u, err := proxyURL(proxy)
	if err != nil {
		return err
	}
	ring, err := appliance.Join(ctx, t, code, appliance.JoinOptions{Proxy: u, Version: version()})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "This appliance has the enterprise's keys now.\nRoot key fingerprint: %s\nCompare it with the one shown on the other appliance.\n", ring.Fingerprint())
	return err
}

func newApplianceInvite() *cobra.Command {
	var p place
	var o output
	c := &cobra.Command{
		Use:   "invite",
		Short: "Make a join code for a further appliance",
		Long: `Makes a code with which one further appliance gets the enterprise's keys, sealed, from an appliance
that is running. It is shown once, can be used once, and ends after an hour.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.with(c, func(ctx context.Context, a *opened) error {
				now := time.Now()
				inv := trust.NewInvite(now)
				if err := (appliance.Invites{Store: a.store}).Put(ctx, inv, now); err != nil {
					return fmt.Errorf("keep join code: %w", err)
				}
				v := map[string]string{"joinCode": string(inv.Code), "expires": inv.Expires.UTC().Format(time.RFC3339), "fingerprint": a.ring.Fingerprint()}
				return o.print(c.OutOrStdout(), v, func(w io.Writer) {
					_, _ = fmt.Fprintf(w, "Join code:\t%s\nExpires:\t%s\nRoot key fingerprint:\t%s\n", v["joinCode"], v["expires"], v["fingerprint"])
				})
			})
		},
	}
	p.admin(c)
	o.flag(c)
	return c
}
