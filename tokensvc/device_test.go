package tokensvc_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tokensvcpb"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/tokensvc"
	"github.com/sallyport/sallyport/tokensvc/deviceapi"
)

// waiting reads how many requests wait for an event on a replica, as the operator sees it.
func (w *world) waiting(r *replica) int {
	resp, err := http.Get("http://" + r.AdminAddr() + "/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), "sallyport_tokensvc_waiting "); found {
			n, err := strconv.Atoi(value)
			if err != nil {
				w.t.Fatal(err)
			}
			return n
		}
	}
	w.t.Fatal("the figure is missing")
	return 0
}

// ask makes one request of the device API with the given Authorization header.
func (r *replica) ask(method, path, authorization string, body []byte) (*http.Response, []byte) {
	r.w.t.Helper()
	req, err := http.NewRequestWithContext(r.w.t.Context(), method, "http://"+r.DeviceAddr()+path, bytes.NewReader(body))
	if err != nil {
		r.w.t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.w.t.Fatal(err)
	}
	return resp, text
}

func (p *phone) authorize(t *testing.T, method, path string, body []byte, at time.Time) string {
	t.Helper()
	path, _, _ = strings.Cut(path, "?")
	header, err := deviceproto.Authorize(p.Key, p.Tenant, deviceproto.Request{Audience: deviceURL, Method: method, Path: path, Body: body}, at)
	if err != nil {
		t.Fatal(err)
	}
	return header
}

func TestARequestIsAcceptedOnceOnAnyReplica(t *testing.T) {
	w := newWorld(t)
	one, two := w.start(nil), w.start(nil)
	p := one.enrol("hospital", deviceproto.ProviderNone)
	header := p.authorize(t, "GET", "/v1/challenges", nil, time.Now())
	if resp, _ := one.ask("GET", "/v1/challenges", header, nil); resp.StatusCode != 200 {
		t.Fatalf("first: %d", resp.StatusCode)
	}
	for _, r := range []*replica{one, two} {
		resp, text := r.ask("GET", "/v1/challenges", header, nil)
		if resp.StatusCode != 401 || !strings.Contains(string(text), `"denied"`) {
			t.Errorf("replayed: %d %s", resp.StatusCode, text)
		}
	}
}

func TestOnlyTheDevicesOwnKeyOpensItsDoor(t *testing.T) {
	w := newWorld(t)
	r := w.start(nil)
	p := r.enrol("hospital", deviceproto.ProviderNone)
	stranger := r.newPhone("hospital", deviceproto.Push{Provider: deviceproto.ProviderNone})
	now := time.Now()
	for name, header := range map[string]string{
		"nobody":        "",
		"stranger":      stranger.authorize(t, "GET", "/v1/challenges", nil, now),
		"other request": p.authorize(t, "DELETE", "/v1/device", nil, now),
		"too old":       p.authorize(t, "GET", "/v1/challenges", nil, now.Add(-4*time.Minute)),
		"from tomorrow": p.authorize(t, "GET", "/v1/challenges", nil, now.Add(24*time.Hour)),
	} {
		resp, text := r.ask("GET", "/v1/challenges", header, nil)
		if resp.StatusCode != 401 || resp.Header.Get("Date") == "" {
			t.Errorf("%s: %d %s", name, resp.StatusCode, text)
		}
	}
}

