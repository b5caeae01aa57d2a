package tokensvc_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tokensvcpb"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/pki"
	"github.com/sallyport/sallyport/test/pushsim"
	"github.com/sallyport/sallyport/tokensvc"
	"github.com/sallyport/sallyport/tokensvc/push"
	"github.com/sallyport/sallyport/tokensvc/push/apns"
	"github.com/sallyport/sallyport/tokensvc/push/fcm"
)

// patience is how long a test waits for what should take milliseconds, on a machine that is busy.
const patience = 30 * time.Second

// world is a real Redis, an authority, a push simulator and the replicas of one token service.
type world struct {
	t      *testing.T
	socket string
	redis  redis.UniversalClient
	ca     *pki.CA
	sim    *pushsim.Sim
	logs   *logBook
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, logs: &logBook{}}
	w.startRedis()
	w.redis = w.newRedis(nil)
	ca, err := pki.NewCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.ca = ca
	if w.sim, err = pushsim.Start(pushsim.Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.sim.Close)
	return w
}

func (w *world) startRedis() {
	dir, err := os.MkdirTemp("", "sp") // a socket's path has to be short
	if err != nil {
		w.t.Fatal(err)
	}
	w.socket = filepath.Join(dir, "s")
	cmd := exec.Command("redis-server", "--port", "0", "--unixsocket", w.socket, "--save", "", "--dir", dir)
	if err := cmd.Start(); err != nil {
		w.t.Fatalf("start redis-server (Debian package redis-server): %v", err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	rdb := w.newRedis(nil)
	eventually(w.t, "redis answers", func() bool { return rdb.Ping(context.Background()).Err() == nil })
}

// newRedis connects; hook may break the connection for one replica.
func (w *world) newRedis(hook redis.Hook) redis.UniversalClient {
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: w.socket, DisableIdentity: true, ContextTimeoutEnabled: true, PoolSize: 64,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}})
	if hook != nil {
		c.AddHook(hook)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// senders are the real senders, pointed at the simulator.
func (w *world) senders() map[deviceproto.Provider]push.Sender {
	w.t.Helper()
	a, err := apns.New(apns.Config{Host: w.sim.APNsURL, Topic: w.sim.Topic, Roots: w.sim.Roots, Now: time.Now,
		Key: &apns.SigningKey{P8: w.sim.P8, KeyID: w.sim.KeyID, TeamID: w.sim.TeamID}})
	if err != nil {
		w.t.Fatal(err)
	}
	f, err := fcm.New(w.t.Context(), fcm.Config{ServiceAccount: w.sim.ServiceAccount, Endpoint: w.sim.FCMURL, Roots: w.sim.Roots, Now: time.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { a.Close(); f.Close() })
	return map[deviceproto.Provider]push.Sender{deviceproto.ProviderAPNs: a, deviceproto.ProviderFCM: f}
}

// replica is one running replica.
type replica struct {
	*tokensvc.Service
	w    *world
	stop func()
}

const deviceURL = "https://tokens.example.org"

// start runs a replica; change may alter its configuration.
func (w *world) start(change func(*tokensvc.Config)) *replica {
	w.t.Helper()
	cert, err := w.ca.ServerCertificate(time.Now(), time.Hour, "127.0.0.1")
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := tokensvc.Config{
		Redis: w.newRedis(nil), GRPCAddr: "127.0.0.1:0", DeviceAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
		GRPCTLS: pki.ServerTLS(cert, w.ca.Pool()), DeviceURL: deviceURL,
		Page:    fstest.MapFS{"index.html": {Data: []byte("<!doctype html>phone")}, "js/a.js": {Data: []byte("1")}},
		Senders: w.senders(), Log: slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})), Now: time.Now,
	}
	if change != nil {
		change(&cfg)
	}
	svc, err := tokensvc.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- svc.Run(ctx) }()
	r := &replica{Service: svc, w: w}
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("replica ended: %v", err)
		}
	})
	w.t.Cleanup(r.stop)
	eventually(w.t, "replica is ready", func() bool { return r.ready() == http.StatusOK })
	return r
}

