// Package login is the cloud's browser API (docs/protocol/browser.md): it carries a login between a
// page and an appliance, and shows the page every change at once.
//
// A login goes through these phases, of which the appliance decides:
//
//	begin ──▶ (nothing is kept) ──credentials──▶ waiting ⇄ input ──▶ done | denied
//	                                                │
//	                                                └── no appliance answered in time ──▶ failed
//
// Any replica takes any request. What must be shared lies in Redis: the session (view, sealed
// state), the claim that one login id is used for one request, and who drives the waiting. While a
// login is waiting, one replica keeps a Wait request open at an appliance; when that replica dies
// another one with the browser's stream takes over. Views travel to the streams of all replicas by
// one pub/sub channel.
//
// The package never sees a password, a code, a number or a gateway token: all of it is sealed
// between page and appliance. It never stores the bearer that it gives to the page.
package login

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/cloud/edge"
)

// Appliances are the enterprises' appliances, over the tunnel.
type Appliances interface {
	// Do asks one appliance of the enterprise. Its errors have the codes unavailable (nothing was
	// asked of the directory) and uncertain (it may have been).
	Do(ctx context.Context, tenant sallyport.TenantID, r *tunnelpb.Request) (*tunnelpb.Response, error)
	// Statement returns the keys that browsers seal to, signed by the enterprise; code unavailable when no
	// appliance of the enterprise is connected.
	Statement(ctx context.Context, tenant sallyport.TenantID) (*tunnelpb.KeyStatement, error)
}

// Enterprises says which enterprises there are.
type Enterprises interface {
	Exists(ctx context.Context, tenant sallyport.TenantID) (bool, error)
}

// Limits bound what callers can make the cloud do. The zero value is filled with defaults.
type Limits struct {
	// PerAddress and PerEnterprise are for begin, credentials and messages, each on its own. A
	// whole hospital may stand behind one address.
	PerAddress    edge.Rate `yaml:"per_address"`
	PerEnterprise edge.Rate `yaml:"per_enterprise"`
	// InHand is how many requests of one enterprise may be at its appliances at a time, waiting
	// not counted.
	InHand int `yaml:"in_hand"`
	// Streams is how many event streams and long polls one replica holds.
	Streams int `yaml:"streams"`
}

func (l Limits) withDefaults() Limits {
	or := func(r *edge.Rate, perSecond float64, burst int) {
		if r.PerSecond == 0 {
			*r = edge.Rate{PerSecond: perSecond, Burst: burst}
		}
		if r.Burst == 0 { // chosen as a rate alone: as many at once as the default has for its rate
			r.Burst = max(1, int(r.PerSecond*float64(burst)/perSecond))
		}
	}
	or(&l.PerAddress, 50, 300)
	or(&l.PerEnterprise, 500, 2000)
	if l.InHand == 0 {
		l.InHand = 512
	}
	if l.Streams == 0 {
		l.Streams = 200_000
	}
	return l
}

// Config is what a Service needs.
type Config struct {
	Redis       redis.UniversalClient
	Appliances  Appliances
	Enterprises Enterprises
	// Key makes login ids and sessions; 32 octets, the same on every replica.
	Key     sallyport.Key
	Limits  Limits
	Proxies edge.Proxies
	Now     func() time.Time
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Service answers browsers on one replica.
type Service struct {
	cfg     Config
	keys    keys
	store   store
	replica *replica
	watch   *watchers
	drivers *drivers
	metrics *metrics

	// pollTimeout is how long a poll is held.
	pollTimeout time.Duration

	address, enterprise *edge.Limiter
	inHand              *edge.Gate

	// ctx ends all work in the background; work waits for it.
	ctx     context.Context
	stop    context.CancelFunc
	mu      sync.Mutex // of stopped, and of adding to work
	stopped bool
	work    sync.WaitGroup
}

// maxNames bounds the names that a rate limiter remembers.
const maxNames = 100_000

// New makes a Service; Run must run for it to take requests.
func New(cfg Config) (*Service, error) {
	if len(cfg.Key) != 32 {
		return nil, errors.New("login: the key must have 32 octets")
	}
	cfg.Limits = cfg.Limits.withDefaults()
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	s := &Service{
		cfg: cfg, keys: newKeys(cfg.Key), store: store{cfg.Redis}, metrics: m,
		replica:     newReplica(cfg.Redis),
		watch:       newWatchers(cfg.Limits.Streams),
		pollTimeout: pollTimeout,
		drivers:     newDrivers(),
		address:     edge.NewLimiter(cfg.Limits.PerAddress, maxNames, cfg.Now),
		enterprise:  edge.NewLimiter(cfg.Limits.PerEnterprise, maxNames, cfg.Now),
		inHand:      &edge.Gate{Max: cfg.Limits.InHand},
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Run keeps this replica known to the others and its streams up to date until ctx ends; then it
// closes every stream, so that the pages go to other replicas, and waits for all its goroutines.
func (s *Service) Run(ctx context.Context) error {
	defer func() {
		s.shut()
		s.replica.leave(context.WithoutCancel(ctx))
		s.work.Wait()
	}()
	if err := s.replica.join(ctx); err != nil {
		return err
	}
	var loops sync.WaitGroup
	defer loops.Wait()
	loops.Go(func() { s.replica.stay(ctx) })
	loops.Go(func() { s.watch.beat(ctx) })
	loops.Go(func() { s.mindDrivers(ctx) })
	return s.listen(ctx)
}

// Routes adds the browser API to e.
func (s *Service) Routes(e *echo.Echo) {
	g := e.Group("/v1/logins", noStore, middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOrigins: []string{"*"},
		AllowMethods: strings.Split(corsMethods, ","),
		AllowHeaders: strings.Split(corsHeaders, ","),
		MaxAge:       7200,
		Skipper:      takesCookies,
	}))
	// The group has to know the preflight requests for the middleware to see them.
	for _, path := range []string{"", "/:login/events", "/:login/messages"} {
		g.OPTIONS(path, noContent)
	}
	g.POST("", s.begin)
	g.GET("/:login/events", s.events)
	g.POST("/:login/messages", s.messages)
	for path, h := range map[string]echo.HandlerFunc{pathCredentials: s.credentials, pathRemembered: s.remembered} {
		g.OPTIONS(path, noContent, withCookies)
		g.POST(path, h, withCookies)
	}
}

// The two addresses that a page may ask with its cookies: of a browser that was, or is to be, remembered.
const (
	pathCredentials = "/:login/credentials"
	pathRemembered  = "/:login/remembered"
)

// What pages of other origins may send.
const (
	corsMethods = "GET,POST"
	corsHeaders = "Authorization,Content-Type,Traceparent"
	corsMaxAge  = "7200"
)

func takesCookies(c echo.Context) bool {
	return strings.HasSuffix(c.Path(), pathCredentials) || strings.HasSuffix(c.Path(), pathRemembered)
}

func noContent(c echo.Context) error { return c.NoContent(204) }

func noStore(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "no-store")
		return next(c)
	}
}

// background runs f until it returns; Run waits for it. After Run has ended nothing starts any more:
// what is left to do is left to other replicas.
func (s *Service) background(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.work.Go(f)
	}
}

func (s *Service) shut() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.stop()
	s.watch.closeAll()
}
