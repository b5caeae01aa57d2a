package legacy_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/md5"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/passcode"
	"github.com/sallyport/sallyport/appliance-connector/radius"
	"github.com/sallyport/sallyport/appliance-connector/radius/legacy"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/internal/deviceproto"
	wire "layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

const (
	secret   = "gateway-shared-secret-22"
	password = "Correct-Horse-7"
	patience = 60 * time.Second // the machine may be busy with others
	hush     = 200 * time.Millisecond
)

// world is what the appliances of an enterprise share: a real store, real keys and alice's real phone. The directory
// and the token service are scripted.
type world struct {
	t      testing.TB
	ring   *keyring.Ring
	store  *store.Store
	hub    *hub
	people *people
	key    *ecdsa.PrivateKey
	device sallyport.Device
	vpn    sallyport.Integration
	skew   atomic.Int64
	frozen *time.Time // when not nil, the clock stands still
	binds  atomic.Int64
	slow   chan struct{} // when not nil, the directory waits for it
	down   atomic.Bool   // the directory
	// factors change what the engine can ask for; nil: nothing.
	factors func(*login.Config)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, hub: newHub(), vpn: sallyport.Integration{
		ID: "vpn", Nickname: "Hospital VPN", Secret: secret, MessageAuthenticator: sallyport.MessageAuthenticatorNever,
		Clients: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Experience: sallyport.ExperienceLegacy,
	}}
	var err error
	w.ring, err = keyring.New("t1")
	check(t, err)
	w.store, err = store.Open(context.Background(), filepath.Join(t.TempDir(), "s.db"), w.ring.Derive("store"))
	check(t, err)
	t.Cleanup(func() { check(t, w.store.Close()) })
	w.people = &people{w: w}
	w.enrol()
	return w
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) now() time.Time {
	if w.frozen != nil {
		return *w.frozen
	}
	return time.Now().Add(time.Duration(w.skew.Load()))
}

func (w *world) enrol() {
	var err error
	w.key, err = deviceproto.NewKey()
	check(w.t, err)
	der, err := deviceproto.MarshalPublicKey(&w.key.PublicKey)
	check(w.t, err)
	id := deviceproto.Thumbprint(&w.key.PublicKey)
	keys := deviceproto.DeriveKeys(make([]byte, 32), id)
	w.device = sallyport.Device{ID: id, Account: `hospital\alice`, Name: "Phone", Platform: "cli",
		PublicKey: der, Seed: keys.Seed, DetailsKey: keys.Details, Enrolled: w.now()}
	check(w.t, w.store.PutDevice(context.Background(), w.device))
}

func (w *world) code() string {
	w.t.Helper()
	c, err := deviceproto.TokenCode(w.device.Seed, w.now())
	check(w.t, err)
	return string(c)
}

// Present is the directory that nobody gave a password.
func (w *world) Present(_ context.Context, name string) (sallyport.AccountState, sallyport.Account, error) {
	if w.down.Load() {
		return "", sallyport.Account{}, errors.New("connection refused")
	}
	if name == "nobody" {
		return sallyport.AccountUnknown, sallyport.Account{}, nil
	}
	return sallyport.AccountOK, sallyport.Account{Name: sallyport.NewAccountName("HOSPITAL", name)}, nil
}

// Verify is the directory: everybody has the same password, and "nobody" does not exist.
func (w *world) Verify(ctx context.Context, name string, given sallyport.Secret, onBind func() error) (sallyport.AccountState, sallyport.Account, error) {
	if w.down.Load() {
		return "", sallyport.Account{}, errors.New("connection refused")
	}
	if err := onBind(); err != nil {
		return "", sallyport.Account{}, err
	}
	w.binds.Add(1)
	if w.slow != nil {
		select {
		case <-w.slow:
		case <-ctx.Done():
			return "", sallyport.Account{}, ctx.Err()
		}
	}
	account := sallyport.Account{Name: sallyport.NewAccountName("HOSPITAL", name)}
	switch {
	case name == "nobody":
		return sallyport.AccountUnknown, sallyport.Account{}, nil
	case subtle.ConstantTimeCompare([]byte(given), []byte(password)) != 1 && !strings.HasPrefix(string(given), "any:"):
		return sallyport.AccountWrongPassword, account, nil
	}
	return sallyport.AccountOK, account, nil
}

// people is what is known of everybody: all have alice's phone.
type people struct {
	w         *world
	mu        sync.Mutex
	matching  bool
	temporary sallyport.Secret
	ways      []sallyport.Combination   // when not empty, everybody has an OTP token and a PIN, and these alone are allowed
	edit      func(*sallyport.Standing) // nil: nothing is changed
}

