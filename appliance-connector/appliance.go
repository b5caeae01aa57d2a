// Package appliance is the appliance role: it stands beside the company's directory, decides logins,
// and answers the gateway. It dials out to the cloud and to the token service; the only thing that
// dials in is the gateway, by RADIUS, and other appliances of the enterprise.
package appliance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/appliance-connector/activity"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/claims"
	"github.com/sallyport/sallyport/appliance-connector/console"
	"github.com/sallyport/sallyport/appliance-connector/devices"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/logfile"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/overlay"
	"github.com/sallyport/sallyport/appliance-connector/passcode"
	"github.com/sallyport/sallyport/appliance-connector/radius"
	"github.com/sallyport/sallyport/appliance-connector/radius/legacy"
	"github.com/sallyport/sallyport/appliance-connector/radius/tokencheck"
	"github.com/sallyport/sallyport/appliance-connector/remembered"
	"github.com/sallyport/sallyport/appliance-connector/standing"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/texts"
	"github.com/sallyport/sallyport/appliance-connector/tokenserver"
	"github.com/sallyport/sallyport/appliance-connector/trust"
	"github.com/sallyport/sallyport/appliance-connector/tunnel"
	"github.com/sallyport/sallyport/appliance-connector/userpasskey"
	"github.com/sallyport/sallyport/appliance-connector/usersync"
	"github.com/sallyport/sallyport/internal/gatewaytoken"
	"github.com/sallyport/sallyport/internal/telemetry"
)

// configEvery is how often the store is asked whether somebody changed the configuration.
const configEvery = time.Second

// replyWindow is how long a gateway may repeat a request that waits for its user: longer than that lasts.
const replyWindow = 90 * time.Second

// Config is how one appliance runs.
type Config struct {
	// DataDir holds the appliance's key and certificate, the enterprise's keys, and the SQLite store.
	DataDir string
	// Store is the store's address; empty: SQLite in DataDir. Appliances that share an enterprise
	// share a PostgreSQL store.
	Store string
	// RADIUSListen is the UDP address for the gateway, ":1812".
	RADIUSListen string
	RADIUSTLS    RADIUSTLSConfig
	// RADIUSAccounting is the UDP address for the gateway's accounting, ":1813"; empty: none.
	RADIUSAccounting string
	// Leave is how many wrong passwords logins from outside leave to the inside before Active Directory
	// would lock an account; 0: 2, below 0: they leave none.
	Leave int
	// Proxy is the HTTP CONNECT proxy on the way out, or nil.
	Proxy *url.URL
	// TunnelAddresses replace the cloud's address from the provisioning, if any are given.
	TunnelAddresses []string
	// PeerListen is the UDP address for the other appliances, Peers are theirs; both may be empty.
	PeerListen string
	Peers      []claims.Peer
	// AdminListen is the TCP address of health probes and metrics; empty: none.
	AdminListen string
	Console     ConsoleConfig
	Version     string
}

// Service is a running appliance.
type Service struct {
	cfg     Config
	log     *slog.Logger
	started time.Time
	trust   *trust.Trust
	store   *store.Store
	dir     *directory.Directory
	sync    *usersync.Service
	phones  *devices.Client
	texts   *texts.Service
	tunnel  *tunnel.Client
	claims  *claims.Claimer
	peers   *claims.PeerLink
	radius  *radius.Server
	legacy  *legacy.Door
	tokens  *tokenserver.Client
	engine  *login.Engine
	door    *overlay.Door
	joins   *trust.Host
	records *activity.Recorder
	// standings are what is known of accounts, as logins see it.
	standings *standing.Reader
	files     *logfile.Files

	configuring sync.Mutex

	admin       *admin.Service
	console     *console.Server
	consoleCert *console.Certificate
}

