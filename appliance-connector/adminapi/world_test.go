package adminapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/usersync"
	"github.com/sallyport/sallyport/test/ldapsim"
)

// logs are what the API logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// world is the API over HTTP with a store, a directory and a synchronisation of its own.
type world struct {
	t      testing.TB
	store  *store.Store
	admin  *admin.Service
	api    *Server
	url    string
	logs   *logs
	domain sallyport.Domain
	users  map[string]sallyport.User // by sAMAccountName
	gate   sallyport.Integration
	code   string // support code of a login
	ahead  atomic.Int64
	made   atomic.Int64 // counts what tests make
}

// root is who fills the world.
var root = sallyport.Actor{Kind: sallyport.ActorLocal, Name: "root@test", Role: sallyport.RoleSuper}

const (
	bindPassword = "svc password"
	gateSecret   = "gateway-secret-0123456789"
)

func (w *world) now() time.Time          { return time.Now().Add(time.Duration(w.ahead.Load())) }
func (w *world) forward(d time.Duration) { w.ahead.Add(int64(d)) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, logs: &logs{}}
	log := slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	w.store, err = store.Open(context.Background(), filepath.Join(t.TempDir(), "a.db"), sallyport.Key(strings.Repeat("m", 32)), store.WithNow(w.now))
	w.must(err)
	t.Cleanup(func() {
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	dir, err := directory.New(directory.Options{Log: log, Now: time.Now})
	w.must(err)
	t.Cleanup(dir.Close)
	synchroniser := usersync.New(usersync.Options{Store: w.store, Directory: reads{dir}, Holder: "a1", Now: w.now, Log: log})
	w.run(synchroniser)
	w.admin, err = admin.New(admin.Config{Store: w.store, Key: sallyport.Key(strings.Repeat("k", 32)), Domains: dir, Synchroniser: synchroniser, Now: w.now, Log: log,
		Groups:     groups{},
		Enterprise: admin.Enterprise{Tenant: "hospital", CloudURL: "https://cloud.sallyport.test", Fingerprint: strings.Repeat("f", 43)},
		Watched:    admin.Watched{Version: "test", Parts: []admin.Part{{Name: "Database", Check: w.store.Ping}}}})
	w.must(err)
	w.fill(dir, synchroniser)
	w.api, err = New(Config{Admin: w.admin, Now: w.now, Log: log})
	w.must(err)
	srv := httptest.NewServer(w.api)
	t.Cleanup(srv.Close)
	w.url = srv.URL
	return w
}

// run has the synchronisation work until the test ends.
func (w *world) run(s *usersync.Service) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx) // it ends with the context's error
	}()
	w.t.Cleanup(func() { stop(); <-ended })
}

// reads is the directory as the synchronisation reads it.
type reads struct{ *directory.Directory }

func (r reads) Read(ctx context.Context, domain sallyport.DomainID, f func(usersync.Source) error) error {
	return r.Directory.Read(ctx, domain, func(x *directory.Reader) error { return f(x) })
}

// groups knows one account.
type groups struct{}

func (groups) Groups(_ context.Context, account sallyport.AccountName) ([]string, error) {
	if account == `hospital\alice` {
		return []string{"CN=Nurses,CN=Users,DC=hospital,DC=test"}, nil
	}
	return nil, sallyport.Errorf(sallyport.CodeNotFound, "There is no such account.", nil)
}

// fill makes a hospital: a directory whose users are synchronised, a gateway, what happened there, and
// administrators with tokens.
func (w *world) fill(dir *directory.Directory, s *usersync.Service) {
	w.t.Helper()
	ctx := context.Background()
	saved, err := w.admin.PutDomain(ctx, root, w.directory(), false)
	w.must(err)
	w.domain = saved.Domain
	list, err := w.store.Domains(ctx)
	w.must(err)
	w.must(dir.Set(list))
	run, err := s.Synchronise(ctx, w.domain.ID, sallyport.SynchroniseFull, root)
	w.must(err)
	if run.State != sallyport.SynchronisationDone {
		w.t.Fatalf("%+v", run)
	}
	w.users = map[string]sallyport.User{}
	page, err := w.store.Users(ctx, store.UserQuery{})
	w.must(err)
	for _, u := range page.Users {
		w.users[u.Account.User()] = u
	}
	gate, err := w.admin.AddIntegration(ctx, root, sallyport.Integration{ID: "gate", Nickname: "Gate", Secret: gateSecret, Clients: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}})
	w.must(err)
	w.gate = gate.Integration
	w.code = sallyport.NewSupportCode()
	alice, now := w.users["alice"].Account, w.now()
	w.must(w.store.RecordLogins(ctx, []sallyport.LoginRecord{{ID: "l1", Time: now, Ended: now.Add(time.Second), SupportCode: w.code, UserName: "=alice", Account: alice,
		Door: sallyport.DoorOverlay, Outcome: sallyport.OutcomeGranted}}, []sallyport.LoginEvent{{SupportCode: w.code, Time: now, Step: 1, Message: "login began", Detail: json.RawMessage(`{"a":1}`)}}))
	w.must(w.store.RecordRADIUS(ctx, []sallyport.RADIUSActivity{{Time: now, Integration: "gate", Source: "192.0.2.1:4000", UserName: "alice", Account: alice, Outcome: "accept"}}))
	w.must(w.store.RecordGatewayHeard(ctx, []sallyport.GatewayHealth{{Integration: "gate", Appliance: "a1", Heard: now, Accepted: now}}))
	w.must(w.store.RecordUnknownSources(ctx, []sallyport.UnknownSource{{Appliance: "a1", Source: netip.MustParseAddr("192.0.2.77"), First: now, Last: now, Count: 3}}))
	for _, role := range []sallyport.Role{sallyport.RoleSuper, sallyport.RoleAdmin, sallyport.RoleHelpDesk, sallyport.RoleAuditor} {
		w.administrator(string(role), role, sallyport.Scope{})
	}
}

