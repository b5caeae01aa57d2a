// Package tunnel_test puts both ends of the tunnel together, over real TLS and a real Redis: what
// holds when replicas, appliances, connections and Redis come and go.
package tunnel_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	appliance "github.com/sallyport/sallyport/appliance-connector/tunnel"
	cloud "github.com/sallyport/sallyport/cloud/tunnel"
	"github.com/sallyport/sallyport/internal/pki"
	"github.com/sallyport/sallyport/internal/redisconn"
	"github.com/sallyport/sallyport/internal/revocation"
)

const tenant = sallyport.TenantID("hospital")

// redisServer is a redis-server of this test's own.
type redisServer struct {
	t    testing.TB
	dir  string
	port int
	cmd  *exec.Cmd
}

func startRedis(t testing.TB) *redisServer {
	t.Helper()
	r := &redisServer{t: t, dir: t.TempDir(), port: freePort(t)}
	r.start()
	t.Cleanup(r.kill)
	return r
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func (r *redisServer) start() {
	r.t.Helper()
	r.cmd = exec.Command("redis-server", "--port", strconv.Itoa(r.port), "--bind", "127.0.0.1", "--save", "", "--dir", r.dir,
		"--logfile", filepath.Join(r.dir, "log"))
	if err := r.cmd.Start(); err != nil {
		r.t.Fatalf("start redis-server: %v", err)
	}
	c := redis.NewClient(&redis.Options{Addr: r.addr(), DisableIdentity: true})
	defer func() { _ = c.Close() }()
	eventually(r.t, "redis answers", func() bool { return c.Ping(context.Background()).Err() == nil })
}

func (r *redisServer) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)) }

func (r *redisServer) kill() {
	if r.cmd != nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
		r.cmd = nil
	}
}

