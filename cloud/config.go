package cloud

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/cloud/edge"
	"github.com/sallyport/sallyport/cloud/login"
)

// Config is what an operator chooses. Files are PEM.
type Config struct {
	// Listen is for browsers: HTTPS when TLSCert and TLSKey are given, else HTTP behind a proxy
	// that does TLS. ":8443" and ":8080" by default.
	Listen          string
	TLSCert, TLSKey string
	// TunnelListen is for appliances (":8444"). Without TunnelCert and TunnelKey the cloud's own
	// authority makes the certificate.
	TunnelListen          string
	TunnelCert, TunnelKey string
	// AdminListen is for probes and metrics ("127.0.0.1:9090").
	AdminListen string
	// Redis is a redis:// or rediss:// URL, or several with commas between.
	Redis string
	// KeyDir holds what InitKeys made; the same on every replica.
	KeyDir string
	// PublicURL is where browsers reach the cloud.
	PublicURL string
	// TunnelAddress and TokenServiceAddress are host:port as appliances dial them. TunnelAddress is
	// the tunnel's listener by default.
	TunnelAddress, TokenServiceAddress string
	// Roots are further authorities that appliances trust at those two.
	Roots []string
	// TrustedProxies are addresses and prefixes whose X-Forwarded-For is believed.
	TrustedProxies []string
	// Replica names this process for appliances and operators; the host's name by default. Replicas
	// have different names.
	Replica string
	Version string
	Limits  login.Limits
	// ProvisionRate bounds requests for trust of one address.
	ProvisionRate edge.Rate
	// Connections is how many connections of browsers are open at a time (250,000).
	Connections int
	// Grace is how long requests may take to finish when the process is to end (20 s).
	Grace time.Duration

	proxies edge.Proxies
}

func (c Config) complete() (Config, error) {
	or := func(s *string, def string) {
		if *s == "" {
			*s = def
		}
	}
	if c.TLSCert != "" {
		or(&c.Listen, ":8443")
	}
	or(&c.Listen, ":8080")
	or(&c.TunnelListen, ":8444")
	or(&c.AdminListen, "127.0.0.1:9090")
	or(&c.Version, "dev")
	if c.Replica == "" {
		c.Replica = hostName()
	}
	if c.ProvisionRate.PerSecond == 0 {
		c.ProvisionRate = edge.Rate{PerSecond: 1, Burst: 30}
	}
	if c.Connections <= 0 {
		c.Connections = 250_000
	}
	if c.Grace <= 0 {
		c.Grace = 20 * time.Second
	}
	var err error
	c.proxies, err = edge.ParseProxies(c.TrustedProxies)
	return c, errors.Join(err, c.check())
}

func (c Config) check() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("cloud configuration: "+format, args...))
		}
	}
	bad(c.Redis == "", "redis: the address is missing")
	bad(c.KeyDir == "", "key directory: the name is missing")
	bad((c.TLSCert == "") != (c.TLSKey == ""), "certificate and key for browsers go together")
	bad((c.TunnelCert == "") != (c.TunnelKey == ""), "certificate and key of the tunnel go together")
	bad(!sallyport.ValidID(c.Replica), "replica name %q: 1 to 64 letters, digits, - and _", c.Replica)
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		bad(err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http", "public URL %q is not an address as https://cloud.example", c.PublicURL)
	}
	for name, a := range map[string]string{"tunnel address": c.TunnelAddress, "token service address": c.TokenServiceAddress} {
		if a != "" {
			_, _, err := net.SplitHostPort(a)
			bad(err != nil, "%s %q is not host:port", name, a)
		}
	}
	return errors.Join(errs...)
}

// hostName is the host's name with everything replaced that a replica's name cannot have.
func hostName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "cloud"
	}
	clean := strings.Map(func(r rune) rune {
		if sallyport.ValidID(string(r)) {
			return r
		}
		return '-'
	}, name)
	return clean[:min(len(clean), 64)]
}
