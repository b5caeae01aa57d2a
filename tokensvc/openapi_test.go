package tokensvc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tokensvcpb"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/tokensvc"
	"github.com/sallyport/sallyport/tokensvc/deviceapi"
)

// contract holds real answers to api/openapi/device.yaml.
type contract struct {
	t      *testing.T
	router routers.Router
	seen   map[string]bool
}

func newContract(t *testing.T) *contract {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("../api/openapi/device.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	doc.Servers = nil // the address is the deployment's
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &contract{t: t, router: router, seen: map[string]bool{}}
}

// holds makes a request and checks the answer, and, when it was accepted, the request.
func (c *contract) holds(r *replica, p *phone, method, path string, body any, want int) []byte {
	c.t.Helper()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			c.t.Fatal(err)
		}
	}
	auth := ""
	if p != nil {
		auth = p.authorize(c.t, method, path, text, time.Now())
	}
	resp, answer := r.ask(method, path, auth, text)
	if resp.StatusCode != want {
		c.t.Fatalf("%s %s: %d %s, want %d", method, path, resp.StatusCode, answer, want)
	}
	req := httptest.NewRequest(method, "http://x"+path, bytes.NewReader(text))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", auth)
	route, params, err := c.router.FindRoute(req)
	if err != nil {
		c.t.Fatalf("%s %s is not in the contract: %v", method, path, err)
	}
	c.seen[route.Operation.OperationID] = true
	in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}}
	if want < 300 {
		if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
			c.t.Errorf("%s %s: request: %v", method, path, err)
		}
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header, Options: in.Options}
	out.SetBodyBytes(answer)
	if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
		c.t.Errorf("%s %s %d: answer: %v", method, path, resp.StatusCode, err)
	}
	return answer
}

