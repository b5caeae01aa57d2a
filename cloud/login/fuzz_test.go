package login

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/cloud/edge"
	"github.com/sallyport/sallyport/cloud/internal/redistest"
)

func FuzzAccessToken(f *testing.F) {
	f.Add(accessTokenOf(tenant))
	f.Add("eyJ0ZW5hbnRJZCI6IiJ9")
	f.Add("e30=")
	f.Add("%")
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := parseAccessToken(s)
		if err != nil {
			return
		}
		if !sallyport.ValidID(string(tok.Tenant)) || !sallyport.ValidID(tok.Kind) || !sallyport.ValidID(string(tok.Integration)) {
			t.Errorf("%q gives %+v", s, tok)
		}
	})
}

func FuzzLoginID(f *testing.F) {
	k := newKeys(testKey)
	now := time.Unix(1_790_000_000, 0)
	f.Add(string(k.newID(tenant, now)))
	f.Add(string(k.newID("other", now)))
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		if _, ok := k.openID(s, tenant); !ok {
			return
		}
		// Only an id that was given out opens: for no other enterprise, and with no bit changed.
		if _, ok := k.openID(s, "another"); ok {
			t.Errorf("%q opens for another enterprise", s)
		}
		for i := range len(s) {
			edited := []byte(s)
			edited[i] ^= 1
			if _, ok := k.openID(string(edited), tenant); ok {
				t.Errorf("%q opens", edited)
			}
		}
	})
}

func FuzzBearer(f *testing.F) {
	f.Add(string(newKeys(testKey).newBearer(tenant, "x", nil)))
	f.Add(".")
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, s string) {
		if got, ok := tenantOf(sallyport.Secret(s)); ok && !sallyport.ValidID(string(got)) {
			t.Errorf("%q gives %q", s, got)
		}
	})
}

// FuzzBodies sends any bytes to every door: none of them is our fault.
func FuzzBodies(f *testing.F) {
	r := redistest.Start(f).Client(f)
	s, err := New(Config{
		Redis: r, Appliances: &appliances{none: true}, Enterprises: enterprises{}, Key: testKey, Now: time.Now,
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
		Limits: Limits{PerAddress: edge.Rate{PerSecond: 1e9, Burst: 1e9}, PerEnterprise: edge.Rate{PerSecond: 1e9, Burst: 1e9}},
	})
	if err != nil {
		f.Fatal(err)
	}
	e := echo.New()
	e.HTTPErrorHandler = edge.ErrorHandler(s.cfg.Log)
	s.Routes(e)
	body, err := json.Marshal(credentialsBody("alice"))
	if err != nil {
		f.Fatal(err)
	}
	id := string(s.keys.newID("other", time.Now()))
	f.Add("", []byte(`{"accessToken":"e30="}`), "")
	f.Add("/"+id+"/credentials", body, "")
	f.Add("/"+id+"/messages", []byte(`{"version":1,"sealed":"AAAA"}`), "Bearer other.x")
	f.Add("/"+id+"/messages", []byte(`{"version":-1,"sealed":5}`), "Bearer .")
	f.Add("/%2e%2e/credentials", []byte(`{}{}`), "")
	f.Fuzz(func(t *testing.T, path string, body []byte, authorization string) {
		req := httptest.NewRequest("POST", "/v1/logins", bytes.NewReader(body))
		req.URL.Path += path
		req.Header.Set("Authorization", authorization)
		rec := httptest.NewRecorder()
		e.ServeHTTP(rec, req)
		if rec.Code < 400 || rec.Code == 500 {
			t.Errorf("%q %q: status %d", path, body, rec.Code)
		}
		var b edge.Body
		if rec.Code != 405 && rec.Code != 404 && (json.Unmarshal(rec.Body.Bytes(), &b) != nil || b.Code == "") {
			t.Errorf("%q %q: answer %q", path, body, rec.Body)
		}
	})
}
