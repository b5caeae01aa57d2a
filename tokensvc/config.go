package tokensvc

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/tokensvc/deviceapi"
	"github.com/sallyport/sallyport/tokensvc/push"
)

// Config is what one replica of the token service needs. Addresses are as net.Listen takes them.
type Config struct {
	Redis redis.UniversalClient

	// GRPCAddr is where appliances ask; GRPCTLS demands their certificates (pki.ServerTLS).
	GRPCAddr string
	GRPCTLS  *tls.Config
	// DeviceAddr is where devices ask. DeviceTLS nil is plain HTTP: behind a proxy, or on loopback.
	DeviceAddr string
	DeviceTLS  *tls.Config
	// DeviceURL is the device address in links, without a slash at its end; "" is DeviceAddr itself,
	// for tests and the demo.
	DeviceURL string
	// AdminAddr serves /healthz, /readyz and /metrics; "" serves none.
	AdminAddr string

	// Page are the files of the phone page; nil serves none. WebPush is for the demo.
	Page    fs.FS
	WebPush deviceapi.WebPush

	// Senders are the configured push providers (push/apns, push/fcm).
	Senders map[deviceproto.Provider]push.Sender

	// Texts is how text messages are sent.
	Texts TextConfig

	// PushWorkers is how many pushes a provider is sent at a time, PushQueue how many wait here for it;
	// more wait in Redis. Zero is 128 and 4096.
	PushWorkers, PushQueue int

	TrustedProxies []netip.Prefix
	Limits         deviceapi.Limits
	// MaxConnections bounds the connections of devices; 0 is 50,000.
	MaxConnections int
	// ShutdownDelay is how long the replica goes on after it has said "not ready", for load balancers
	// to notice.
	ShutdownDelay time.Duration

	Log *slog.Logger
	Now func() time.Time
}

func (c Config) check() error {
	switch {
	case c.Redis == nil:
		return errors.New("configure token service: redis is missing")
	case c.GRPCTLS == nil || c.GRPCTLS.ClientAuth != tls.RequireAndVerifyClientCert:
		return errors.New("configure token service: the appliances' listener must demand client certificates")
	case c.Log == nil || c.Now == nil:
		return errors.New("configure token service: log and clock are missing")
	}
	return nil
}
