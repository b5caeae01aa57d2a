// Package cloud is the cloud service as one process: the browser's API and the overlay's script on
// one listener, the appliances' tunnel on a second, the operator's probes and metrics on a third. It
// wires its parts and does nothing else; everything shared by replicas is in Redis and in the key
// directory. It never sees a password.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/oklog/run"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/cloud/enterprise"
	"github.com/sallyport/sallyport/cloud/login"
	"github.com/sallyport/sallyport/cloud/tunnel"
	"github.com/sallyport/sallyport/internal/redisconn"
	"github.com/sallyport/sallyport/internal/revocation"
	"github.com/sallyport/sallyport/internal/telemetry"
)

// Deps are what the process gives the service; zero values mean the ordinary ones.
type Deps struct {
	Log     *slog.Logger
	Now     func() time.Time
	Metrics *prometheus.Registry
}

func (d Deps) complete() Deps {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Metrics == nil {
		d.Metrics = prometheus.NewRegistry()
		d.Metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	return d
}

// Service is one replica of the cloud.
type Service struct {
	cfg  Config
	deps Deps
	keys *Keys

	redis redis.UniversalClient
	hub   *tunnel.Hub
	login *login.Service
	http  *http.Server

	browser, tunnel, admin net.Listener
	tunnelCert             certificate
}

// New opens Redis and the listeners; nothing is served before Run. Close what New opened by Run, or
// by Close when Run is never called.
func New(ctx context.Context, cfg Config, deps Deps) (_ *Service, err error) {
	if cfg, err = cfg.complete(); err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, deps: deps.complete()}
	if s.keys, err = LoadKeys(cfg.KeyDir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.redis, err = redisconn.Open(ctx, cfg.Redis); err != nil {
		return nil, err
	}
	if err = s.listen(ctx); err != nil {
		return nil, err
	}
	return s, s.build(ctx)
}

func (s *Service) listen(ctx context.Context) error {
	for _, l := range []struct {
		name, address string
		to            *net.Listener
	}{
		{"browser", s.cfg.Listen, &s.browser},
		{"tunnel", s.cfg.TunnelListen, &s.tunnel},
		{"admin", s.cfg.AdminListen, &s.admin},
	} {
		var lc net.ListenConfig
		lis, err := lc.Listen(ctx, "tcp", l.address)
		if err != nil {
			return fmt.Errorf("open %s listener: %w", l.name, err)
		}
		*l.to = lis
	}
	return nil
}

func (s *Service) build(ctx context.Context) error {
	store := enterprise.New(s.redis, s.deps.Now)
	authority := enterprise.Authority{Store: store, CA: s.keys.CA}
	var err error
	s.hub, err = tunnel.NewHub(tunnel.Config{
		Replica: s.cfg.Replica, Version: s.cfg.Version, Redis: s.redis, Revocations: revocation.List{Redis: s.redis},
		Renewer: authority, Log: s.deps.Log, Now: s.deps.Now,
	})
	if err != nil {
		return err
	}
	s.login, err = login.New(login.Config{
		Redis: s.redis, Appliances: s.hub, Enterprises: store, Key: s.keys.Login, Limits: s.cfg.Limits,
		Proxies: s.cfg.proxies, Now: s.deps.Now, Log: s.deps.Log, Metrics: s.deps.Metrics,
	})
	if err != nil {
		return err
	}
	if err := s.registerTunnelMetrics(); err != nil {
		return err
	}
	if s.tunnelCert, err = s.tunnelCertificate(); err != nil {
		return err
	}
	s.http, err = s.newBrowserServer(ctx, authority)
	return err
}

func (s *Service) registerTunnelMetrics() error {
	gauge := func(name, help string, read func(tunnel.Stats) int) error {
		return s.deps.Metrics.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return float64(read(s.hub.Stats())) }))
	}
	return errors.Join(
		gauge("sallyport_tunnel_streams", "Streams of appliances to this replica.", func(st tunnel.Stats) int { return st.Streams }),
		gauge("sallyport_tunnel_requests", "Requests at appliances, over this replica's streams.", func(st tunnel.Stats) int { return st.InFlight }),
		gauge("sallyport_tunnel_handovers", "Requests worked on for other replicas.", func(st tunnel.Stats) int { return st.Handovers }),
	)
}

// Addr, TunnelAddr and AdminAddr are where the service listens, for those who chose port 0.
func (s *Service) Addr() string       { return s.browser.Addr().String() }
func (s *Service) TunnelAddr() string { return s.tunnel.Addr().String() }
func (s *Service) AdminAddr() string  { return s.admin.Addr().String() }

// Run serves until ctx ends or a part fails. It then tells appliances and pages to move to another
// replica, lets requests finish for at most the configured grace, and returns when all is closed.
func (s *Service) Run(ctx context.Context) error {
	defer s.Close()
	var g run.Group
	add := func(name string, serve func(context.Context) error) {
		part, cancel := context.WithCancel(context.WithoutCancel(ctx))
		g.Add(func() error {
			err := serve(part)
			if err != nil {
				err = fmt.Errorf("%s: %w", name, err)
			}
			return err
		}, func(error) { cancel() })
	}
	stop, cancel := context.WithCancel(ctx)
	g.Add(func() error { <-stop.Done(); return nil }, func(error) { cancel() })
	add("tunnel", func(ctx context.Context) error {
		return s.hub.Serve(ctx, s.tunnel, s.tunnelTLS(), s.cfg.Grace)
	})
	add("logins", s.login.Run)
	add("browser listener", s.serveBrowsers)
	add("admin listener", func(ctx context.Context) error {
		return telemetry.Serve(ctx, s.admin, telemetry.Admin(map[string]telemetry.Probe{"redis": s.probeRedis}, s.deps.Metrics))
	})
	s.deps.Log.InfoContext(ctx, "cloud serves", "replica", s.cfg.Replica, "browser", s.Addr(), "tunnel", s.TunnelAddr(), "admin", s.AdminAddr())
	return g.Run()
}

func (s *Service) probeRedis(ctx context.Context) error {
	if err := s.redis.Ping(ctx).Err(); err != nil {
		return errors.New("redis does not answer")
	}
	return nil
}

// Close closes what New opened.
func (s *Service) Close() {
	for _, l := range []net.Listener{s.browser, s.tunnel, s.admin} {
		if l != nil {
			_ = l.Close() // may be closed already by its server
		}
	}
	if s.redis != nil {
		_ = s.redis.Close()
	}
}