func TestAPhoneWithAWrongClockCorrectsItself(t *testing.T) {
	w := newWorld(t)
	r := w.start(nil)
	p := r.enrol("hospital", deviceproto.ProviderNone)
	p.Now = func() time.Time { return time.Now().Add(-3 * time.Hour) }
	for range 2 {
		if _, err := p.Challenges(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	}
}

func TestADeviceThatForgetsItselfIsForgotten(t *testing.T) {
	w := newWorld(t)
	r := w.start(nil)
	p := r.enrol("hospital", deviceproto.ProviderAPNs)
	a := r.appliance("hospital")
	id := challenge(t, a, p, 30*time.Second)
	events := watching(t, a, id)
	if err := p.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := events.ended(); got != tokensvcpb.Ended_CANCELLED {
		t.Errorf("ended: %s", got)
	}
	if _, err := p.Challenges(t.Context(), 0); sallyport.ErrorCode(err) != sallyport.CodeDenied {
		t.Errorf("afterwards: %v", err)
	}
	if _, err := a.CreateChallenge(t.Context(), request(t, p, "c2", time.Second)); status.Code(err) != codes.NotFound {
		t.Errorf("challenge afterwards: %v", err)
	}
}

// What the phone's maker says reaches the appliance as it came; what is no attestation is refused.
func TestAnAttestationIsCarriedAsItCame(t *testing.T) {
	w := newWorld(t)
	r := w.start(nil)
	a, ctx := r.appliance("hospital"), t.Context()
	none := deviceproto.Push{Provider: deviceproto.ProviderNone}
	p := r.newPhone("hospital", none)
	evidence := bytes.Repeat([]byte{0xa3}, deviceproto.MaxEvidence)
	if _, err := a.CreateEnrolment(ctx, &tokensvcpb.CreateEnrolmentRequest{EnrolmentId: "e1", TtlSeconds: 60}); err != nil {
		t.Fatal(err)
	}
	about := deviceproto.About{Name: "phone", Platform: "ios", AppVersion: "1.0", Push: none}
	for name, wrong := range map[string]deviceproto.Attestation{
		"no format":     {Evidence: deviceproto.Encode(evidence)},
		"not base64url": {Format: "apple-app-attest", Evidence: "???"},
		"too long":      {Format: "apple-app-attest", Evidence: deviceproto.Encode(append(evidence, 0))},
	} {
		about.Attestation = &wrong
		if err := p.Register(ctx, "e1", p.keys.Proof, about); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	about.Attestation = &deviceproto.Attestation{Format: "apple-app-attest", Evidence: deviceproto.Encode(evidence)}
	if err := p.Register(ctx, "e1", p.keys.Proof, about); err != nil {
		t.Fatal(err)
	}
	reg, err := a.AwaitEnrolment(ctx, &tokensvcpb.AwaitEnrolmentRequest{EnrolmentId: "e1"})
	if err != nil || reg.GetAttestationFormat() != "apple-app-attest" || !bytes.Equal(reg.GetAttestationEvidence(), evidence) {
		t.Errorf("%q with %d octets, %v", reg.GetAttestationFormat(), len(reg.GetAttestationEvidence()), err)
	}
}

func TestEnrolmentIsForOneDeviceWhileItIsOpen(t *testing.T) {
	w := newWorld(t)
	r := w.start(nil)
	a := r.appliance("hospital")
	none := deviceproto.Push{Provider: deviceproto.ProviderNone}
	about := deviceproto.About{Name: "phone", Platform: "web", AppVersion: "1.0", Push: none}
	first, second := r.newPhone("hospital", none), r.newPhone("hospital", none)
	ctx := t.Context()
	for range 2 { // idempotent
		if _, err := a.CreateEnrolment(ctx, &tokensvcpb.CreateEnrolmentRequest{EnrolmentId: "e1", TtlSeconds: 60}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := first.Register(ctx, "e1", first.keys.Proof, about); err != nil {
			t.Fatal(err)
		}
	}
	if err := second.Register(ctx, "e1", second.keys.Proof, about); sallyport.ErrorCode(err) != sallyport.CodeConflict {
		t.Errorf("second device: %v", err)
	}
	if _, err := second.EnrolmentStatus(ctx, "e1", 0); sallyport.ErrorCode(err) != sallyport.CodeDenied {
		t.Errorf("second device's question: %v", err)
	}
	if st, err := first.EnrolmentStatus(ctx, "e1", 0); err != nil || st.Status != deviceproto.EnrolmentWaiting {
		t.Errorf("status = %+v, %v", st, err)
	}
	if _, err := first.Challenges(ctx, 0); sallyport.ErrorCode(err) != sallyport.CodeDenied {
		t.Errorf("a device that is not accepted yet: %v", err)
	}
	if _, err := a.FinishEnrolment(ctx, &tokensvcpb.FinishEnrolmentRequest{EnrolmentId: "e1"}); err != nil {
		t.Fatal(err)
	}
	if st, err := first.EnrolmentStatus(ctx, "e1", 0); err != nil || st.Status != deviceproto.EnrolmentRefused {
		t.Errorf("status = %+v, %v", st, err)
	}
	if _, err := a.FinishEnrolment(ctx, &tokensvcpb.FinishEnrolmentRequest{EnrolmentId: "e1", Accepted: true}); status.Code(err) != codes.AlreadyExists {
		t.Errorf("the opposite verdict: %v", err)
	}

	if err := first.Register(ctx, "e2", first.keys.Proof, about); sallyport.ErrorCode(err) != sallyport.CodeNotFound {
		t.Errorf("unknown enrolment: %v", err)
	}
	if _, err := a.AwaitEnrolment(ctx, &tokensvcpb.AwaitEnrolmentRequest{EnrolmentId: "e2"}); status.Code(err) != codes.NotFound {
		t.Errorf("await unknown: %v", err)
	}
	if _, err := a.CreateEnrolment(ctx, &tokensvcpb.CreateEnrolmentRequest{EnrolmentId: "e3", TtlSeconds: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.AwaitEnrolment(ctx, &tokensvcpb.AwaitEnrolmentRequest{EnrolmentId: "e3"}); status.Code(err) != codes.NotFound {
		t.Errorf("await until it expires: %v", err)
	}
	if err := first.Register(ctx, "e3", first.keys.Proof, about); sallyport.ErrorCode(err) != sallyport.CodeExpired {
		t.Errorf("expired enrolment: %v", err)
	}
}

func TestRegistrationsOnOneEnrolmentAreBounded(t *testing.T) {
	w := newWorld(t)
	r := w.start(nil)
	if _, err := r.appliance("hospital").CreateEnrolment(t.Context(), &tokensvcpb.CreateEnrolmentRequest{EnrolmentId: "e1", TtlSeconds: 60}); err != nil {
		t.Fatal(err)
	}
	none := deviceproto.Push{Provider: deviceproto.ProviderNone}
	about := deviceproto.About{Name: "phone", Platform: "web", Push: none}
	var last error
	for range 21 {
		p := r.newPhone("hospital", none)
		last = p.Register(t.Context(), "e1", p.keys.Proof, about)
	}
	if sallyport.ErrorCode(last) != sallyport.CodeLimited {
		t.Errorf("last try: %v", last)
	}
}

func TestADeviceIsLimitedAndOthersAreNot(t *testing.T) {
	w := newWorld(t)
	r := w.start(func(c *tokensvc.Config) {
		c.Limits = deviceapi.DefaultLimits()
		c.Limits.PerDevice = deviceapi.Rate{PerSecond: 0.001, Burst: 5}
		c.Limits.WaitingPerDevice = 1
	})
	loud, quiet := r.enrol("hospital", deviceproto.ProviderNone), r.enrol("hospital", deviceproto.ProviderNone)
	var last error
	for range 6 {
		_, last = loud.Challenges(t.Context(), 0)
	}
	if sallyport.ErrorCode(last) != sallyport.CodeLimited {
		t.Errorf("loud: %v", last)
	}
	if _, err := quiet.Challenges(t.Context(), 0); err != nil {
		t.Errorf("quiet: %v", err)
	}
	go func() { _, _ = quiet.Challenges(t.Context(), 20*time.Second) }()
	eventually(t, "device waits", func() bool { return w.waiting(r) == 1 })
	if _, err := quiet.Challenges(t.Context(), 20*time.Second); sallyport.ErrorCode(err) != sallyport.CodeLimited {
		t.Errorf("second wait: %v", err)
	}
}

func TestBadInputIsRefusedClearly(t *testing.T) {
	w := newWorld(t)
	r := w.start(nil)
	p := r.enrol("hospital", deviceproto.ProviderNone)
	for name, c := range map[string]struct {
		method, path string
		body         []byte
		status       int
	}{
		"no such address":   {"GET", "/v1/nothing", nil, 404},
		"other method":      {"PATCH", "/v1/device", nil, 405},
		"wait too long":     {"GET", "/v1/challenges?wait=26", nil, 400},
		"wait no number":    {"GET", "/v1/challenges?wait=x", nil, 400},
		"body too large":    {"PUT", "/v1/device/push", bytes.Repeat([]byte(" "), 8<<10+1), 400},
		"no JSON":           {"PUT", "/v1/device/push", []byte("x"), 400},
		"two values":        {"PUT", "/v1/device/push", []byte(`{"provider":"none"}{}`), 400},
		"bad address":       {"PUT", "/v1/device/push", []byte(`{"provider":"apns","token":"../x"}`), 400},
		"bad answer":        {"POST", "/v1/challenges/c1/answer", []byte(`{"sealed":"=="}`), 400},
		"bad id":            {"POST", "/v1/challenges/a:b/answer", []byte(`{}`), 400},
		"bad enrolment":     {"POST", "/v1/enrolments/hospital/e1", []byte(`{}`), 400},
		"enrolment address": {"POST", "/v1/enrolments/ho*/e1", []byte(`{}`), 400},
	} {
		resp, text := r.ask(c.method, c.path, p.authorize(t, c.method, c.path, c.body, time.Now()), c.body)
		var e deviceproto.ErrorBody
		if err := json.Unmarshal(text, &e); err != nil || resp.StatusCode != c.status || e.Code == "" || e.Message == "" {
			t.Errorf("%s: %d %s", name, resp.StatusCode, text)
		}
	}
}

func TestEndlessHeadersAndSlowClientsAreCutOff(t *testing.T) {
	w := newWorld(t)
	r := w.start(nil)
	conn, err := net.Dial("tcp", r.DeviceAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	// The server may close while we still write: only its answer counts.
	_, _ = fmt.Fprintf(conn, "GET /v1/challenges HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("a", 1<<20))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil && resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("1 MB of headers: %d", resp.StatusCode)
	}
	slow, err := net.Dial("tcp", r.DeviceAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	if _, err := io.WriteString(slow, "GET /v1/challenges HTTP/1.1\r\nHost"); err != nil {
		t.Fatal(err)
	}
	if err := slow.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(slow); err != nil {
		t.Errorf("half a header is kept open: %v", err)
	}
}

func TestThePhonePageLoadsNothingFromElsewhere(t *testing.T) {
	w := newWorld(t)
	r := w.start(func(c *tokensvc.Config) {
		c.WebPush = deviceapi.WebPush{URL: w.sim.ControlURL, Provider: deviceproto.ProviderFCM}
	})
	resp, text := r.ask("GET", "/authenticator/", "", nil)
	policy := resp.Header.Get("Content-Security-Policy")
	if resp.StatusCode != 200 || !strings.Contains(string(text), "phone") || !strings.Contains(policy, "default-src 'self'") || !strings.Contains(policy, w.sim.ControlURL) {
		t.Errorf("page: %d %s %v", resp.StatusCode, text, resp.Header)
	}
	if resp, _ := r.ask("GET", "/authenticator/js/a.js", "", nil); resp.StatusCode != 200 || resp.Header.Get("ETag") == "" {
		t.Errorf("module: %d", resp.StatusCode)
	}
	for _, path := range []string{"/authenticator/js/", "/authenticator/js", "/authenticator/../x"} {
		if resp, _ := r.ask("GET", path, "", nil); resp.StatusCode != 404 {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	_, text = r.ask("GET", "/authenticator/config.json", "", nil)
	var cfg deviceapi.WebPush
	if err := json.Unmarshal(text, &cfg); err != nil || cfg.URL != w.sim.ControlURL || cfg.Provider != "fcm" {
		t.Errorf("config: %s", text)
	}
}

func TestShuttingDownLetsWaitersGo(t *testing.T) {
	w := newWorld(t)
	r := w.start(nil)
	p := r.enrol("hospital", deviceproto.ProviderNone)
	a := r.appliance("hospital")
	events := watching(t, a, challenge(t, a, r.enrol("hospital", deviceproto.ProviderNone), 60*time.Second))
	polled := make(chan error, 1)
	go func() {
		_, err := p.Challenges(t.Context(), 25*time.Second)
		polled <- err
	}()
	eventually(t, "both wait", func() bool { return w.waiting(r) == 2 })
	began := time.Now()
	r.stop()
	if err := <-polled; err != nil {
		t.Errorf("poll: %v", err)
	}
	for range events.events {
	}
	if took := time.Since(began); took > 9*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestRedisHoldsNothingThatCanBeRead(t *testing.T) {
	w := newWorld(t)
	r := w.start(nil)
	p := r.enrol("hospital", deviceproto.ProviderAPNs)
	a := r.appliance("hospital")
	id := challenge(t, a, p, 30*time.Second)
	watching(t, a, id).delivery(tokensvcpb.Delivery_SENT)
	if err := p.approve(t, id); err != nil {
		t.Fatal(err)
	}
	keys, err := w.redis.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) < 5 {
		t.Fatalf("keys = %v, %v", keys, err)
	}
	for _, key := range keys {
		dump, err := w.redis.Dump(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"alice", "Hospital VPN", "Mary", "approve", string(p.keys.Details), string(p.keys.Seed), deviceproto.Encode(p.keys.Details)} {
			if strings.Contains(dump, secret) {
				t.Errorf("%s holds %q", key, secret)
			}
		}
		ttl := w.redis.PTTL(t.Context(), key).Val()
		if ttl < 0 && !strings.Contains(key, ":ts:device:") {
			t.Errorf("%s lives for ever", key)
		}
		if !strings.HasPrefix(key, "sp:{hospital}:ts:") {
			t.Errorf("%s is outside the enterprise", key)
		}
	}
}
