// Package console is the admin console: HTML pages over HTTPS for the administrators of an appliance. It reads
// a request, calls one method of admin.Service, and shows the result; it asks no store, decides nothing
// about who may do what, and keeps nothing between two requests (docs/decisions/0008-administration.md, and
// 0009-console-sessions.md for how somebody stays signed in).
//
// How to add a page stands in docs/development-console.md.
package console

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"golang.org/x/net/netutil"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/openapi"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/internal/apidoc"
	static "github.com/sallyport/sallyport/web/console"
)

// Bounds of a browser's connection: one that is slower is cut.
const (
	headerTime  = 5 * time.Second
	readTime    = 15 * time.Second
	writeTime   = 45 * time.Second
	idleTime    = 60 * time.Second
	maxHeader   = 16 << 10
	maxBody     = 256 << 10
	maxUpload   = admin.MaxTokenFile + maxBody
	uploadTime  = 3 * time.Minute
	connections = 512
	graceTime   = 3 * time.Second
)

// Config is how the console is served. Admin, Certificate, Key and Log are required.
type Config struct {
	Admin *admin.Service
	// Listen is the TCP address, ":8443".
	Listen string
	// URL is the console's address for browsers, "https://vpn-admin.hospital.example:8443"; empty: the one that
	// the browser used. When it is given, other host names are sent there.
	URL string
	// Certificate gives the certificate for a handshake.
	Certificate *Certificate
	// Key (32 octets, the same on all appliances of the enterprise) seals the notes of a redirect.
	Key sallyport.Key
	// API answers what begins with /api/v1/; nil: there is none here.
	API http.Handler
	// SelfService makes what answers /me, given where the console's files are; nil: there is none here. The console's guard stands in front of it.
	SelfService func(asset func(name string) string) (http.Handler, error)
	// Enterprise is what the customer is called, for the page's head.
	Enterprise string
	Now        func() time.Time // nil: the system's
	Log        *slog.Logger
}

// Server is the console.
type Server struct {
	cfg       Config
	admin     *admin.Service
	log       *slog.Logger
	echo      *echo.Echo
	listener  net.Listener
	templates *template.Template
	assets    assets
	// pages are the operations of the pages that there are, by path: the navigation shows those only.
	pages map[string]admin.Operation
	// uploads are the paths of forms that bring a file.
	uploads map[string]bool
	// running is what Run was called with: what streams ends with it.
	running context.Context
	api     apidoc.Reference
	// finders look for something by words, for the search.
	finders []finder
}

// New makes the console and opens its listener; Run serves.
func New(cfg Config) (*Server, error) {
	if cfg.URL != "" {
		if u, err := url.Parse(cfg.URL); err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" && u.Path != "/" {
			return nil, fmt.Errorf("console address %q: use https://HOST[:PORT]", cfg.URL)
		}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{cfg: cfg, admin: cfg.Admin, log: cfg.Log, pages: map[string]admin.Operation{}, uploads: map[string]bool{}}
	var err error
	if s.assets, err = readAssets(static.Files); err != nil {
		return nil, fmt.Errorf("read console's files: %w", err)
	}
	if s.templates, err = s.parse(); err != nil {
		return nil, fmt.Errorf("read console's pages: %w", err)
	}
	if s.api, err = apidoc.Read(openapi.Admin()); err != nil {
		return nil, err
	}
	s.routes()
	if cfg.SelfService != nil {
		me, err := cfg.SelfService(s.assets.path)
		if err != nil {
			return nil, err
		}
		s.echo.Any("/me", echo.WrapHandler(me))
		s.echo.Any("/me/*", echo.WrapHandler(me))
	}
	if s.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("open console listener: %w", err)
	}
	return s, nil
}

// Addr is where the console listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close closes the listener of a console that is not run.
func (s *Server) Close() error { return s.listener.Close() }

// Run serves until ctx ends, and then lets what is under way finish, for a moment.
func (s *Server) Run(ctx context.Context) error {
	s.running = ctx
	srv := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.cfg.Certificate.Get},
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceTime)
		defer cancel()
		err := srv.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, srv.Close())
		}
		stopped <- err
	}()
	if err := srv.ServeTLS(netutil.LimitListener(s.listener, connections), "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve console: %w", err)
	}
	return <-stopped
}

// routes lists every address of the console. One file a noun: each adds its own.
func (s *Server) routes() {
	e := echo.New()
	s.echo = e
	e.HTTPErrorHandler = s.fail
	e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{
		DisablePrintStack: true,
		LogErrorFunc: func(_ echo.Context, err error, stack []byte) error {
			return fmt.Errorf("handler panicked: %w\n%s", err, stack)
		},
	}), s.secure, s.ownHost, s.sameOrigin)
	e.GET("/static/:version/:file", s.asset)
	e.GET("/favicon.ico", func(c echo.Context) error { return c.Redirect(http.StatusMovedPermanently, s.assets.path("icon.svg")) })
	s.setupRoutes()
	s.signInRoutes()
	s.confirmRoutes()
	s.accountRoutes()
	s.apiReferenceRoutes()
	s.overviewRoutes()
	s.userRoutes()
	s.phoneRoutes()
	s.userPasskeyRoutes()
	s.userPolicyRoutes()
	s.workflowRoutes()
	s.enrolRuleRoutes()
	s.otpTokenRoutes()
	s.directoryRoutes()
	s.tryLoginRoutes()
	s.integrationRoutes()
	s.applianceRoutes()
	s.siteRoutes()
	s.loginRoutes()
	s.reportRoutes()
	s.auditRoutes()
	s.logRoutes()
	s.reportScheduleRoutes()
	s.mailRoutes()
	s.tokenServerRoutes()
	s.smsRoutes()
	s.retentionRoutes()
	s.languageRoutes()
	s.administratorRoutes()
	s.grantRoutes()
	s.settingRoutes()
	s.searchRoutes()
}

// assets are the files that browsers keep: the address changes with their content.
type assets struct {
	version string
	files   map[string][]byte
}

func readAssets(from fs.FS) (assets, error) {
	a := assets{files: map[string][]byte{}}
	sum := sha256.New()
	err := fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(from, name)
		a.files[name] = data
		sum.Write([]byte(name))
		sum.Write(data)
		return err
	})
	a.version = hex.EncodeToString(sum.Sum(nil)[:8])
	return a, err
}

func (a assets) path(name string) string { return "/static/" + a.version + "/" + name }

var assetTypes = map[string]string{
	"console.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8", "passkey.js": "text/javascript; charset=utf-8",
	"htmx.min.js": "text/javascript; charset=utf-8", "htmx.LICENSE": "text/plain; charset=utf-8", "icon.svg": "image/svg+xml",
}

func (s *Server) asset(c echo.Context) error {
	data, ok := s.assets.files[c.Param("file")]
	if !ok {
		return echo.ErrNotFound
	}
	cache := "no-store"
	if c.Param("version") == s.assets.version {
		cache = "public, max-age=31536000, immutable"
	}
	c.Response().Header().Set("Cache-Control", cache)
	return c.Blob(http.StatusOK, assetTypes[c.Param("file")], data)
}
