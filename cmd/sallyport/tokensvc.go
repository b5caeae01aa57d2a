package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/pki"
	"github.com/sallyport/sallyport/internal/redisconn"
	"github.com/sallyport/sallyport/tokensvc"
	"github.com/sallyport/sallyport/tokensvc/push"
	"github.com/sallyport/sallyport/tokensvc/push/apns"
	"github.com/sallyport/sallyport/tokensvc/push/fcm"
	"github.com/sallyport/sallyport/tokensvc/sms"
	"github.com/sallyport/sallyport/web/authenticator"
)

// tokenSettings are the settings of the token service as an operator gives them.
type tokenSettings struct {
	redis                        string
	grpc, grpcCert, grpcKey, ca  string
	device, deviceCert, devKey   string
	url, admin                   string
	proxies                      []string
	page                         bool
	pushURL                      string
	apnsHost, apnsTopic          string
	apnsKey, apnsKeyID, apnsTeam string
	apnsCert, apnsCertKey        string
	fcmAccount, fcmURL, fcmToken string
	pushCA                       string
	sms                          sms.Gateway
	smsKind                      string
	smsSecret, smsCA             string
	smsAllowed                   []string
	smsPerHour                   int
	delay                        time.Duration
}

func newTokenServiceCommand() *cobra.Command {
	var s tokenSettings
	var l logging
	c := &cobra.Command{
		Use:   "tokensvc",
		Short: "Run a replica of the token service",
		Long: `Runs one replica of the token service until it is told to stop (SIGTERM, Ctrl-C). It takes challenges from
appliances, sends pushes through APNs and FCM and text messages through gateways, and passes the answers of devices back.`,
		Example: `  sallyport tokensvc --redis redis://localhost --cert tokens.crt --key tokens.key --appliance-ca keys/ca.crt \
      --device-url https://tokens.example --apns-key AuthKey.p8 --apns-key-id ABC123DEFG --apns-team-id DEF123GHIJ --apns-topic org.example.app`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := l.logger(c)
			if err != nil {
				return err
			}
			return s.run(c.Context(), log)
		},
	}
	l.flags(c)
	f := c.Flags()
	f.StringVar(&s.redis, "redis", "", "Redis: redis:// or rediss:// URL; several with commas for a cluster")
	f.StringVar(&s.grpc, "listen", ":8454", "TCP address for appliances")
	f.StringVar(&s.grpcCert, "cert", "", "PEM file with the certificate for appliances ('sallyport cloud issue' makes one)")
	f.StringVar(&s.grpcKey, "key", "", "PEM file with its key")
	f.StringVar(&s.ca, "appliance-ca", "", "PEM file with the cloud's authority (ca.crt of its key directory)")
	f.StringVar(&s.device, "device-listen", ":8453", "TCP address for devices")
	f.StringVar(&s.deviceCert, "device-cert", "", "PEM file with the certificate for devices (default: plain HTTP, for a proxy that does TLS)")
	f.StringVar(&s.devKey, "device-key", "", "PEM file with its key")
	f.StringVar(&s.url, "device-url", "", "where devices reach this service, https://…; it stands in enrolment links")
	f.StringVar(&s.admin, "admin-listen", "127.0.0.1:9091", "TCP address of /healthz, /readyz and /metrics; empty for none")
	f.StringArrayVar(&s.proxies, "trusted-proxy", nil, "address or network whose X-Forwarded-For is believed")
	f.BoolVar(&s.page, "web-authenticator", true, "serve the phone in the browser at /authenticator/")
	f.StringVar(&s.pushURL, "web-push-url", "", "where the phone in the browser listens for pushes (a push simulator)")
	f.StringVar(&s.apnsHost, "apns-url", "", "APNs (default: Apple's)")
	f.StringVar(&s.apnsTopic, "apns-topic", "", "the app's bundle id")
	f.StringVar(&s.apnsKey, "apns-key", "", "file with the signing key (.p8)")
	f.StringVar(&s.apnsKeyID, "apns-key-id", "", "id of the signing key")
	f.StringVar(&s.apnsTeam, "apns-team-id", "", "team id of the developer account")
	f.StringVar(&s.apnsCert, "apns-cert", "", "PEM file with a client certificate, instead of a signing key")
	f.StringVar(&s.apnsCertKey, "apns-cert-key", "", "PEM file with its key")
	f.StringVar(&s.fcmAccount, "fcm-service-account", "", "JSON file of the service account")
	f.StringVar(&s.fcmURL, "fcm-url", "", "FCM (default: Google's)")
	f.StringVar(&s.fcmToken, "fcm-token-url", "", "OAuth token address (default: the one in the service account)")
	f.StringVar(&s.pushCA, "push-ca", "", "PEM file with the authority of both (default: the system's)")
	f.StringVar(&s.smsKind, "sms-kind", "", "gateway for text messages of enterprises without one of their own: twilio, smpp or webhook (default: none)")
	f.StringVar(&s.sms.URL, "sms-url", "", "its address: https://…, smpps://host:port or smpp://host:port")
	f.StringVar(&s.sms.User, "sms-user", "", "account's SID or SID:key SID (twilio), system id (smpp)")
	f.StringVar(&s.smsSecret, "sms-secret-file", "", "file with the auth token (twilio), the password (smpp) or the signing secret (webhook)")
	f.StringVar(&s.sms.From, "sms-from", "", "sender: a number, a short code, a name, or the SID of a messaging service")
	f.StringVar(&s.sms.SystemType, "sms-system-type", "", "system type (smpp)")
	f.StringVar(&s.smsCA, "sms-ca", "", "PEM file with the authority of its certificate (default: the system's)")
	f.IntVar(&s.smsPerHour, "sms-per-hour", 1000, "how many text messages each enterprise may send through that gateway in an hour")
	f.StringArrayVar(&s.smsAllowed, "sms-allow-network", nil, "address or network, not of the public internet, in which enterprises may have their gateways")
	f.DurationVar(&s.delay, "shutdown-delay", 0, "how long to go on after saying 'not ready', for load balancers to notice")
	return c
}