// directory starts a directory, and says how it is reached.
func (w *world) directory() sallyport.Domain {
	w.t.Helper()
	srv, err := ldapsim.New(ldapsim.Config{NetBIOS: "HOSPITAL", DNSName: "hospital.test", Now: time.Now, Users: []ldapsim.User{
		{Name: "svc", Password: bindPassword}, {Name: "alice", DisplayName: "Alice", Mail: "alice@hospital.test"}, {Name: "bob", DisplayName: "Bob", OU: "Ward"},
		{Name: "carol", DisplayName: "Carol", OU: "Ward"}}, Groups: []ldapsim.Group{{Name: "Nurses", Members: []string{"alice"}}}})
	w.must(err)
	borrowed := httptest.NewTLSServer(nil)
	cert, ca := borrowed.TLS.Certificates[0], borrowed.Certificate().Raw
	borrowed.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	w.must(err)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	w.t.Cleanup(func() {
		srv.Close()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	return sallyport.Domain{Servers: []string{"ldaps://" + l.Addr().(*net.TCPAddr).String()}, Authority: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca})),
		BindName: "CN=svc,CN=Users,DC=hospital,DC=test", BindPassword: bindPassword}
}

// administrator makes one with two tokens: "NAME-write" and "NAME-read".
func (w *world) administrator(name string, role sallyport.Role, scope sallyport.Scope) {
	w.t.Helper()
	ctx := context.Background()
	a, err := w.store.As(root).PutAdministrator(ctx, sallyport.Administrator{ID: sallyport.AdministratorID(name), Name: name, DisplayName: name, Role: role, Scope: scope, Created: w.now()})
	w.must(err)
	for _, access := range []sallyport.TokenAccess{sallyport.TokenReads, sallyport.TokenWrites} {
		token := bearer(name, access)
		w.must(w.store.As(root).PutAPIToken(ctx, sallyport.APIToken{ID: sallyport.NewID(), Owner: a.ID, Name: string(access), Role: role, Access: access,
			Created: w.now(), Expires: w.now().Add(24 * time.Hour)}, sha256.Sum256([]byte(token))))
	}
}

// bearer is the token of a test's administrator.
func bearer(name string, access sallyport.TokenAccess) string {
	return fmt.Sprintf("sallyport_%s-%s", name, access)
}

// answer is what came back.
type answer struct {
	*http.Response
	body []byte
}

// problem is the document of an error.
func (a answer) problem(t testing.TB) document {
	t.Helper()
	var d document
	if kind := a.Header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("%s: content type %q", a.Request.URL, kind)
	}
	if err := json.Unmarshal(a.body, &d); err != nil {
		t.Errorf("%s: %v in %q", a.Request.URL, err, a.body)
	}
	return d
}

// ask makes a request of the API. Headers come in pairs; a body without Content-Type is JSON.
func (w *world) ask(method, path, token, body string, headers ...string) answer {
	w.t.Helper()
	w.forward(time.Second)
	req, err := http.NewRequest(method, w.url+Prefix+path, strings.NewReader(body))
	w.must(err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	w.must(err)
	text, err := io.ReadAll(res.Body)
	w.must(err)
	w.must(res.Body.Close())
	return answer{res, text}
}

// fresh is a name that nothing has yet.
func (w *world) fresh(noun string) string { return fmt.Sprintf("%s%d", noun, w.made.Add(1)) }