func TestRealAnswersAreThoseOfTheContract(t *testing.T) {
	c := newContract(t)
	w := newWorld(t)
	r := w.start(nil)
	a := r.appliance("hospital")
	if _, err := a.CreateEnrolment(t.Context(), &tokensvcpb.CreateEnrolmentRequest{EnrolmentId: "e1", TtlSeconds: 60}); err != nil {
		t.Fatal(err)
	}
	none := deviceproto.Push{Provider: deviceproto.ProviderNone}
	p, other := r.newPhone("hospital", none), r.newPhone("hospital", none)
	enrolment := "/v1/enrolments/hospital/e1"
	c.holds(r, nil, "POST", enrolment, registration(t, p), 202)
	c.holds(r, nil, "POST", enrolment, registration(t, other), 409)
	c.holds(r, nil, "POST", enrolment, map[string]string{}, 400)
	c.holds(r, nil, "POST", "/v1/enrolments/hospital/e2", registration(t, p), 404)
	c.holds(r, p, "GET", enrolment+"?wait=0", nil, 200)
	c.holds(r, other, "GET", enrolment, nil, 401)
	c.holds(r, p, "GET", "/v1/enrolments/hospital/e2", nil, 404)
	box, err := deviceproto.SealAccount(p.keys.Details, p.Device(), deviceproto.Account{User: "alice", Enterprise: "H"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.FinishEnrolment(t.Context(), &tokensvcpb.FinishEnrolmentRequest{EnrolmentId: "e1", Accepted: true, Sealed: box}); err != nil {
		t.Fatal(err)
	}
	if got := c.holds(r, p, "GET", enrolment, nil, 200); !strings.Contains(string(got), "accepted") {
		t.Errorf("status = %s", got)
	}
	c.holds(r, p, "PUT", "/v1/device/push", none, 204)
	c.holds(r, p, "PUT", "/v1/device/push", deviceproto.Push{Provider: "x"}, 400)
	c.holds(r, p, "PUT", "/v1/device/app", deviceproto.AppBody{Sealed: "AAAA"}, 204)
	c.holds(r, p, "PUT", "/v1/device/app", deviceproto.AppBody{}, 400)
	if out, err := a.DeviceApp(t.Context(), &tokensvcpb.DeviceAppRequest{DeviceId: string(p.Device())}); err != nil || string(out.GetSealed()) != "\x00\x00\x00" {
		t.Errorf("the appliance hears %q, %v of the app", out.GetSealed(), err)
	}
	c.holds(r, p, "GET", "/v1/challenges", nil, 200)
	id := challenge(t, a, p, 30*time.Second)
	c.holds(r, p, "GET", "/v1/challenges?wait=25", nil, 200)
	answer := "/v1/challenges/" + string(id) + "/answer"
	c.holds(r, p, "POST", answer, deviceproto.AnswerBody{Sealed: deviceproto.Encode(p.sealed(t, id))}, 204)
	c.holds(r, p, "POST", answer, deviceproto.AnswerBody{Sealed: deviceproto.Encode(p.sealed(t, id))}, 409)
	c.holds(r, p, "POST", "/v1/challenges/none/answer", deviceproto.AnswerBody{Sealed: "AAAA"}, 404)
	c.holds(r, p, "POST", answer, deviceproto.AnswerBody{Sealed: "="}, 400)
	cancelled := challenge(t, a, p, 30*time.Second)
	if _, err := a.CancelChallenge(t.Context(), &tokensvcpb.CancelChallengeRequest{ChallengeId: string(cancelled)}); err != nil {
		t.Fatal(err)
	}
	c.holds(r, p, "POST", "/v1/challenges/"+string(cancelled)+"/answer", deviceproto.AnswerBody{Sealed: "AAAA"}, 410)
	c.holds(r, p, "DELETE", "/v1/device", nil, 204)
	c.holds(r, p, "DELETE", "/v1/device", nil, 401)
	for _, operation := range []string{"register", "enrolmentStatus", "challenges", "answer", "setPush", "forget"} {
		if !c.seen[operation] {
			t.Errorf("%s was never asked", operation)
		}
	}
}

func TestLimitedAndUnavailableAreThoseOfTheContract(t *testing.T) {
	c := newContract(t)
	w := newWorld(t)
	hook := &cutRedis{}
	r := w.start(func(cfg *tokensvc.Config) {
		cfg.Redis = w.newRedis(hook)
		cfg.Limits = deviceapi.DefaultLimits()
		cfg.Limits.PerDevice = deviceapi.Rate{PerSecond: 0.001, Burst: 2} // one goes into the enrolment
	})
	p := r.enrol("hospital", deviceproto.ProviderNone)
	c.holds(r, p, "GET", "/v1/challenges", nil, http.StatusOK)
	c.holds(r, p, "GET", "/v1/challenges", nil, http.StatusTooManyRequests)
	hook.cut.Store(true)
	defer hook.cut.Store(false)
	got := c.holds(r, p, "GET", "/v1/challenges", nil, http.StatusServiceUnavailable)
	var e deviceproto.ErrorBody
	if err := json.Unmarshal(got, &e); err != nil || e.Code != sallyport.CodeUnavailable || !strings.Contains(w.logs.String(), e.SupportCode) {
		t.Errorf("the support code of %s finds nothing in the log", got)
	}
}

func registration(t *testing.T, p *phone) deviceproto.Registration {
	t.Helper()
	pub, err := deviceproto.ParsePublicKey(p.der)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := deviceproto.NewJWK(pub)
	if err != nil {
		t.Fatal(err)
	}
	e := deviceproto.Enrolling{Tenant: p.Tenant, Enrolment: "e1", Device: p.Device(), Name: "Alice's phone", Platform: "web"}
	return deviceproto.Registration{JWK: jwk, Name: e.Name, Platform: e.Platform, AppVersion: "1.0", Push: deviceproto.Push{Provider: deviceproto.ProviderNone}, Proof: deviceproto.Encode(e.Proof(p.keys.Proof))}
}
