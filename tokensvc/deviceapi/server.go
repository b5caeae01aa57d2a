// Package deviceapi is the token service towards devices: the HTTP API of docs/protocol/device.md, and
// the phone page. Devices prove themselves with their own key on every request. The package relays
// sealed values and looks into none.
package deviceapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/tokensvc/store"
)

// look is how often a waiting request looks by itself, in case an event was lost.
const look = 5 * time.Second

// Store is what the API keeps in Redis.
type Store interface {
	Enrolments
	Unclaimed
	Challenges
	Devices
	Once(ctx context.Context, t sallyport.TenantID, d sallyport.DeviceID, id string, ttl time.Duration) (bool, error)
}

// Waiter wakes requests that wait (store.Events).
type Waiter interface {
	Wait(store.Topic) (changed <-chan struct{}, stop func())
}

// Config is what the API needs.
type Config struct {
	Store  Store
	Events Waiter
	// URL is the device address, as in links; requests are authorized for it.
	URL string
	// Page are the files of the phone page; nil serves none.
	Page fs.FS
	// WebPush tells the phone page where it hears of pushes; zero: nowhere.
	WebPush WebPush
	// TrustedProxies may say in X-Forwarded-For on whose behalf they ask.
	TrustedProxies []netip.Prefix
	Limits         Limits
	// Draining is closed when this replica shuts down, so that waiting requests end.
	Draining <-chan struct{}
	// Observe is told of every answered request, for metrics; route is the pattern, not the address.
	Observe func(method, route string, status int, took time.Duration)
	Log     *slog.Logger
	Now     func() time.Time
}

// Limits bound what one address or device may ask. The zero value is DefaultLimits.
type Limits struct {
	// Requests of one address, and failed authorizations of one address, a second and at once.
	PerAddress, Failures Rate
	// Requests of one device.
	PerDevice Rate
	// Newcomers are requests of one address by apps that want to be found by their serial number.
	Newcomers Rate
	// Waiting requests of one device and of all.
	WaitingPerDevice, Waiting int
}

// Rate is so many a second, with so many at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

// DefaultLimits leave room for a hospital's phones behind one address.
func DefaultLimits() Limits {
	return Limits{
		PerAddress: Rate{200, 1000}, Failures: Rate{10, 100}, PerDevice: Rate{5, 40}, Newcomers: Rate{2, 100},
		WaitingPerDevice: 4, Waiting: 50_000,
	}
}

// Server is the API.
type Server struct {
	cfg       Config
	addresses *limiters
	failures  *limiters
	devices   *limiters
	newcomers *limiters
	waiting   *waiting
}

// New returns the API as a handler.
func New(cfg Config) (http.Handler, error) {
	if cfg.Limits == (Limits{}) {
		cfg.Limits = DefaultLimits()
	}
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || strings.HasSuffix(cfg.URL, "/") {
		return nil, errors.New("configure device address: it must be a URL without a slash at its end")
	}
	s := &Server{
		cfg:       cfg,
		addresses: newLimiters(cfg.Limits.PerAddress), failures: newLimiters(cfg.Limits.Failures), devices: newLimiters(cfg.Limits.PerDevice),
		newcomers: newLimiters(cfg.Limits.Newcomers),
		waiting:   newWaiting(cfg.Limits.WaitingPerDevice, cfg.Limits.Waiting),
	}
	e := echo.New()
	e.HTTPErrorHandler = s.refuse
	e.IPExtractor = addressOf(cfg.TrustedProxies)
	e.Use(s.observe, s.guard)
	e.POST("/v1/enrolments/:tenant/:enrolment", s.register)
	e.GET("/v1/enrolments/:tenant/:enrolment", s.enrolmentStatus)
	e.PUT("/v1/unclaimed/:serial", s.showSerial)
	e.GET("/v1/unclaimed/:serial", s.invitations)
	e.DELETE("/v1/unclaimed/:serial", s.hideSerial)
	e.POST("/v1/unclaimed/:serial/invitations/:id", s.answerInvitation)
	e.GET("/v1/challenges", s.challenges)
	e.POST("/v1/challenges/:id/answer", s.answer)
	e.PUT("/v1/device/push", s.setPush)
	e.PUT("/v1/device/app", s.setApp)
	e.DELETE("/v1/device", s.forget)
	if cfg.Page != nil {
		if err := s.servePage(e); err != nil {
			return nil, err
		}
	}
	return belowPrefix(u.Path, e), nil
}

// belowPrefix takes the device address's own path off, where the proxy in front has left it on.
func belowPrefix(prefix string, next http.Handler) http.Handler {
	if prefix == "" {
		return next
	}
	stripped := http.StripPrefix(prefix, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, prefix+"/") {
			stripped.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func addressOf(proxies []netip.Prefix) echo.IPExtractor {
	if len(proxies) == 0 {
		return echo.ExtractIPDirect()
	}
	trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range proxies {
		trust = append(trust, echo.TrustIPRange(ipNet(p)))
	}
	return echo.ExtractIPFromXFFHeader(trust...)
}

// observe reports every request when it has been answered, refused ones included.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := s.cfg.Now()
		if err := next(c); err != nil {
			c.Error(err)
		}
		s.cfg.Observe(c.Request().Method, c.Path(), c.Response().Status, s.cfg.Now().Sub(began))
		return nil
	}
}

// guard bounds every request before anything is done for it.
func (s *Server) guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		if !s.addresses.allow(c.RealIP(), s.cfg.Now()) {
			return limited()
		}
		if strings.HasPrefix(c.Request().URL.Path, "/v1/") {
			h.Set("Cache-Control", "no-store")
			c.Request().Body = http.MaxBytesReader(c.Response(), c.Request().Body, deviceproto.MaxBody)
		}
		return next(c)
	}
}

// body reads a body, which guard has bounded.
func body(c echo.Context) ([]byte, error) {
	b, err := io.ReadAll(c.Request().Body)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, invalid("The request is larger than 16 KiB.", err)
	}
	if err != nil {
		return nil, invalid("The request broke off.", err)
	}
	return b, nil
}

// decode reads a JSON body: one value and nothing after it. Unknown fields are a newer app's.
func decode(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return invalid("The request is not the JSON that is expected here.", err)
	}
	return nil
}

// waitTime reads ?wait=0..25, in seconds.
func waitTime(c echo.Context) (time.Duration, error) {
	text := c.QueryParam("wait")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || time.Duration(n)*time.Second > deviceproto.MaxWait {
		return 0, invalid("wait must be between 0 and 25 seconds.", err)
	}
	return time.Duration(n) * time.Second, nil
}

// until calls done, now and after every change of topic, until it says so or wait is over. When this
// replica drains, waiting ends as if the time were over.
func (s *Server) until(ctx context.Context, topic store.Topic, wait time.Duration, done func() (bool, error)) error {
	changed, stop := s.cfg.Events.Wait(topic)
	defer stop()
	over := time.NewTimer(wait)
	defer over.Stop()
	again := time.NewTicker(look)
	defer again.Stop()
	for {
		if ok, err := done(); ok || err != nil || wait == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.cfg.Draining:
			return nil
		case <-over.C:
			return nil
		case <-changed:
		case <-again.C:
		}
	}
}

func newRate(r Rate) *rate.Limiter { return rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst) }