func (r *replica) ready() int {
	resp, err := http.Get("http://" + r.AdminAddr() + "/readyz")
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// appliance connects an appliance of an enterprise to a replica.
func (r *replica) appliance(tenant sallyport.TenantID) tokensvcpb.TokenServiceClient {
	return r.applianceNamed(pki.Identity{Tenant: tenant, Appliance: "a1"})
}

func (r *replica) applianceNamed(id pki.Identity) tokensvcpb.TokenServiceClient {
	r.w.t.Helper()
	key, err := pki.NewKey()
	if err != nil {
		r.w.t.Fatal(err)
	}
	csr, err := pki.CSR(key)
	if err != nil {
		r.w.t.Fatal(err)
	}
	chain, err := r.w.ca.SignAppliance(csr, id, time.Now(), time.Hour)
	if err != nil {
		r.w.t.Fatal(err)
	}
	get := func() (*tls.Certificate, error) { return &tls.Certificate{Certificate: chain, PrivateKey: key}, nil }
	conn, err := grpc.NewClient(r.GRPCAddr(), grpc.WithTransportCredentials(credentials.NewTLS(pki.ClientTLS(get, r.w.ca.Pool(), "127.0.0.1"))))
	if err != nil {
		r.w.t.Fatal(err)
	}
	r.w.t.Cleanup(func() { _ = conn.Close() })
	return tokensvcpb.NewTokenServiceClient(conn)
}

// toReplica lets a device's requests to the public address reach one replica.
type toReplica struct{ addr string }

func (t toReplica) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = "http", t.addr
	return http.DefaultTransport.RoundTrip(r)
}

// phone is an enrolled device.
type phone struct {
	*deviceproto.Client
	keys deviceproto.Keys
	der  []byte
	push deviceproto.Push
}

// at sends the phone's requests to a replica.
func (p *phone) at(r *replica) *phone {
	moved := *p
	moved.Client = &deviceproto.Client{Base: deviceURL, Tenant: p.Tenant, Key: p.Key, Now: time.Now, HTTP: &http.Client{Transport: toReplica{r.DeviceAddr()}}}
	return &moved
}

