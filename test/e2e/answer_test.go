package e2e_test

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/sealed"
	"github.com/sallyport/sallyport/test/browserclient"
	"github.com/sallyport/sallyport/test/harness"
	"github.com/sallyport/sallyport/test/stack"
	tokenstore "github.com/sallyport/sallyport/tokensvc/store"
)

// otherNumber is one that is not shown.
func otherNumber(n string) string {
	if n == "10" {
		return "11"
	}
	return "10"
}

func TestAnswersOfThePhone(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	for name, c := range map[string]struct {
		decision sallyport.Decision
		number   func(string) string
		why      sallyport.Reason
	}{
		"wrong number":   {sallyport.DecisionApprove, otherNumber, sallyport.ReasonWrongNumber},
		"missing number": {sallyport.DecisionApprove, func(string) string { return "" }, sallyport.ReasonWrongNumber},
		"reject":         {sallyport.DecisionDeny, func(n string) string { return n }, sallyport.ReasonRejected},
		"not me":         {sallyport.DecisionNotMe, func(n string) string { return n }, sallyport.ReasonNotMe},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, d := enrolled(t, s)
			l := pushed(t, s.Page(), u)
			ctx := within(t, patience)
			q, err := d.Challenge(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := q.Answer(ctx, c.decision, c.number(l.Prompt.Number)); err != nil {
				t.Fatal(err)
			}
			deniedFor(t, l, c.why)
			// An answer is final: the right number comes too late now.
			refusedWith(t, q.Answer(ctx, sallyport.DecisionApprove, l.Prompt.Number), sallyport.CodeConflict, sallyport.CodeExpired, sallyport.CodeNotFound)
			if p := l.Prompt; p.Token != "" {
				t.Error("a token after all")
			}
		})
	}
}

func TestLateNumberAfterNobodyAnswered(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	u, d := enrolled(t, s)
	begun := time.Now()
	l := pushed(t, s.Page(), u)
	number := l.Prompt.Number
	ctx := within(t, 2*patience)
	q, err := d.Challenge(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.AwaitEnd(ctx)
	if err != nil || p.Reason != sallyport.ReasonTimeout {
		t.Fatalf("%v, %+v", err, p)
	}
	if took := time.Since(begun); took < 29*time.Second || took > 45*time.Second {
		t.Errorf("the login ended after %v, want 30 s", took)
	}
	refusedWith(t, q.Answer(ctx, sallyport.DecisionApprove, number), sallyport.CodeExpired, sallyport.CodeNotFound)
	again := l.At(s.Page())
	again.Session = l.Session
	deniedFor(t, again, sallyport.ReasonTimeout)
}

func TestSecondTabTakesThePhoneOver(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	u, d := enrolled(t, s)
	first := pushed(t, s.PageAt(0), u)
	second := pushed(t, s.PageAt(1), u)
	deniedFor(t, first, sallyport.ReasonSuperseded)
	if err := d.Approve(within(t, patience), second.Prompt.Number); err != nil {
		t.Fatal(err)
	}
	tokenOf(t, second)
}

// hoarder is a proxy that passes an answer on when it has all of it; it counts polls.
func hoarder(t *testing.T, s *stack.Stack) (base string, polls *atomic.Int32) {
	t.Helper()
	polls = &atomic.Int32{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("after") {
			polls.Add(1)
		}
		out := r.Clone(r.Context())
		out.URL.Scheme, out.URL.Host, out.RequestURI = "http", s.Cloud.Addr(), ""
		resp, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			return
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return
		}
		maps.Copy(w.Header(), resp.Header)
		w.WriteHeader(resp.StatusCode)
		_, _ = w.Write(body)
	}))
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return srv.URL, polls
}