// New prepares an appliance: everything is opened, nothing is served yet.
func New(ctx context.Context, cfg Config, log *slog.Logger) (s *Service, err error) {
	s = &Service{cfg: cfg, log: log, started: time.Now()}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.trust, err = trust.Load(cfg.DataDir); err != nil {
		return s, err
	}
	if s.files, err = logfile.Open(filepath.Join(cfg.DataDir, "logs")); err != nil {
		return s, err
	}
	log = slog.New(s.files.Handler(log.Handler()))
	s.log = log
	ring, err := keyring.Load(cfg.DataDir)
	if err != nil {
		return s, sallyport.Errorf(sallyport.CodeNotFound,
			"This appliance does not have the enterprise's keys yet. Run 'sallyport appliance join' with a join code from an appliance that has them.", err)
	}
	if s.store, err = OpenStore(ctx, cfg.DataDir, cfg.Store, ring, log, store.WithChain(string(s.trust.Appliance))); err != nil {
		return s, err
	}
	if s.dir, err = OpenDirectory(ctx, s.store, cfg.Leave, log); err != nil {
		return s, fmt.Errorf("prepare directory: %w", err)
	}
	s.sync = NewSynchroniser(s.store, s.dir, string(s.trust.Appliance), log)
	if s.phones, err = devices.Dial(s.trust.TokenService, s.trust.TLS("")); err != nil {
		return s, err
	}
	s.texts = &texts.Service{Store: s.store, Courier: s.phones, Log: log}
	if err = s.prepareTunnel(ring); err != nil {
		return s, err
	}
	if err = s.prepareClaims(ring); err != nil {
		return s, err
	}
	if err = s.prepareDoors(ctx, ring); err != nil {
		return s, err
	}
	return s, s.prepareConsole(ring)
}

func (s *Service) prepareTunnel(ring *keyring.Ring) error {
	addresses := s.cfg.TunnelAddresses
	if len(addresses) == 0 {
		addresses = []string{s.trust.TunnelAddress}
	}
	t, err := tunnel.New(tunnel.Config{
		Addresses: addresses, Proxy: s.cfg.Proxy, Handler: s, Version: s.cfg.Version, Log: s.log,
		TLS:       func() (*tls.Config, error) { return s.trust.TLS(""), nil },
		Statement: func() *tunnelpb.KeyStatement { return statement(ring, s.log) },
	})
	if err != nil {
		return fmt.Errorf("prepare tunnel: %w", err)
	}
	s.tunnel = t
	return nil
}

func statement(ring *keyring.Ring, log *slog.Logger) *tunnelpb.KeyStatement {
	text, signature, err := ring.Statement(time.Now())
	if err != nil {
		log.Error("key statement not signed", "err", err)
		return nil
	}
	return &tunnelpb.KeyStatement{Statement: text, Signature: signature}
}

func (s *Service) prepareClaims(ring *keyring.Ring) error {
	opts := claims.Options{Appliance: s.trust.Appliance, Cloud: s.tunnel, Log: s.log}
	if len(s.cfg.Peers) > 0 || s.cfg.PeerListen != "" {
		link, err := claims.ListenPeers(claims.LinkOptions{
			Appliance: s.trust.Appliance, Key: ring.Derive("peers"), Address: s.cfg.PeerListen, Peers: s.cfg.Peers, Log: s.log,
		})
		if err != nil {
			return fmt.Errorf("prepare peers: %w", err)
		}
		s.peers, opts.Peers = link, link
	}
	s.claims = claims.New(opts)
	return nil
}