func (p *people) set(change func(*people)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *people) Standing(_ context.Context, account sallyport.AccountName) (sallyport.Standing, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := sallyport.Standing{
		User:     &sallyport.User{ID: "u1", Account: account, State: sallyport.UserActive, Policy: "p1"},
		Policy:   sallyport.UserPolicy{ID: "p1", Name: "Nurses", Licensed: true, RemoteAccess: true},
		Workflow: sallyport.LoginWorkflow{NumberMatching: p.matching, Allowed: []sallyport.Combination{sallyport.PasswordAndApp}},
		Devices:  []sallyport.Device{p.w.device},
	}
	s.Has.Apps = 1
	if len(p.ways) > 0 {
		s.Has.OTP, s.Has.PIN, s.Workflow.Allowed = true, true, p.ways
	}
	if p.temporary != "" {
		s.Has.TemporaryCodes = []sallyport.TemporaryCode{{ID: "t1", Account: account, Issued: p.w.now(), Expires: p.w.now().Add(time.Hour)}}
	}
	if p.edit != nil {
		p.edit(&s)
	}
	return s, nil
}

func (p *people) Devices(context.Context, sallyport.AccountName) ([]sallyport.Device, error) {
	return []sallyport.Device{p.w.device}, nil
}

func (p *people) MatchTemporaryCode(_ context.Context, _ sallyport.AccountName, code sallyport.Secret, _ time.Time) (string, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return "t1", p.temporary != "" && code == p.temporary, nil
}

func (p *people) EndTemporaryCodes(context.Context, sallyport.AccountName, sallyport.TemporaryCodeEnd, time.Time) (int, error) {
	return 0, nil
}

// hub is the token service: it remembers what happened to challenges, and tells all who watch.
type hub struct {
	mu         sync.Mutex
	challenges map[sallyport.ChallengeID]*asked
	order      []sallyport.ChallengeID
	cancelled  int
	fails      bool
}

type asked struct {
	login.Challenge
	end  login.ChallengeEvent
	done chan struct{}
}

func newHub() *hub { return &hub{challenges: map[sallyport.ChallengeID]*asked{}} }

func (h *hub) Create(_ context.Context, c login.Challenge) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fails {
		return errors.New("token service is away")
	}
	if h.challenges[c.ID] == nil {
		h.challenges[c.ID] = &asked{Challenge: c, done: make(chan struct{})}
		h.order = append(h.order, c.ID)
	}
	return nil
}

func (h *hub) Watch(ctx context.Context, id sallyport.ChallengeID, event func(login.ChallengeEvent) bool) error {
	h.mu.Lock()
	a := h.challenges[id]
	h.mu.Unlock()
	select {
	case <-a.done:
		event(a.end)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *hub) Cancel(_ context.Context, id sallyport.ChallengeID) error {
	h.end(id, login.ChallengeEvent{Ended: sallyport.ReasonCancelled})
	h.mu.Lock()
	h.cancelled++
	h.mu.Unlock()
	return nil
}

func (h *hub) end(id sallyport.ChallengeID, ev login.ChallengeEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.challenges[id]
	select {
	case <-a.done:
	default:
		a.end = ev
		close(a.done)
	}
}

// ends says how many questions the appliances took back.
func (h *hub) ends() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cancelled
}

// breakDown has no question taken any more.
func (h *hub) breakDown() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fails = true
}

func (h *hub) pushes() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.order)
}

// push waits for the nth push, from 1, and opens it as the phone does.
func (w *world) push(n int) (sallyport.ChallengeID, sallyport.ChallengeDetails) {
	w.t.Helper()
	eventually(w.t, "a push", func() bool { return w.hub.pushes() >= n })
	w.hub.mu.Lock()
	c := w.hub.challenges[w.hub.order[n-1]]
	w.hub.mu.Unlock()
	d, err := deviceproto.OpenDetails(w.device.DetailsKey, w.device.ID, c.ID, c.Sealed)
	check(w.t, err)
	return c.ID, d
}

// answer answers the nth push on the phone.
func (w *world) answer(n int, decision sallyport.Decision, number string) {
	w.t.Helper()
	id, d := w.push(n)
	box, err := deviceproto.SealAnswer(w.key, w.device.DetailsKey, deviceproto.Answer{
		Challenge: id, Decision: decision, Number: number, User: d.User, Application: d.Application, At: w.now()})
	check(w.t, err)
	w.hub.end(id, login.ChallengeEvent{Answer: box})
}

// records keeps what is recorded.
type records struct {
	mu     sync.Mutex
	logins []sallyport.LoginRecord
	audit  []sallyport.AuditRecord
}

func (r *records) Login(l sallyport.LoginRecord) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logins = append(r.logins, l)
	return true
}
func (r *records) Event(sallyport.LoginEvent) {}
func (r *records) Audit(a sallyport.AuditRecord) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.audit = append(r.audit, a)
}

func (r *records) last() sallyport.LoginRecord {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.logins[len(r.logins)-1]
}

// lines is a log that tests read.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *lines) has(what string) bool { return strings.Contains(l.String(), what) }

// tokens stands in for what decides about gateway tokens: each is good.
type tokens struct{}

func (tokens) VerifyNow(*radius.Query) (radius.Verdict, bool) { return radius.Verdict{}, false }
func (tokens) Verify(context.Context, radius.Query) radius.Verdict {
	return radius.Verdict{Accept: true, Message: "by token", Account: `hospital\alice`}
}