func (r *redisServer) client(t testing.TB) redis.UniversalClient {
	t.Helper()
	c, err := redisconn.Open(context.Background(), "redis://"+r.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// eventually waits for something that happens elsewhere.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen within 20 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// world is a cloud with its certificate authority and Redis.
type world struct {
	t     testing.TB
	ca    *pki.CA
	dir   string // holds ca.crt and ca.key
	redis *redisServer
	log   *slog.Logger
	// timing is used for replicas made from now on.
	timing cloud.Timing
	limits cloud.Limits
}

func quick() cloud.Timing {
	return cloud.Timing{Heartbeat: time.Second, Lease: 3 * time.Second}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	ca, err := pki.NewCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("TUNNEL_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	dir := t.TempDir()
	if err := ca.Save(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	return &world{t: t, ca: ca, dir: dir, redis: startRedis(t), log: log, timing: quick()}
}

// replica is one replica of the cloud.
type replica struct {
	name string
	hub  *cloud.Hub
	srv  *grpc.Server
	addr string
	rdb  redis.UniversalClient
	stop func()
}

// Renew signs with the world's authority, as cloud/enterprise does.
func (w *world) Renew(_ context.Context, id pki.Identity, csr []byte) ([][]byte, error) {
	return w.ca.SignAppliance(csr, id, time.Now(), time.Hour)
}

func (w *world) replica(name string) *replica { return w.replicaAt(name, "127.0.0.1:0") }

func (w *world) replicaAt(name, address string) *replica {
	w.t.Helper()
	rdb := w.redis.client(w.t)
	hub, err := cloud.NewHub(cloud.Config{
		Replica: name, Version: "test", Redis: rdb, Revocations: revocation.List{Redis: rdb}, Renewer: w,
		Log: w.log.With("replica", name), Timing: w.timing, Limits: w.limits,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	cert, err := w.ca.ServerCertificate(time.Now(), time.Hour, "localhost", "127.0.0.1")
	if err != nil {
		w.t.Fatal(err)
	}
	lis, err := net.Listen("tcp", address)
	if err != nil {
		w.t.Fatal(err)
	}
	r := &replica{name: name, hub: hub, srv: hub.NewServer(pki.ServerTLS(cert, w.ca.Pool())), addr: lis.Addr().String(), rdb: rdb}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = r.srv.Serve(lis) })
	wg.Go(func() {
		if err := hub.Run(ctx); err != nil {
			w.t.Errorf("hub %s: %v", name, err)
		}
	})
	r.stop = sync.OnceFunc(func() {
		r.srv.Stop()
		cancel()
		wg.Wait()
	})
	w.t.Cleanup(r.stop)
	return r
}

// applianceHost is an appliance with a handler that a test can script.
type applianceHost struct {
	id      sallyport.ApplianceID
	client  *appliance.Client
	handler *scripted
	// kill cuts everything at once, as a crash does; stop leaves in good order.
	kill, stop func()
	key        tls.Certificate
}

// scripted is a Handler that counts and does as it is told.
type scripted struct {
	handled, binds atomic.Int64
	do             atomic.Pointer[func(ctx context.Context, req *tunnelpb.Request, progress func()) *tunnelpb.Response]
}

func (s *scripted) set(do func(ctx context.Context, req *tunnelpb.Request, progress func()) *tunnelpb.Response) {
	s.do.Store(&do)
}

func (s *scripted) Handle(ctx context.Context, req *tunnelpb.Request, progress func()) *tunnelpb.Response {
	s.handled.Add(1)
	counted := func() {
		progress()
		if ctx.Err() == nil {
			s.binds.Add(1)
		}
	}
	if do := s.do.Load(); do != nil {
		return (*do)(ctx, req, counted)
	}
	counted()
	return view(1)
}

func view(version uint32) *tunnelpb.Response {
	return &tunnelpb.Response{Body: &tunnelpb.Response_LoginView{LoginView: &tunnelpb.LoginView{Version: version}}}
}

func credentials() *tunnelpb.Request {
	return &tunnelpb.Request{Body: &tunnelpb.Request_LoginStep{LoginStep: &tunnelpb.LoginStep{
		LoginId: "login", IntegrationId: "vpn",
		Event: &tunnelpb.LoginStep_Credentials{Credentials: &tunnelpb.SealedCredentials{UserName: "alice"}},
	}}}
}

func wait() *tunnelpb.Request {
	return &tunnelpb.Request{Body: &tunnelpb.Request_LoginStep{LoginStep: &tunnelpb.LoginStep{
		LoginId: "login", Event: &tunnelpb.LoginStep_Wait{Wait: &tunnelpb.Wait{}},
	}}}
}

func ping(payload []byte) *tunnelpb.Request {
	return &tunnelpb.Request{Body: &tunnelpb.Request_Ping{Ping: &tunnelpb.Ping{Payload: payload}}}
}

func (w *world) certificate(id pki.Identity, ttl time.Duration) tls.Certificate {
	w.t.Helper()
	key, err := pki.NewKey()
	if err != nil {
		w.t.Fatal(err)
	}
	csr, err := pki.CSR(key)
	if err != nil {
		w.t.Fatal(err)
	}
	chain, err := w.ca.SignAppliance(csr, id, time.Now(), ttl)
	if err != nil {
		w.t.Fatal(err)
	}
	return tls.Certificate{Certificate: chain, PrivateKey: key}
}

// appliance starts an appliance that dials addresses. change may edit its configuration.
func (w *world) appliance(id sallyport.ApplianceID, addresses []string, change ...func(*appliance.Config)) *applianceHost {
	w.t.Helper()
	a := &applianceHost{id: id, handler: &scripted{}, key: w.certificate(pki.Identity{Tenant: tenant, Appliance: id}, time.Hour)}
	conns := &connections{}
	cfg := appliance.Config{
		Addresses: addresses, Handler: a.handler, Version: "test", Log: w.log.With("appliance", id), Dial: conns.dial,
		TLS: func() (*tls.Config, error) {
			return pki.ClientTLS(func() (*tls.Certificate, error) { return &a.key, nil }, w.ca.Pool(), ""), nil
		},
		Timing: appliance.Timing{
			Connect: 3 * time.Second, BackoffMin: 20 * time.Millisecond, BackoffMax: 200 * time.Millisecond, DrainSpread: 50 * time.Millisecond,
			Recheck: 500 * time.Millisecond, Leave: 5 * time.Second,
		},
	}
	for _, f := range change {
		f(&cfg)
	}
	client, err := appliance.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	a.client = client
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = client.Run(ctx) })
	a.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	a.kill = func() { conns.closeAll(); a.stop() }
	w.t.Cleanup(a.kill)
	return a
}

// connections remembers what was dialled, so that a crash can be played.
type connections struct {
	mu   sync.Mutex
	all  []net.Conn
	dead bool
}

func (c *connections) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	c.all = append(c.all, conn)
	return conn, nil
}

func (c *connections) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
	for _, conn := range c.all {
		_ = conn.Close()
	}
}

// connected waits until the appliance has streams to the given replicas, one each.
func connected(t testing.TB, a *applianceHost, replicas ...*replica) {
	t.Helper()
	eventually(t, "appliance "+string(a.id)+" has its streams", func() bool {
		found := map[string]int{}
		for _, s := range a.client.Status().Streams {
			found[s.Replica]++
		}
		for _, r := range replicas {
			if found[r.name] == 0 {
				return false
			}
		}
		return true
	})
}

// present waits until a replica sees n streams of the enterprise, its own and the others'.
func present(t testing.TB, r *replica, n int) {
	t.Helper()
	eventually(t, r.name+" sees "+strconv.Itoa(n)+" streams", func() bool {
		list, err := r.hub.Appliances(context.Background(), tenant)
		return err == nil && len(list) == n
	})
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
