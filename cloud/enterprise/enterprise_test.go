package enterprise

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/cloud/edge"
	"github.com/sallyport/sallyport/cloud/internal/apitest"
	"github.com/sallyport/sallyport/cloud/internal/redistest"
	"github.com/sallyport/sallyport/internal/pki"
)

type world struct {
	redis redis.UniversalClient
	a     Authority
	e     *echo.Echo
	logs  *bytes.Buffer
	spec  *apitest.Spec
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{redis: redistest.Start(t).Client(t), logs: &bytes.Buffer{}, spec: apitest.Load(t, "../../api/openapi/provisioning.yaml")}
	ca, err := pki.NewCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.a = Authority{Store: New(w.redis, time.Now), CA: ca}
	log := slog.New(slog.NewTextHandler(&locked{w: w.logs}, nil))
	proxies, err := edge.ParseProxies([]string{"192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	d := &Door{
		Authority: w.a, Proxies: proxies, Log: log, Rate: edge.NewLimiter(edge.Rate{PerSecond: 1e6, Burst: 1e6}, 100, time.Now),
		TunnelAddress: "cloud.example:8444", TokenServiceAddress: "tokens.example:8445", Roots: ca.CertPEM(),
	}
	w.e = echo.New()
	w.e.HTTPErrorHandler = edge.ErrorHandler(log)
	d.Routes(w.e)
	return w
}

type locked struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func newCSR(t *testing.T) []byte {
	t.Helper()
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := pki.CSR(key)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

type reply struct {
	status int
	provisionAnswer
	edge.Body
	Message string `json:"message"`
}

// provision sends a request for trust from an address behind the trusted proxy.
func (w *world) provision(t *testing.T, from string, tenant sallyport.TenantID, code sallyport.Secret, csr []byte) reply {
	t.Helper()
	body, err := json.Marshal(provisionRequest{
		EnterpriseID: tenant, Code: string(code), CSR: base64.RawURLEncoding.EncodeToString(csr), ApplianceName: "alpha",
	})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/v1/provision", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.RemoteAddr = "192.0.2.1:999"
	r.Header.Set("X-Forwarded-For", "203.0.113.99, "+from)
	rec := httptest.NewRecorder()
	w.e.ServeHTTP(rec, r)
	w.spec.Check(t, r, body, rec.Code, rec.Header(), rec.Body.Bytes())
	out := reply{status: rec.Code}
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
		t.Fatalf("%d %s: %v", rec.Code, rec.Body, err)
	}
	return out
}

func (w *world) create(t *testing.T) (Enterprise, sallyport.Secret) {
	t.Helper()
	e, code, err := w.a.Create(t.Context(), "  General Hospital ")
	if err != nil {
		t.Fatal(err)
	}
	return e, code
}

func TestACodeIsWorthOneCertificate(t *testing.T) {
	w := newWorld(t)
	e, code := w.create(t)
	if e.Name != "General Hospital" || !sallyport.ValidID(string(e.ID)) {
		t.Errorf("enterprise %+v", e)
	}
	// As people copy it.
	typed := sallyport.Secret(strings.ToLower(strings.ReplaceAll(string(code), "-", " ")))
	r := w.provision(t, "198.51.100.1", e.ID, typed, newCSR(t))
	if r.status != 200 || r.EnterpriseName != e.Name || r.TunnelAddress != "cloud.example:8444" || r.TokensvcAddress != "tokens.example:8445" || r.Further {
		t.Fatalf("%+v", r)
	}
	der, err := base64.RawURLEncoding.DecodeString(r.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(r.CA))
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	id, err := pki.IdentityOf(leaf)
	if err != nil || id.Tenant != e.ID || id.Appliance != r.ApplianceID {
		t.Errorf("identity %v (%v)", id, err)
	}
	if left := time.Until(leaf.NotAfter); left < 29*24*time.Hour || left > 31*24*time.Hour {
		t.Errorf("certificate holds for %v", left)
	}
	list, err := w.a.Appliances(t.Context(), e.ID)
	if err != nil || len(list) != 1 || list[0].Name != "alpha" || list[0].Serials[0] != leaf.SerialNumber.Text(16) || list[0].Revoked {
		t.Errorf("appliances %+v (%v)", list, err)
	}
	again := w.provision(t, "198.51.100.1", e.ID, code, newCSR(t))
	if again.status != 403 || again.Code != sallyport.CodeDenied || again.SupportCode == "" {
		t.Errorf("used twice: %+v", again)
	}
	if !strings.Contains(w.logs.String(), again.SupportCode) {
		t.Error("the refusal is not in the log under its support code")
	}
}

func TestOfManyAtOnceOneGetsTheCertificate(t *testing.T) {
	w := newWorld(t)
	e, code := w.create(t)
	var ok atomic.Int32
	var wg sync.WaitGroup
	for i := range 32 {
		csr := newCSR(t)
		wg.Go(func() {
			if w.provision(t, fmt.Sprintf("198.51.100.%d", i), e.ID, code, csr).status == 200 {
				ok.Add(1)
			}
		})
	}
	wg.Wait()
	if ok.Load() != 1 {
		t.Errorf("%d appliances were trusted for one code", ok.Load())
	}
}

func TestWrongCodeUnknownEnterpriseAndExpiredCodeAreTheSame(t *testing.T) {
	w := newWorld(t)
	e, _ := w.create(t)
	late, err := w.a.NewCode(t.Context(), e.ID, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	// Redis ends the code; nobody waits for it here.
	if err := w.redis.PExpire(t.Context(), codeKey(e.ID, late), time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); w.redis.Exists(t.Context(), codeKey(e.ID, late)).Val() != 0; {
		if time.Now().After(deadline) {
			t.Fatal("the code does not expire")
		}
	}
	wrong := w.provision(t, "198.51.100.1", e.ID, "AAAAA-BBBBB-CCCCC-DDDDD", newCSR(t))
	for name, r := range map[string]reply{
		"unknown enterprise":   w.provision(t, "198.51.100.2", "nobody", "AAAAA-BBBBB-CCCCC-DDDDD", newCSR(t)),
		"malformed enterprise": w.provision(t, "198.51.100.3", "../x", "AAAAA-BBBBB-CCCCC-DDDDD", newCSR(t)),
		"late":                 w.provision(t, "198.51.100.4", e.ID, late, newCSR(t)),
		"another's":            w.provision(t, "198.51.100.5", "another", late, newCSR(t)),
		"empty":                w.provision(t, "198.51.100.6", e.ID, "", newCSR(t)),
	} {
		if r.status != wrong.status || r.Code != wrong.Code || r.Message != wrong.Message || r.status != 403 {
			t.Errorf("%s: %d %q, a wrong code: %d %q", name, r.status, r.Message, wrong.status, wrong.Message)
		}
	}
}

func TestAWrongRequestDoesNotUseTheCodeUp(t *testing.T) {
	w := newWorld(t)
	e, code := w.create(t)
	if r := w.provision(t, "198.51.100.1", e.ID, code, []byte("no request")); r.status != 400 || r.Code != sallyport.CodeInvalid {
		t.Errorf("%+v", r)
	}
	if r := w.provision(t, "198.51.100.1", e.ID, code, newCSR(t)); r.status != 200 {
		t.Errorf("%+v", r)
	}
}

func TestWhoGuessesIsStoppedAndLocksNobodyElseOut(t *testing.T) {
	w := newWorld(t)
	e, code := w.create(t)
	const guess = "AAAAA-BBBBB-CCCCC-DDDDD"
	for range maxWrong {
		if r := w.provision(t, "198.51.100.1", e.ID, guess, newCSR(t)); r.status != 403 {
			t.Fatalf("%+v", r)
		}
	}
	if r := w.provision(t, "198.51.100.1", e.ID, code, newCSR(t)); r.status != 429 || r.Code != sallyport.CodeLimited {
		t.Errorf("the right code from an address that guessed: %+v", r)
	}
	// Another address may be wrong once, then no more: the enterprise is under attack.
	if r := w.provision(t, "198.51.100.2", e.ID, guess, newCSR(t)); r.status != 403 {
		t.Errorf("%+v", r)
	}
	if r := w.provision(t, "198.51.100.2", e.ID, guess, newCSR(t)); r.status != 429 {
		t.Errorf("%+v", r)
	}
	if r := w.provision(t, "2001:db8::1", e.ID, guess, newCSR(t)); r.status != 403 {
		t.Errorf("%+v", r)
	}
	if r := w.provision(t, "2001:db8::2", e.ID, guess, newCSR(t)); r.status != 429 {
		t.Errorf("another address of the same network: %+v", r)
	}
	if r := w.provision(t, "198.51.100.3", e.ID, code, newCSR(t)); r.status != 200 {
		t.Errorf("the holder of the code is locked out: %+v", r)
	}
	for key, want := range map[string]time.Duration{wrongKey("198.51.100.1"): wrongWindow, wrongAtKey(e.ID): wrongWindow} {
		if left := w.redis.TTL(t.Context(), key).Val(); left <= 0 || left > want {
			t.Errorf("%s ends in %v", key, left)
		}
	}
}

func TestRenewalIsForAppliancesThatWereNotCutOff(t *testing.T) {
	w := newWorld(t)
	e, code := w.create(t)
	r := w.provision(t, "198.51.100.1", e.ID, code, newCSR(t))
	id := pki.Identity{Tenant: e.ID, Appliance: r.ApplianceID}
	chain, err := w.a.Renew(t.Context(), id, newCSR(t))
	if err != nil || len(chain) != 2 {
		t.Fatalf("%d certificates, %v", len(chain), err)
	}
	if list, err := w.a.Appliances(t.Context(), e.ID); err != nil || len(list[0].Serials) != 2 {
		t.Errorf("%+v (%v)", list, err)
	}
	if _, err := w.a.Renew(t.Context(), pki.Identity{Tenant: e.ID, Appliance: "other"}, newCSR(t)); sallyport.ErrorCode(err) != sallyport.CodeDenied {
		t.Errorf("unknown appliance: %v", err)
	}
	if _, err := w.a.Renew(t.Context(), id, []byte{1, 2, 3}); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
		t.Errorf("no request: %v", err)
	}
	if err := w.a.Revoke(t.Context(), e.ID, "other"); sallyport.ErrorCode(err) != sallyport.CodeNotFound {
		t.Errorf("revoke unknown: %v", err)
	}
	if err := w.a.Revoke(t.Context(), e.ID, r.ApplianceID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.a.Renew(t.Context(), id, newCSR(t)); sallyport.ErrorCode(err) != sallyport.CodeDenied {
		t.Errorf("revoked appliance: %v", err)
	}
	list, err := w.a.Appliances(t.Context(), e.ID)
	if err != nil || !list[0].Revoked {
		t.Errorf("%+v (%v)", list, err)
	}
}

func TestAFurtherApplianceIsToldOfTheOthers(t *testing.T) {
	w := newWorld(t)
	e, code := w.create(t)
	first := w.provision(t, "198.51.100.1", e.ID, code, newCSR(t))
	next := func() reply {
		code, err := w.a.NewCode(t.Context(), e.ID, 0)
		if err != nil {
			t.Fatal(err)
		}
		return w.provision(t, "198.51.100.1", e.ID, code, newCSR(t))
	}
	second := next()
	if !second.Further || second.ApplianceID == first.ApplianceID {
		t.Errorf("%+v", second)
	}
	for _, id := range []sallyport.ApplianceID{first.ApplianceID, second.ApplianceID} {
		if err := w.a.Revoke(t.Context(), e.ID, id); err != nil {
			t.Fatal(err)
		}
	}
	if third := next(); third.Further {
		t.Error("appliances that were cut off count as others")
	}
}

func TestNamesAndCodesAreBounded(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"", "  ", strings.Repeat("x", maxName+1), "a\nb", "a\x00", "\xff"} {
		if _, _, err := w.a.Create(t.Context(), name); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("name %q: %v", name, err)
		}
	}
	e, _ := w.create(t)
	for _, ttl := range []time.Duration{-1, time.Millisecond, maxCodeTTL + 1} {
		if _, err := w.a.NewCode(t.Context(), e.ID, ttl); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("time to live %v: %v", ttl, err)
		}
	}
	if _, err := w.a.NewCode(t.Context(), "nobody", 0); sallyport.ErrorCode(err) != sallyport.CodeNotFound {
		t.Errorf("unknown enterprise: %v", err)
	}
	list, err := w.a.List(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != e.ID || list[0].Created.IsZero() {
		t.Errorf("%+v (%v)", list, err)
	}
	if ok, err := w.a.Exists(t.Context(), e.ID); !ok || err != nil {
		t.Errorf("exists: %v %v", ok, err)
	}
	if ok, err := w.a.Exists(t.Context(), "nobody"); ok || err != nil {
		t.Errorf("exists: %v %v", ok, err)
	}
}