func (s *Service) prepareDoors(ctx context.Context, ring *keyring.Ring) error {
	tokens, err := ring.Tokens()
	if err != nil {
		return fmt.Errorf("prepare gateway tokens: %w", err)
	}
	s.tokens = tokenserver.New(tokenserver.Options{Name: string(s.trust.Appliance), Log: s.log})
	if err := setTokenServers(ctx, s.store, s.tokens, s.trust.Appliance); err != nil {
		return err
	}
	standings := standing.New(s.store, time.Now, s.log)
	s.standings = standings
	s.records = activity.New(activity.Options{Store: s.store, Appliance: s.trust.Appliance, Life: login.Life, Now: time.Now, Log: s.log})
	codes := &passcode.Checker{Store: s.store, Temporary: s.store, Tokens: s.store, PINs: s.store, Claims: s.store, Now: time.Now, Log: s.log}
	engine := login.New(login.Config{
		Directory: asked{s.dir}, Standings: standings, Devices: standings, Challenges: s.phones, DeviceApps: deviceApps{s.phones, s.store}, Codes: codes, TemporaryCodes: s.store,
		Admitter: s.sync, Tokens: tokens, Counters: s.store, Recorder: s.records, Remembered: keeper(ring, s.store), Key: ring.Derive("login"),
		Texts: messages{s.texts, s.store}, Apps: apps{s}, Serials: apps{s}, OTPTokens: codes,
		External: externalTokens{client: s.tokens, steps: s.store, key: ring.Derive("external tokens"), now: time.Now, sleep: sleep},
		Passkeys: userpasskey.Keeper{Store: s.store, Key: ring.Derive("passkey user handles"), Now: time.Now},
		Now:      time.Now, Sleep: sleep, Log: s.log,
	})
	s.engine = engine
	s.door = &overlay.Door{
		Tenant: s.trust.Tenant, Keys: ring, States: login.Keeper{Key: ring.Derive("login state")},
		Integrations: standings, Once: s.store, Now: time.Now, Log: s.log, Engine: engine,
	}
	s.joins = &trust.Host{Ring: ring, Invites: Invites{s.store}, Now: time.Now, Log: s.log}
	integrations, err := s.store.Integrations(ctx)
	if err != nil {
		return fmt.Errorf("read integrations: %w", err)
	}
	s.legacy = legacy.New(legacy.Options{
		Engine: engine, Steps: s.store, States: login.Keeper{Key: ring.Derive("radius state")}, Key: ring.Derive("radius steps"),
		Now: time.Now, Sleep: sleep, Log: s.log,
		Tokens: tokencheck.New(tokencheck.Options{
			Keys: func() gatewaytoken.Ring { return tokens }, Claimer: s.claims, Directory: s.dir, Standings: standings, Codes: codes,
			Recorder: s.records, SupportCode: engine.SupportCode,
		}),
	})
	secured, err := s.radiusTLS()
	if err != nil {
		return err
	}
	s.radius, err = radius.Listen(radius.Options{
		TLS: secured, Accounting: s.accounting(),
		Address: s.cfg.RADIUSListen, Integrations: integrations, Log: s.log, Recorder: s.store, Appliance: s.trust.Appliance,
		Observer:    s.records,
		Groups:      AccountGroups{s.store, s.dir},
		ReplyWindow: replyWindow,
		Verifier:    s.legacy,
	})
	return err
}

// keeper remembers devices. Another key would get the next id, and this one stay behind it for as long as
// tokens made under it may be good.
func keeper(ring *keyring.Ring, db *store.Store) remembered.Keeper {
	return remembered.Keeper{Tenant: ring.Tenant, Keys: []remembered.Key{{ID: "1", Secret: ring.Derive("remembered device")}}, Store: db}
}

// RADIUSAddr is where the RADIUS server listens.
func (s *Service) RADIUSAddr() string { return s.radius.Addr().String() }

// Connected reports whether the tunnel stands.
func (s *Service) Connected() bool { return s.tunnel.Connected() }

// Run serves until ctx ends, then finishes what is under way.
func (s *Service) Run(ctx context.Context) error {
	defer s.close()
	defer s.keepRecords(ctx)() // until everything else has ended
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.tunnel.Run(ctx) })
	g.Go(func() error { return s.radius.Serve(ctx) })
	g.Go(func() error { return s.sync.Run(ctx) })
	s.oversee(ctx, g)
	g.Go(func() error { return s.trust.KeepRenewed(ctx, s.tunnel, time.Now, s.log) })
	g.Go(func() error { return s.store.Watch(ctx, configEvery, func(int64) { s.reconfigure(ctx) }) })
	g.Go(func() error { return s.tellOfItself(ctx) })
	if s.peers != nil {
		g.Go(func() error { return s.peers.Serve(ctx, s.claims) })
	}
	if s.console != nil {
		g.Go(func() error { return s.runConsole(ctx) })
	}
	if s.cfg.AdminListen != "" {
		l, err := net.Listen("tcp", s.cfg.AdminListen)
		if err != nil {
			return fmt.Errorf("open admin listener: %w", err)
		}
		g.Go(func() error { return telemetry.Serve(ctx, l, telemetry.Admin(s.probes(), s.metrics())) })
	}
	s.log.InfoContext(ctx, "appliance runs", "enterprise", s.trust.Tenant, "appliance", s.trust.Appliance,
		"radius", s.RADIUSAddr(), "cloud", s.trust.TunnelAddress)
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// reconfigure has what runs here go by the store as it is now.
func (s *Service) reconfigure(ctx context.Context) {
	s.configuring.Lock() // so that nobody sets what was read before something newer was
	defer s.configuring.Unlock()
	list, err := s.store.Integrations(ctx)
	if err == nil {
		err = s.radius.SetIntegrations(list)
	}
	err = errors.Join(err, setDomains(ctx, s.store, s.dir, s.log), setTokenServers(ctx, s.store, s.tokens, s.trust.Appliance))
	if err != nil && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "changed configuration not taken; the one before stays in use", "err", err)
	}
}

