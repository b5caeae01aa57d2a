package login

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/cloud/edge"
)

func TestARepeatedRequestAsksTheDirectoryOnce(t *testing.T) {
	a, _, nodes := newWorld(t, 2)
	release := make(chan struct{})
	a.script(func(_ context.Context, s *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
		<-release
		return aView(1, tunnelpb.Phase_PHASE_INPUT, 0), nil
	})
	id := nodes[0].begin(t)
	const n = 12
	answers := make([]answer, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			var status int
			if answers[i], status = nodes[i%2].send(t, id, "alice"); status != 200 {
				t.Errorf("status %d: %+v", status, answers[i])
			}
		})
	}
	eventually(t, "asked", func() bool { return a.count(isCredentials) == 1 })
	if _, status := nodes[1].send(t, id, "mallory"); status != http.StatusConflict {
		t.Errorf("other credentials meanwhile: status %d", status)
	}
	close(release)
	wg.Wait()
	later, _ := nodes[1].send(t, id, "alice")
	for _, got := range append(answers, later) {
		if got.Session == "" || got.Session != answers[0].Session || got.View.Version != 1 {
			t.Errorf("answer %+v differs from %+v", got, answers[0])
		}
	}
	if got, status := nodes[0].send(t, id, "mallory"); status != http.StatusConflict || got.Session != "" {
		t.Errorf("other credentials afterwards: %d %+v", status, got)
	}
	if n := a.count(isCredentials); n != 1 {
		t.Errorf("the directory was asked %d times", n)
	}
}

func TestAfterAnUncertainAnswerNobodyAsksAgain(t *testing.T) {
	for name, cause := range map[string]error{
		"said so by the tunnel": sallyport.Errorf(sallyport.CodeUncertain, "Lost.", nil),
		"an error of no kind":   errors.New("broken"),
		"too late":              context.DeadlineExceeded,
	} {
		t.Run(name, func(t *testing.T) {
			a, _, nodes := newWorld(t, 2)
			a.script(func(context.Context, *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) { return nil, cause })
			id := nodes[0].begin(t)
			for i := range 3 {
				got, status := nodes[i%2].send(t, id, "alice")
				if status != 503 || got.Code != sallyport.CodeUncertain || !got.Ended || got.SupportCode == "" {
					t.Errorf("%d %+v", status, got)
				}
			}
			if n := a.count(isCredentials); n != 1 {
				t.Errorf("the directory was asked %d times", n)
			}
		})
	}
}

func TestWhenNoDirectoryWasAskedTheSameRequestMayComeAgain(t *testing.T) {
	a, _, nodes := newWorld(t, 2)
	a.script(func(context.Context, *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
		return nil, sallyport.Errorf(sallyport.CodeUnavailable, "No appliance.", nil)
	})
	id := nodes[0].begin(t)
	if got, status := nodes[0].send(t, id, "alice"); status != 503 || got.Code != sallyport.CodeUnavailable || got.Ended {
		t.Errorf("%d %+v", status, got)
	}
	a.script(pushLogin(nil))
	if got, status := nodes[1].send(t, id, "alice"); status != 200 || got.View.Version != 1 {
		t.Errorf("%d %+v", status, got)
	}
}