func (s *tokenSettings) run(ctx context.Context, log *slog.Logger) (err error) {
	cfg, err := s.config(ctx, log)
	if err != nil {
		return err
	}
	if cfg.Redis, err = redisconn.Open(ctx, s.redis); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cfg.Redis.Close()) }()
	svc, err := tokensvc.New(cfg)
	if err != nil {
		return err
	}
	return svc.Run(ctx)
}

func (s *tokenSettings) config(ctx context.Context, log *slog.Logger) (cfg tokensvc.Config, err error) {
	for flag, value := range map[string]string{"redis": s.redis, "cert": s.grpcCert, "key": s.grpcKey, "appliance-ca": s.ca} {
		if value == "" {
			err = errors.Join(err, &usageError{fmt.Errorf("--%s is missing", flag)})
		}
	}
	if err != nil {
		return cfg, err
	}
	cfg = tokensvc.Config{
		GRPCAddr: s.grpc, DeviceAddr: s.device, DeviceURL: s.url, AdminAddr: s.admin, ShutdownDelay: s.delay, Log: log, Now: time.Now,
	}
	if cfg.GRPCTLS, err = s.applianceTLS(); err != nil {
		return cfg, err
	}
	if cfg.DeviceTLS, err = deviceTLS(s.deviceCert, s.devKey); err != nil {
		return cfg, err
	}
	if cfg.TrustedProxies, err = parseProxies(s.proxies); err != nil {
		return cfg, err
	}
	if s.page {
		cfg.Page = authenticator.Files
		cfg.WebPush.URL = s.pushURL
		cfg.WebPush.Provider = deviceproto.ProviderFCM
	}
	if cfg.Texts, err = s.texts(); err != nil {
		return cfg, err
	}
	cfg.Senders, err = s.senders(ctx, log)
	return cfg, err
}