func (s *Service) probes() map[string]telemetry.Probe {
	return map[string]telemetry.Probe{
		"store":     s.store.Ping,
		"directory": s.dir.Health,
		"tunnel": func(context.Context) error {
			if !s.tunnel.Connected() {
				return errors.New("no stream to the cloud is open; the log says why")
			}
			return nil
		},
	}
}

func (s *Service) metrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	counter := func(name, help string, value func(radius.Stats) uint64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "sallyport", Subsystem: "radius", Name: name, Help: help},
			func() float64 { return float64(value(s.radius.Stats())) }))
	}
	counter("received_total", "Datagrams received.", func(v radius.Stats) uint64 { return v.Received })
	counter("accepted_total", "Access-Accept sent, repetitions not counted.", func(v radius.Stats) uint64 { return v.Accepted })
	counter("rejected_total", "Access-Reject sent, repetitions not counted.", func(v radius.Stats) uint64 { return v.Rejected })
	counter("challenged_total", "Access-Challenge sent, repetitions not counted.", func(v radius.Stats) uint64 { return v.Challenged })
	counter("repeated_total", "Repetitions of a request.", func(v radius.Stats) uint64 { return v.Repeated })
	counter("unknown_source_total", "Dropped: no integration has the source address.", func(v radius.Stats) uint64 { return v.UnknownSource })
	counter("unauthentic_total", "Dropped: Message-Authenticator wrong or missing.", func(v radius.Stats) uint64 { return v.Unauthentic })
	counter("malformed_total", "Dropped: not RADIUS.", func(v radius.Stats) uint64 { return v.Malformed })
	counter("accounting_total", "Accounting recorded and answered.", func(v radius.Stats) uint64 { return v.Accounting })
	counter("accounting_failed_total", "Accounting that could not be recorded, and was not answered.", func(v radius.Stats) uint64 { return v.AccountingFailed })
	counter("tls_accepted_total", "Connections over TLS from gateways that are known.", func(v radius.Stats) uint64 { return v.TLSAccepted })
	counter("tls_refused_total", "Connections over TLS that were refused.", func(v radius.Stats) uint64 { return v.TLSRefused })
	counter("overload_total", "Dropped: too many requests at a time.", func(v radius.Stats) uint64 { return v.Overload })
	r.MustRegister(waitingMetrics(s.legacy)...)
	r.MustRegister(tokenServerMetrics(s.tokens)...)
	r.MustRegister(recordMetrics(s.records)...)
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "sallyport", Subsystem: "tunnel", Name: "streams", Help: "Open streams to the cloud."},
		func() float64 { return float64(len(s.tunnel.Status().Streams)) }))
	return r
}

// waitingMetrics tell of logins in RADIUS that wait for their users.
func waitingMetrics(d *legacy.Door) []prometheus.Collector {
	named := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "sallyport", Subsystem: "radius", Name: name, Help: help}
	}
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts(named("logins_waiting", "Requests of logins in RADIUS under way.")),
			func() float64 { return float64(d.Stats().Waiting) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts(named("logins_joined_total", "Requests that joined a login in RADIUS under way.")),
			func() float64 { return float64(d.Stats().Joined) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts(named("logins_busy_total", "Logins in RADIUS refused because too many were under way.")),
			func() float64 { return float64(d.Stats().Busy) }),
	}
}

func (s *Service) close() {
	if s.claims != nil {
		s.claims.Close()
	}
	if s.console != nil {
		s.logClose("console", s.console.Close())
	}
	if s.radius != nil {
		s.logClose("radius", s.radius.Close())
	}
	if s.phones != nil {
		s.logClose("token service", s.phones.Close())
	}
	if s.dir != nil {
		s.dir.Close()
	}
	if s.store != nil {
		s.logClose("store", s.store.Close())
	}
	if s.files != nil {
		s.logClose("log files", s.files.Close())
	}
}

func (s *Service) logClose(what string, err error) {
	if err != nil && !errors.Is(err, net.ErrClosed) {
		s.log.Warn("not closed cleanly", "what", what, "err", err)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