func TestAReplicaThatDiesWhileAskingLeavesAnUncertainAnswer(t *testing.T) {
	a, rdb, nodes := newWorld(t, 1)
	n := nodes[0]
	id := n.begin(t)
	// The claim that a replica left which is no more.
	var cred credentials
	body, err := json.Marshal(credentialsBody("alice"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &cred); err != nil {
		t.Fatal(err)
	}
	cred.token, cred.login = accessToken{tenant, "f5-big-ip", "gate-1"}, sallyport.LoginID(id)
	k := key{tenant, cred.login}
	if won, _, _, err := n.store.claim(t.Context(), k, n.keys.credentialsMAC(cred, origin), "dead", time.Minute); !won || err != nil {
		t.Fatal(won, err)
	}
	for range 2 {
		if got, status := n.send(t, id, "alice"); status != 503 || got.Code != sallyport.CodeUncertain {
			t.Errorf("%d %+v", status, got)
		}
	}
	if a.count(isCredentials) != 0 {
		t.Error("the directory was asked again")
	}
	if ttl := rdb.PTTL(t.Context(), k.session()).Val(); ttl <= 0 || ttl > lifetime {
		t.Errorf("the session ends in %v", ttl)
	}
}

func TestWhatTheApplianceIsTold(t *testing.T) {
	a, _, nodes := newWorld(t, 1, func(c *Config) {
		c.Proxies = mustProxies(t, "127.0.0.0/8")
	})
	a.script(pushLogin(nil))
	id := nodes[0].begin(t)
	body, err := json.Marshal(credentialsBody("Ålice"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("POST", nodes[0].URL+"/v1/logins/"+id+"/credentials", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	req.Header.Set("Origin", origin)
	req.Header.Set("Traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	req.Header.Set("X-Forwarded-For", "198.51.100.66, 203.0.113.7, 127.0.0.9")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.asked[0]
	if s.GetLoginId() != id || s.GetIntegrationId() != "gate-1" || s.GetOrigin() != origin || s.GetRemoteAddr() != "203.0.113.7" {
		t.Errorf("step %+v", s)
	}
	if c := s.GetCredentials(); c.GetUserName() != "Ålice" || c.GetKeyId() != "k1" || c.GetStatementIat() != 1700000000 || len(c.GetEnc()) != 65 || len(c.GetCiphertext()) != 528 {
		t.Errorf("credentials %+v", c)
	}
	if edge.Trace(a.trace[0]).ID() != trace {
		t.Errorf("trace %q", a.trace[0])
	}
}

func mustProxies(t testing.TB, list ...string) edge.Proxies {
	t.Helper()
	p, err := edge.ParseProxies(list)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRefusals(t *testing.T) {
	now := time.Now()
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	a, _, nodes := newWorld(t, 1, func(c *Config) { c.Now = clock })
	a.script(pushLogin(nil))
	n := nodes[0]
	id := n.begin(t)
	without := func(field string, value any) map[string]any {
		b := credentialsBody("alice")
		b[field] = value
		return b
	}
	foreign := string(n.keys.newID("other", now))
	for name, c := range map[string]struct {
		path   string
		body   any
		status int
		code   sallyport.Code
	}{
		"unknown enterprise":    {"", map[string]string{"accessToken": accessTokenOf("nobody")}, 404, sallyport.CodeNotFound},
		"access token":          {"", map[string]string{"accessToken": "%%%"}, 400, sallyport.CodeInvalid},
		"no access token":       {"", map[string]string{}, 400, sallyport.CodeInvalid},
		"not an object":         {"", []int{1}, 400, sallyport.CodeInvalid},
		"too long":              {"", map[string]string{"accessToken": strings.Repeat("A", 17<<10)}, 400, sallyport.CodeInvalid},
		"id of nobody":          {"/abc/credentials", credentialsBody("alice"), 404, sallyport.CodeNotFound},
		"id of another":         {"/" + foreign + "/credentials", credentialsBody("alice"), 404, sallyport.CodeNotFound},
		"edited id":             {"/" + flip(id) + "/credentials", credentialsBody("alice"), 404, sallyport.CodeNotFound},
		"no user name":          {"/" + id + "/credentials", without("userName", ""), 400, sallyport.CodeInvalid},
		"long user name":        {"/" + id + "/credentials", without("userName", strings.Repeat("x", 257)), 400, sallyport.CodeInvalid},
		"short key":             {"/" + id + "/credentials", without("enc", "AAAA"), 400, sallyport.CodeInvalid},
		"short ciphertext":      {"/" + id + "/credentials", without("ciphertext", "AAAA"), 400, sallyport.CodeInvalid},
		"padded base64":         {"/" + id + "/credentials", without("enc", "AA=="), 400, sallyport.CodeInvalid},
		"no key id":             {"/" + id + "/credentials", without("kid", ""), 400, sallyport.CodeInvalid},
		"message without login": {"/" + id + "/messages", map[string]any{"version": 1, "sealed": "AAAA"}, 403, sallyport.CodeDenied},
		"no such address":       {"/" + id + "/nothing", nil, 404, sallyport.CodeNotFound},
	} {
		var b edge.Body
		if status := n.call(t, "POST", "/v1/logins"+c.path, "", c.body, &b); status != c.status || b.Code != c.code || b.Message == "" || b.SupportCode == "" {
			t.Errorf("%s: %d %+v, want %d %s", name, status, b, c.status, c.code)
		}
	}
	mu.Lock()
	now = now.Add(lifetime + time.Second)
	mu.Unlock()
	if got, status := n.send(t, id, "alice"); status != 410 || got.Code != sallyport.CodeExpired {
		t.Errorf("late: %d %+v", status, got)
	}
	a.none = true
	var b edge.Body
	if status := n.call(t, "POST", "/v1/logins", "", map[string]string{"accessToken": accessTokenOf(tenant)}, &b); status != 503 || b.Code != sallyport.CodeUnavailable {
		t.Errorf("no appliance: %d %+v", status, b)
	}
	if n := a.count(isCredentials); n != 0 {
		t.Errorf("the directory was asked %d times", n)
	}
}

// flip changes one character of an id to another one.
func flip(id string) string {
	b := []byte(id)
	b[20] = map[bool]byte{true: 'B', false: 'A'}[b[20] == 'A']
	return string(b)
}

func TestWhoAsksTooOftenWaits(t *testing.T) {
	a, _, nodes := newWorld(t, 1, func(c *Config) {
		c.Limits.PerAddress = edge.Rate{PerSecond: 0.001, Burst: 5}
		c.Proxies = mustProxies(t, "127.0.0.1")
	})
	a.script(pushLogin(nil))
	ask := func(from string) int {
		req, err := http.NewRequest("POST", nodes[0].URL+"/v1/logins", strings.NewReader(`{"accessToken":"`+accessTokenOf(tenant)+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", from)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode == 429 && resp.Header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
		return resp.StatusCode
	}
	for i := range 5 {
		if status := ask("203.0.113.1"); status != 200 {
			t.Fatalf("request %d: status %d", i, status)
		}
	}
	if status := ask("203.0.113.1"); status != 429 {
		t.Errorf("over the limit: status %d", status)
	}
	if status := ask("203.0.113.2"); status != 200 {
		t.Errorf("another address: status %d", status)
	}
}

func TestTheEnterpriseIsBoundedInWhatItHasInHand(t *testing.T) {
	a, _, nodes := newWorld(t, 1, func(c *Config) { c.Limits.InHand = 1 })
	release := make(chan struct{})
	a.script(func(context.Context, *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
		<-release
		return aView(1, tunnelpb.Phase_PHASE_INPUT, 0), nil
	})
	first, second := nodes[0].begin(t), nodes[0].begin(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, status := nodes[0].send(t, first, "alice"); status != 200 {
			t.Errorf("status %d", status)
		}
	})
	eventually(t, "asked", func() bool { return a.count(isCredentials) == 1 })
	if got, status := nodes[0].send(t, second, "bob"); status != 429 || got.Code != sallyport.CodeLimited {
		t.Errorf("%d %+v", status, got)
	}
	close(release)
	wg.Wait()
	if _, status := nodes[0].send(t, second, "bob"); status != 200 {
		t.Errorf("once there is room: status %d", status)
	}
}

func TestPreflight(t *testing.T) {
	_, _, nodes := newWorld(t, 1)
	for _, path := range []string{"", "/x/events", "/x/messages"} {
		req, err := http.NewRequest("OPTIONS", nodes[0].URL+"/v1/logins"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", origin)
		req.Header.Set("Access-Control-Request-Method", "POST")
		req.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		h := resp.Header
		if resp.StatusCode != 204 || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Max-Age") != "7200" ||
			h.Get("Access-Control-Allow-Credentials") != "" || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Errorf("%s: %d %v", path, resp.StatusCode, h)
		}
	}
}