// texts reads how text messages are sent.
func (s *tokenSettings) texts() (cfg tokensvc.TextConfig, err error) {
	for _, n := range s.smsAllowed {
		p, err := parseNetwork(n)
		if err != nil {
			return cfg, &usageError{fmt.Errorf("sms-allow-network %q: use an address or a network", n)}
		}
		cfg.Allowed = append(cfg.Allowed, p)
	}
	if s.smsKind == "" {
		return cfg, nil
	}
	own := s.sms
	own.Kind = sms.Kind(s.smsKind)
	if own.Secret, err = secretFile(s.smsSecret); err != nil {
		return cfg, fmt.Errorf("read secret of the gateway for text messages: %w", err)
	}
	if s.smsCA != "" {
		text, err := os.ReadFile(s.smsCA)
		if err != nil {
			return cfg, fmt.Errorf("read authority of the gateway for text messages: %w", err)
		}
		own.Authority = string(text)
	}
	if s.smsPerHour < 1 {
		return cfg, &usageError{errors.New("sms-per-hour: use 1 or more")}
	}
	cfg.Own, cfg.OwnPerHour = &own, s.smsPerHour
	return cfg, nil
}

func (s *tokenSettings) applianceTLS() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(s.grpcCert, s.grpcKey)
	if err != nil {
		return nil, fmt.Errorf("read certificate for appliances: %w", err)
	}
	roots, err := rootsOf(s.ca)
	if err != nil {
		return nil, err
	}
	return pki.ServerTLS(cert, roots), nil
}

func deviceTLS(cert, key string) (*tls.Config, error) {
	if cert == "" && key == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("read certificate for devices: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}, nil
}

// rootsOf reads authorities; nil, the system's, for no file.
func rootsOf(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}

func parseProxies(list []string) (out []netip.Prefix, err error) {
	for _, s := range list {
		p, err := parseNetwork(s)
		if err != nil {
			return nil, &usageError{fmt.Errorf("trusted-proxy %q: use an address or a network", s)}
		}
		out = append(out, p)
	}
	return out, nil
}

func (s *tokenSettings) senders(ctx context.Context, log *slog.Logger) (map[deviceproto.Provider]push.Sender, error) {
	out := map[deviceproto.Provider]push.Sender{}
	roots, err := rootsOf(s.pushCA)
	if err != nil {
		return nil, err
	}
	if s.apnsKey != "" || s.apnsCert != "" {
		if out[deviceproto.ProviderAPNs], err = s.apns(roots); err != nil {
			return nil, err
		}
	}
	if s.fcmAccount != "" {
		account, err := os.ReadFile(s.fcmAccount)
		if err != nil {
			return nil, fmt.Errorf("read service account: %w", err)
		}
		if out[deviceproto.ProviderFCM], err = fcm.New(ctx, fcm.Config{ServiceAccount: account, Endpoint: s.fcmURL, TokenURL: s.fcmToken, Roots: roots, Now: time.Now}); err != nil {
			return nil, err
		}
	}
	if len(out) == 0 {
		log.Warn("no push provider is configured: users have to open the app by themselves", "advice", "give --apns-key or --fcm-service-account")
	}
	return out, nil
}

func (s *tokenSettings) apns(roots *x509.CertPool) (push.Sender, error) {
	cfg := apns.Config{Host: s.apnsHost, Topic: s.apnsTopic, Roots: roots, Now: time.Now}
	if s.apnsCert != "" {
		pair, err := tls.LoadX509KeyPair(s.apnsCert, s.apnsCertKey)
		if err != nil {
			return nil, fmt.Errorf("read APNs certificate: %w", err)
		}
		cfg.Certificate = &pair
		return apns.New(cfg)
	}
	p8, err := os.ReadFile(s.apnsKey)
	if err != nil {
		return nil, fmt.Errorf("read APNs key: %w", err)
	}
	cfg.Key = &apns.SigningKey{P8: p8, KeyID: s.apnsKeyID, TeamID: s.apnsTeam}
	return apns.New(cfg)
}

// parseNetwork reads an address or a network.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}