func TestNeitherCodeNorKeyIsInRedisOrInTheLog(t *testing.T) {
	w := newWorld(t)
	e, code := w.create(t)
	unused, err := w.a.NewCode(t.Context(), e.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	dump := func() string { return dumpAll(t, w.redis) }
	before := dump()
	w.provision(t, "198.51.100.1", e.ID, code, newCSR(t))
	all := before + dump() + w.logs.String()
	for _, secret := range []sallyport.Secret{code, unused, sallyport.CanonicalCode(code), sallyport.CanonicalCode(unused), "PRIVATE"} {
		if strings.Contains(all, string(secret)) {
			t.Error("a secret is in Redis or in the log")
		}
	}
	if !strings.Contains(before, e.Name) {
		t.Error("the dump does not hold what is there: the search means nothing")
	}
}

func dumpAll(t *testing.T, r redis.UniversalClient) string {
	t.Helper()
	ctx := context.Background()
	var b strings.Builder
	for it := r.Scan(ctx, 0, "*", 100).Iterator(); it.Next(ctx); {
		key := it.Val()
		fmt.Fprintln(&b, key, r.Get(ctx, key).Val(), r.HGetAll(ctx, key).Val(), r.SMembers(ctx, key).Val(), r.LRange(ctx, key, 0, -1).Val())
	}
	return b.String()
}

func FuzzProvision(f *testing.F) {
	ca, err := pki.NewCA(time.Now())
	if err != nil {
		f.Fatal(err)
	}
	r := redistest.Start(f).Client(f)
	d := &Door{
		Authority: Authority{Store: New(r, time.Now), CA: ca}, Log: slog.New(slog.DiscardHandler),
		Rate: edge.NewLimiter(edge.Rate{}, 1, time.Now),
	}
	e := echo.New()
	e.HTTPErrorHandler = edge.ErrorHandler(d.Log)
	d.Routes(e)
	f.Add([]byte(`{"enterpriseId":"a","code":"b","csr":"AAAA","applianceName":"c"}`))
	f.Add([]byte(`{"enterpriseId":1}`))
	f.Add([]byte(`[`))
	f.Add([]byte(`{} {}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		req := httptest.NewRequest("POST", "/v1/provision", bytes.NewReader(body))
		rec := httptest.NewRecorder()
		e.ServeHTTP(rec, req)
		if rec.Code == http.StatusOK || rec.Code >= 500 {
			t.Errorf("status %d for %q", rec.Code, body)
		}
	})
}