// enrol makes a phone and takes it through the whole enrolment.
func (r *replica) enrol(tenant sallyport.TenantID, provider deviceproto.Provider) *phone {
	t := r.w.t
	t.Helper()
	push := deviceproto.Push{Provider: provider}
	if provider != deviceproto.ProviderNone {
		push.Token = r.w.sim.Register(pushsim.Provider(provider))
	}
	p := r.newPhone(tenant, push)
	id := sallyport.EnrolmentID(sallyport.NewID())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	a := r.appliance(tenant)
	opened, err := a.CreateEnrolment(ctx, &tokensvcpb.CreateEnrolmentRequest{EnrolmentId: string(id), TtlSeconds: 60})
	if err != nil {
		t.Fatal(err)
	}
	if opened.DeviceUrl != deviceURL {
		t.Fatalf("device url = %s", opened.DeviceUrl)
	}
	if err := p.Register(ctx, id, p.keys.Proof, deviceproto.About{Name: "Alice's iPhone", Platform: "ios", AppVersion: "1.0", Push: push}); err != nil {
		t.Fatal(err)
	}
	reg, err := a.AwaitEnrolment(ctx, &tokensvcpb.AwaitEnrolmentRequest{EnrolmentId: string(id)})
	if err != nil {
		t.Fatal(err)
	}
	e := deviceproto.Enrolling{Tenant: tenant, Enrolment: id, Device: sallyport.DeviceID(reg.DeviceId), Name: reg.Name, Platform: reg.Platform}
	if !e.ProofHolds(p.keys.Proof, reg.Proof) || !bytes.Equal(reg.PublicKey, p.der) {
		t.Fatal("the registration that came is not the one that was sent")
	}
	box, err := deviceproto.SealAccount(p.keys.Details, p.Device(), deviceproto.Account{User: "alice", Enterprise: "St. Mary's Hospital"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.FinishEnrolment(ctx, &tokensvcpb.FinishEnrolmentRequest{EnrolmentId: string(id), Accepted: true, Sealed: box}); err != nil {
		t.Fatal(err)
	}
	st, err := p.EnrolmentStatus(ctx, id, 0)
	if err != nil || st.Status != deviceproto.EnrolmentAccepted {
		t.Fatalf("enrolment = %+v, %v", st, err)
	}
	return p
}

func (r *replica) newPhone(tenant sallyport.TenantID, push deviceproto.Push) *phone {
	r.w.t.Helper()
	key, err := deviceproto.NewKey()
	if err != nil {
		r.w.t.Fatal(err)
	}
	der, err := deviceproto.MarshalPublicKey(&key.PublicKey)
	if err != nil {
		r.w.t.Fatal(err)
	}
	p := &phone{der: der, push: push, Client: &deviceproto.Client{Base: deviceURL, Tenant: tenant, Key: key, Now: time.Now}}
	p.keys = deviceproto.DeriveKeys(bytes.Repeat([]byte{1}, deviceproto.SecretSize), p.Device())
	return p.at(r)
}

// challenge makes a challenge for a phone.
func challenge(t *testing.T, a tokensvcpb.TokenServiceClient, p *phone, ttl time.Duration) sallyport.ChallengeID {
	t.Helper()
	id := sallyport.ChallengeID(sallyport.NewID())
	if _, err := a.CreateChallenge(t.Context(), request(t, p, id, ttl)); err != nil {
		t.Fatal(err)
	}
	return id
}

func request(t *testing.T, p *phone, id sallyport.ChallengeID, ttl time.Duration) *tokensvcpb.CreateChallengeRequest {
	t.Helper()
	box, err := deviceproto.SealDetails(p.keys.Details, p.Device(), id, sallyport.ChallengeDetails{User: "alice", Application: "Hospital VPN", Digits: 2})
	if err != nil {
		t.Fatal(err)
	}
	return &tokensvcpb.CreateChallengeRequest{ChallengeId: string(id), DeviceId: string(p.Device()), SealedDetails: box, TtlMs: uint32(ttl.Milliseconds())}
}

// approve answers a challenge as the phone would.
func (p *phone) approve(t *testing.T, id sallyport.ChallengeID) error {
	t.Helper()
	return p.Answer(t.Context(), id, p.sealed(t, id))
}

func (p *phone) sealed(t *testing.T, id sallyport.ChallengeID) []byte {
	t.Helper()
	box, err := deviceproto.SealAnswer(p.Key, p.keys.Details, deviceproto.Answer{
		Challenge: id, Decision: sallyport.DecisionApprove, Number: "42", User: "alice", Application: "Hospital VPN", At: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// watch collects a challenge's events.
type watch struct {
	t      *testing.T
	events chan *tokensvcpb.ChallengeEvent
}

func watching(t *testing.T, a tokensvcpb.TokenServiceClient, id sallyport.ChallengeID) watch {
	t.Helper()
	stream, err := a.WatchChallenge(t.Context(), &tokensvcpb.WatchChallengeRequest{ChallengeId: string(id)})
	if err != nil {
		t.Fatal(err)
	}
	w := watch{t: t, events: make(chan *tokensvcpb.ChallengeEvent, 16)}
	go func() {
		defer close(w.events)
		for {
			e, err := stream.Recv()
			if err != nil {
				return
			}
			w.events <- e
		}
	}()
	return w
}

// until returns the first event that fits.
func (w watch) until(what string, fits func(*tokensvcpb.ChallengeEvent) bool) *tokensvcpb.ChallengeEvent {
	w.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e, open := <-w.events:
			if !open {
				w.t.Fatalf("stream ended before %s", what)
			}
			if fits(e) {
				return e
			}
		case <-timeout:
			w.t.Fatalf("no event: %s", what)
		}
	}
}

func (w watch) delivery(s tokensvcpb.Delivery_State) *tokensvcpb.Delivery {
	w.t.Helper()
	return w.until(s.String(), func(e *tokensvcpb.ChallengeEvent) bool { return e.GetDelivery().GetState() == s }).GetDelivery()
}

func (w watch) answer() []byte {
	w.t.Helper()
	return w.until("answer", func(e *tokensvcpb.ChallengeEvent) bool { return e.GetAnswer() != nil }).GetAnswer().GetSealed()
}

func (w watch) ended() tokensvcpb.Ended_Reason {
	w.t.Helper()
	return w.until("end", func(e *tokensvcpb.ChallengeEvent) bool { return e.GetEnded() != nil }).GetEnded().GetReason()
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// logBook keeps what the replicas log.
type logBook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
