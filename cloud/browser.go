package cloud

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/redis/go-redis/v9"
	"golang.org/x/net/netutil"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/cloud/edge"
	"github.com/sallyport/sallyport/cloud/enterprise"
	"github.com/sallyport/sallyport/embed"
)

// Bounds of a browser's connection: one that is slower is cut. writeTime is longer than a long poll.
const (
	headerTime = 5 * time.Second
	readTime   = 15 * time.Second
	writeTime  = 45 * time.Second
	idleTime   = 60 * time.Second
	maxHeader  = 16 << 10
)

// newBrowserServer makes the server for browsers and for appliances that establish trust. It speaks
// HTTP/1.1 only: an event stream is then a connection of its own that costs next to nothing while it
// waits (docs/decisions/0007-event-streams.md).
func (s *Service) newBrowserServer(ctx context.Context, authority enterprise.Authority) (*http.Server, error) {
	e, err := s.router(ctx, authority)
	if err != nil {
		return nil, err
	}
	srv := &http.Server{
		Handler: e, ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, Protocols: new(http.Protocols),
		ErrorLog: slog.NewLogLogger(s.deps.Log.Handler(), slog.LevelDebug),
	}
	srv.Protocols.SetHTTP1(true)
	if s.cfg.TLSCert != "" {
		get, err := fromFiles(s.cfg.TLSCert, s.cfg.TLSKey, s.deps.Now)
		if err != nil {
			return nil, err
		}
		srv.TLSConfig = &tls.Config{
			MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return get() },
		}
	}
	return srv, nil
}

func (s *Service) router(ctx context.Context, authority enterprise.Authority) (http.Handler, error) {
	scripts, err := embed.NewServer(ctx, scriptArchive{s.redis})
	if err != nil {
		return nil, err
	}
	roots, err := s.roots()
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.HTTPErrorHandler = edge.ErrorHandler(s.deps.Log)
	e.Use(edge.Tracing, s.secureHeaders, middleware.RecoverWithConfig(middleware.RecoverConfig{
		DisablePrintStack: true,
		LogErrorFunc: func(_ echo.Context, err error, stack []byte) error {
			return fmt.Errorf("handler panicked: %w\n%s", err, stack)
		},
	}))
	s.login.Routes(e)
	door := &enterprise.Door{
		Authority: authority, Proxies: s.cfg.proxies, Log: s.deps.Log,
		Rate:          edge.NewLimiter(s.cfg.ProvisionRate, 10_000, s.deps.Now),
		TunnelAddress: s.cfg.TunnelAddress, TokenServiceAddress: s.cfg.TokenServiceAddress, Roots: roots,
	}
	if door.TunnelAddress == "" {
		door.TunnelAddress = s.TunnelAddr()
	}
	door.Routes(e)
	e.Any(embed.Prefix+"*", echo.WrapHandler(scripts))
	return e, nil
}

// roots is what appliances trust: the cloud's authority, and those of the operator.
func (s *Service) roots() ([]byte, error) {
	out := s.keys.CA.CertPEM()
	for _, name := range s.cfg.Roots {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read root certificates: %w", err)
		}
		out = append(append(out, '\n'), data...)
	}
	return out, nil
}

func (s *Service) secureHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		if s.cfg.TLSCert != "" {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		return next(c)
	}
}

func (s *Service) serveBrowsers(ctx context.Context) error {
	lis := netutil.LimitListener(s.browser, s.cfg.Connections)
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Grace)
		defer cancel()
		err := s.http.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, s.http.Close())
		}
		stopped <- err
	}()
	var err error
	if s.http.TLSConfig != nil {
		err = s.http.ServeTLS(lis, "", "")
	} else {
		err = s.http.Serve(lis)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve browsers: %w", err)
	}
	return <-stopped
}

// scriptArchive keeps published overlays for all replicas, for good: pages pin them.
type scriptArchive struct{ redis redis.UniversalClient }

func scriptKey(hash string) string { return "sp:script:" + hash }

func (a scriptArchive) Keep(ctx context.Context, hash string, script []byte) error {
	if err := a.redis.SetNX(ctx, scriptKey(hash), script, 0).Err(); err != nil {
		return sallyport.Errorf(sallyport.CodeUnavailable, "The overlay cannot be published: Redis does not take it.", err)
	}
	return nil
}

func (a scriptArchive) Load(ctx context.Context, hash string) ([]byte, error) {
	data, err := a.redis.Get(ctx, scriptKey(hash)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return data, err
}