type appliance struct {
	*radius.Server
	door    *legacy.Door
	log     *lines
	records *records
	end     func()
}

// groups are the same for everybody.
type groups struct{}

func (groups) Groups(context.Context, sallyport.AccountName) ([]string, error) {
	return []string{"CN=Doctors,DC=hospital,DC=example"}, nil
}

// appliance starts one appliance of the enterprise; it ends with the test, or before with end.
func (w *world) appliance(change ...func(*legacy.Options, *radius.Options)) *appliance {
	w.t.Helper()
	a := &appliance{log: &lines{}, records: &records{}}
	log := slog.New(slog.NewTextHandler(a.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	config := login.Config{
		Directory: w, Standings: w.people, Devices: w.people, Challenges: w.hub, TemporaryCodes: w.people, Recorder: a.records, Counters: w.store,
		Codes: &passcode.Checker{Store: w.store, Temporary: w.people, Tokens: w.store, PINs: w.store, Now: w.now, Log: log},
		Key:   w.ring.Derive("login"), Now: w.now, Sleep: func(context.Context, time.Duration) {}, Log: log,
	}
	if w.factors != nil {
		w.factors(&config)
	}
	engine := login.New(config)
	lo := legacy.Options{Engine: engine, Steps: w.store, Tokens: tokens{}, States: login.Keeper{Key: w.ring.Derive("radius state")},
		Key: w.ring.Derive("radius steps"), Now: w.now, Sleep: pause, Log: log}
	ro := radius.Options{Address: "127.0.0.1:0", Integrations: []sallyport.Integration{w.vpn}, Log: log, ReplyWindow: 90 * time.Second, Groups: groups{}}
	for _, c := range change {
		c(&lo, &ro)
	}
	a.door = legacy.New(lo)
	ro.Verifier = a.door
	var err error
	a.Server, err = radius.Listen(ro)
	check(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx) }()
	a.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(a.end)
	return a
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never came: %s", what)
}

// gateway is a gateway's socket to one appliance, with the shared secret.
type gateway struct {
	t    testing.TB
	conn *net.UDPConn
}

func (a *appliance) gateway(t testing.TB) *gateway {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(a.Addr()))
	check(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return &gateway{t, c}
}

// request makes an Access-Request with Message-Authenticator.
func request(t testing.TB, user, password string, state []byte, edit ...func(*wire.Packet)) []byte {
	t.Helper()
	p := wire.New(wire.CodeAccessRequest, []byte(secret))
	p.Add(80, make([]byte, 16))
	check(t, errors.Join(rfc2865.UserName_SetString(p, user), rfc2865.UserPassword_SetString(p, password),
		rfc2865.NASIdentifier_SetString(p, "big-ip-1"), rfc2865.CallingStationID_SetString(p, "203.0.113.7"),
		rfc2865.CalledStationID_SetString(p, "vpn.hospital.example")))
	if state != nil {
		p.Add(rfc2865.State_Type, state)
	}
	for _, e := range edit {
		e(p)
	}
	b, err := p.Encode()
	check(t, err)
	h := hmac.New(md5.New, p.Secret)
	h.Write(b)
	copy(b[22:38], h.Sum(nil))
	return b
}

func (g *gateway) send(packet []byte) {
	g.t.Helper()
	_, err := g.conn.Write(packet)
	check(g.t, err)
}

// receive returns what comes within wait, or nil.
func (g *gateway) receive(wait time.Duration) []byte {
	b, err := g.read(wait)
	if err != nil {
		return nil
	}
	return b
}

func (g *gateway) read(wait time.Duration) ([]byte, error) {
	if err := g.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096)
	n, err := g.conn.Read(buf)
	return buf[:n], err
}

// answer waits for the answer to a request that was sent.
func (g *gateway) answer(packet []byte) *wire.Packet {
	g.t.Helper()
	p, err := g.await(packet)
	check(g.t, err)
	return p
}

func (g *gateway) await(packet []byte) (*wire.Packet, error) {
	b, err := g.read(patience)
	if err != nil {
		return nil, err
	}
	if !wire.IsAuthenticResponse(b, packet, []byte(secret)) || b[20] != 80 {
		return nil, errors.New("the answer is not authentic, or does not begin with Message-Authenticator")
	}
	return wire.Parse(b, []byte(secret))
}

// ask sends a request and waits for the answer.
func (g *gateway) ask(user, password string, state []byte, edit ...func(*wire.Packet)) *wire.Packet {
	g.t.Helper()
	r := request(g.t, user, password, state, edit...)
	g.send(r)
	return g.answer(r)
}

func want(t testing.TB, p *wire.Packet, code wire.Code, words string) {
	t.Helper()
	if m := rfc2865.ReplyMessage_GetString(p); p.Code != code || !strings.Contains(m, words) {
		t.Fatalf("%v %q, want %v %q", p.Code, m, code, words)
	}
	state := rfc2865.State_Get(p)
	if (code == wire.CodeAccessChallenge) != (len(state) > 0) || len(state) > 253 {
		t.Fatalf("%v with a State of %d octets", code, len(state))
	}
}