func TestSomethingOnTheWayHoldsTheStreamBack(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	u, d := enrolled(t, s)
	c := s.Page()
	var polls *atomic.Int32
	c.Base, polls = hoarder(t, s)
	l := pushed(t, c, u)
	end := watching(t, l)
	stack.Until(t, patience, "a poll in place of the silent stream", func() bool { return polls.Load() > 0 })
	if err := d.Approve(within(t, patience), l.Prompt.Number); err != nil {
		t.Fatal(err)
	}
	p, err := end(within(t, patience))
	if err != nil || p.Token == "" {
		t.Errorf("%v, %+v", err, p)
	}
}

func TestTokenCodeInsteadOfThePush(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	u, d := enrolled(t, s)
	l := pushed(t, s.Page(), u)
	ctx := within(t, patience)
	say := func(m browserclient.Message) {
		t.Helper()
		if err := l.Say(ctx, m); err != nil {
			t.Fatalf("%s: %v", m.Action, err)
		}
	}
	say(browserclient.Message{Action: "use_code"})
	if l.Prompt.Kind != sallyport.PromptCode {
		t.Fatalf("%+v", l.Prompt)
	}
	say(browserclient.Message{Action: "code", Code: "000000"})
	if l.Prompt.Reason != sallyport.ReasonWrongCode {
		t.Fatalf("%+v", l.Prompt)
	}
	code, err := d.CodeAt(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	say(browserclient.Message{Action: "code", Code: string(code)})
	token := tokenOf(t, l)
	if !radclient(t, s, s.RADIUSAddrs()[1], u.Name, token) {
		t.Error("the token is refused")
	}
	if radclient(t, s, s.RADIUSAddrs()[0], u.Name, code) {
		t.Error("the code is good for a second time")
	}
}

// forger answers as the token service: it writes what it likes into the service's own store.
func forger(t *testing.T, s *stack.Stack) *tokenstore.Store {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	return tokenstore.New(s.Redis.Client(), tokenstore.NewEvents(s.Redis.Client(), log))
}

func TestTokenServiceCannotApprove(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	for name, forge := range map[string]func(t *testing.T, d *stack.Device, q *stack.Challenge, number string) []byte{
		"with keys of its own": func(t *testing.T, d *stack.Device, q *stack.Challenge, number string) []byte {
			return forged(t, d, make([]byte, 32), q, number)
		},
		"with the device's seal and a signature of its own": func(t *testing.T, d *stack.Device, q *stack.Challenge, number string) []byte {
			return forged(t, d, d.Keys.Details, q, number)
		},
		"with octets of no meaning": func(*testing.T, *stack.Device, *stack.Challenge, string) []byte {
			return make([]byte, 1024)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, d := enrolled(t, s)
			l := pushed(t, s.Page(), u)
			ctx := within(t, patience)
			q, err := d.Challenge(ctx)
			if err != nil {
				t.Fatal(err)
			}
			// The number is more than a token service knows; it shall not help.
			if err := forger(t, s).AnswerChallenge(ctx, s.Tenant, d.Device(), q.ID, forge(t, d, q, l.Prompt.Number)); err != nil {
				t.Fatal(err)
			}
			deniedFor(t, l, sallyport.ReasonBadApproval)
		})
	}
	t.Run("with the device's answer to an earlier question", func(t *testing.T) {
		t.Parallel()
		u, d := enrolled(t, s)
		ctx := within(t, patience)
		first := pushed(t, s.Page(), u)
		q, err := d.Challenge(ctx)
		if err != nil {
			t.Fatal(err)
		}
		box, err := q.Seal(sallyport.DecisionApprove, first.Prompt.Number)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Answer(ctx, q.ID, box); err != nil {
			t.Fatal(err)
		}
		tokenOf(t, first)
		second := pushed(t, s.Page(), u)
		next, err := d.ChallengeOtherThan(ctx, q.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := forger(t, s).AnswerChallenge(ctx, s.Tenant, d.Device(), next.ID, box); err != nil {
			t.Fatal(err)
		}
		deniedFor(t, second, sallyport.ReasonBadApproval)
	})
}

// forged is an approval that is right in everything but the key that signs it, sealed under a key.
func forged(t *testing.T, d *stack.Device, details sallyport.Key, q *stack.Challenge, number string) []byte {
	t.Helper()
	key, err := deviceproto.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	answer := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": d.Device(), "sub": q.ID, "iat": time.Now().Unix(), "decision": sallyport.DecisionApprove, "number": number,
		"user": q.Details.User, "application": q.Details.Application,
	})
	answer.Header["typ"], answer.Header["kid"] = "sallyport-answer+jwt", d.Device()
	text, err := answer.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	padded := fmt.Sprintf("%-1024s", text)
	return sealed.Seal(details, []byte(padded), sealed.Fields("answer", string(q.ID), string(d.Device())))
}

