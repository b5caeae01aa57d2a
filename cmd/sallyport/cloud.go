package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/cloud"
)

func newCloudCommand() *cobra.Command {
	var (
		cfg cloud.Config
		l   logging
	)
	c := &cobra.Command{
		Use:   "cloud",
		Short: "Run a replica of the cloud service, or prepare its keys",
		Long: `Runs one replica of the cloud service until it is told to stop (SIGTERM, Ctrl-C); it then sends appliances
and pages to other replicas and finishes what is under way. Run 'sallyport cloud init' once before.`,
		Example: `  sallyport cloud --redis redis://localhost --key-dir /etc/sallyport/keys --public-url https://cloud.example \
      --tls-cert cert.pem --tls-key key.pem --tunnel-address tunnel.cloud.example:8444 --tokensvc-address tokens.cloud.example:8454`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := l.logger(c)
			if err != nil {
				return err
			}
			cfg.Version = version()
			s, err := cloud.New(c.Context(), cfg, cloud.Deps{Log: log})
			if err != nil {
				return err
			}
			return s.Run(c.Context())
		},
	}
	f := c.Flags()
	l.flags(c)
	f.StringVar(&cfg.Listen, "listen", "", "TCP address for browsers (default :8443 with --tls-cert, else :8080 for a proxy that does TLS)")
	f.StringVar(&cfg.TLSCert, "tls-cert", "", "PEM file with the certificate for browsers")
	f.StringVar(&cfg.TLSKey, "tls-key", "", "PEM file with its key")
	f.StringVar(&cfg.TunnelListen, "tunnel-listen", ":8444", "TCP address for appliances")
	f.StringVar(&cfg.TunnelCert, "tunnel-cert", "", "PEM file with the tunnel's certificate (default: the cloud's own authority makes one)")
	f.StringVar(&cfg.TunnelKey, "tunnel-key", "", "PEM file with its key")
	f.StringVar(&cfg.AdminListen, "admin-listen", "127.0.0.1:9090", "TCP address of /healthz, /readyz and /metrics")
	f.StringVar(&cfg.Redis, "redis", "", "Redis: redis:// or rediss:// URL; several with commas for a cluster")
	f.StringVar(&cfg.KeyDir, "key-dir", "/etc/sallyport/keys", "what 'sallyport cloud init' made; the same on every replica")
	f.StringVar(&cfg.PublicURL, "public-url", "", "where browsers reach the cloud, https://…")
	f.StringVar(&cfg.TunnelAddress, "tunnel-address", "", "HOST:PORT at which appliances dial the tunnel")
	f.StringVar(&cfg.TokenServiceAddress, "tokensvc-address", "", "HOST:PORT at which appliances dial the token service")
	f.StringArrayVar(&cfg.Roots, "root", nil, "PEM file with a further authority that appliances are to trust at these two")
	f.StringArrayVar(&cfg.TrustedProxies, "trusted-proxy", nil, "address or network whose X-Forwarded-For is believed")
	f.StringVar(&cfg.Replica, "replica", "", "name of this replica (default: the host's name)")
	f.IntVar(&cfg.Connections, "max-connections", 250_000, "connections of browsers at a time")
	f.Float64Var(&cfg.Limits.PerAddress.PerSecond, "limit-per-address", 0, "requests a second of one address, of each kind; 0 for the default")
	f.Float64Var(&cfg.Limits.PerEnterprise.PerSecond, "limit-per-enterprise", 0, "requests a second of one enterprise, of each kind; 0 for the default")
	f.DurationVar(&cfg.Grace, "grace", 20*time.Second, "how long requests may take to finish at the end")
	c.AddCommand(newCloudInit(), newCloudIssue())
	return c
}

func newCloudInit() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "init", Short: "Make the cloud's keys, once",
		Long: `Makes the authority that signs the certificates of appliances, and the key of login ids. What is there
already is left alone. Give every replica the same directory (in Kubernetes: a secret); keep a copy of it safe.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := fill(c); err != nil {
				return err
			}
			if err := cloud.InitKeys(dir); err != nil {
				return err
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "Keys are in %s.\n", dir)
			return err
		},
	}
	configFlag(c)
	c.Flags().StringVar(&dir, "key-dir", "/etc/sallyport/keys", "where the keys are kept")
	return c
}

func newCloudIssue() *cobra.Command {
	var dir, cert, key string
	c := &cobra.Command{
		Use: "issue HOST…", Short: "Make a certificate for a listener that appliances dial, such as the token service's",
		Long:    "Appliances trust the cloud's authority already, so nothing has to be distributed. Existing files are not overwritten. The certificate holds for a year.",
		Example: "  sallyport cloud issue --cert tokens.crt --key tokens.key tokens.cloud.example",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, hosts []string) error {
			if err := fill(c); err != nil {
				return err
			}
			if cert == "" || key == "" {
				return &usageError{errors.New("give --cert and --key, the files to write")}
			}
			keys, err := cloud.LoadKeys(dir)
			if err != nil {
				return err
			}
			if err := keys.IssueServer(time.Now(), cert, key, hosts...); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "Wrote %s and %s.\n", cert, key)
			return err
		},
	}
	configFlag(c)
	f := c.Flags()
	f.StringVar(&dir, "key-dir", "/etc/sallyport/keys", "where the cloud's keys are")
	f.StringVar(&cert, "cert", "", "certificate file to write")
	f.StringVar(&key, "key", "", "key file to write")
	return c
}