// TestTokenServiceCannotEnrolADeviceOfItsOwn registers a device as the token service could, which carries
// the registration and knows all of it but the link's secret.
func TestTokenServiceCannotEnrolADeviceOfItsOwn(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	u := s.NewUser(t)
	e := s.Invite(t, u.Name)
	link, err := deviceproto.ParseLink(string(e.Link))
	if err != nil {
		t.Fatal(err)
	}
	key, err := deviceproto.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, patience)
	guessed := deviceproto.DeriveKeys(make([]byte, len(link.Secret)), deviceproto.Thumbprint(&key.PublicKey))
	own := &deviceproto.Client{Base: link.Base, Tenant: link.Tenant, Key: key, HTTP: http.DefaultClient, Now: time.Now}
	if err := own.Register(ctx, link.Enrolment, guessed.Proof, deviceproto.About{
		Name: "Phone of the operator", Platform: "android", AppVersion: "1.0", Push: deviceproto.Push{Provider: deviceproto.ProviderNone},
	}); err != nil {
		t.Fatal(err)
	}
	if err := e.Ended(t); err == nil || !strings.Contains(err.Error(), "does not hold the link's secret") {
		t.Errorf("the enrolment ended with %v", err)
	}
	l, err := s.Page().LogIn(ctx, u.Name, u.Password)
	if err != nil {
		t.Fatal(err)
	}
	deniedFor(t, l, sallyport.ReasonNotEnrolled)
}

// TestPhoneOnTheCommandLine is the newcomer's way: a device on the command line, for a user that the
// domain was made with, named in each of the ways in which people type their name.
func TestPhoneOnTheCommandLine(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	dir := filepath.Join(t.TempDir(), "phone")
	authenticator := func(stdin string, args ...string) string {
		t.Helper()
		r, err := s.RunWith(stdin, append([]string{"authenticator"}, append(args, "--store", dir)...)...)
		if err != nil {
			t.Fatal(err)
		}
		return r.Stdout
	}
	e := s.Invite(t, harness.Alice)
	if said := authenticator(string(e.Link), "enrol", "-"); !strings.Contains(said, stack.EnterpriseName) {
		t.Errorf("enrol says %q", said)
	}
	e.Done(t)
	for _, name := range []string{harness.Alice, strings.ToUpper(harness.Alice), harness.SambaDomain + `\` + harness.Alice, harness.Alice + "@" + harness.UPNSuffix} {
		u := stack.User{Name: name, Password: harness.UserPassword}
		l := pushed(t, s.Page(), u)
		if said := authenticator("", "pending"); !strings.Contains(said, stack.Nickname) {
			t.Errorf("pending says %q", said)
		}
		authenticator("", "approve", "--number", l.Prompt.Number)
		if token := tokenOf(t, l); !radclient(t, s, s.RADIUSAddrs()[0], name, token) {
			t.Errorf("%s: the token is refused", name)
		}
	}
	code := strings.TrimSpace(authenticator("", "code"))
	if accept := radclient(t, s, s.RADIUSAddrs()[1], harness.Alice, sallyport.Secret(strings.Fields(code)[0])); !accept {
		t.Errorf("the code %q is refused", code)
	}
}
