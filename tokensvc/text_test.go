package tokensvc_test

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tokensvcpb"
	"github.com/sallyport/sallyport/test/smssim"
	"github.com/sallyport/sallyport/tokensvc"
	"github.com/sallyport/sallyport/tokensvc/sms"
)

const (
	textNumber = "+447700900123"
	textWords  = "Your sign-in code: 246810 (Hospital VPN)"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func withTexts(allowed []netip.Prefix, own *sms.Gateway) func(*tokensvc.Config) {
	return func(c *tokensvc.Config) { c.Texts = tokensvc.TextConfig{Allowed: allowed, Own: own} }
}

func newSMSSim(t *testing.T) *smssim.Sim {
	t.Helper()
	sim, err := smssim.Start(smssim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return sim
}

// gateways are the sides of a simulator as appliances describe them.
func gateways(s *smssim.Sim) map[smssim.Side]*tokensvcpb.TextGateway {
	return map[smssim.Side]*tokensvcpb.TextGateway{
		smssim.Twilio:  {Kind: "twilio", Url: s.TwilioURL, User: smssim.Account, Secret: smssim.Token, From: "+447700900000", Authority: s.Authority},
		smssim.SMPP:    {Kind: "smpp", Url: s.SMPPSURL, User: smssim.SystemID, Secret: smssim.Password, From: "Hospital", Authority: s.Authority},
		smssim.Webhook: {Kind: "webhook", Url: s.WebhookURL, Secret: smssim.Secret, Authority: s.Authority},
	}
}

func textRequest(g *tokensvcpb.TextGateway) *tokensvcpb.SendTextRequest {
	return &tokensvcpb.SendTextRequest{TextId: sallyport.NewID(), Number: textNumber, Text: textWords, TtlMs: 300_000, Gateway: g}
}

func sendText(t *testing.T, a tokensvcpb.TokenServiceClient, r *tokensvcpb.SendTextRequest) *tokensvcpb.SendTextResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := a.SendText(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func expectText(t *testing.T, got *tokensvcpb.SendTextResponse, want tokensvcpb.SendTextResponse_Outcome) {
	t.Helper()
	if got.Outcome != want {
		t.Errorf("outcome %s (%s), want %s", got.Outcome, got.Detail, want)
	}
}

// everythingIn is what somebody with Redis sees.
func (w *world) everythingIn() string {
	w.t.Helper()
	var out strings.Builder
	keys, err := w.redis.Keys(w.t.Context(), "*").Result()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, k := range keys {
		dump, err := w.redis.Dump(w.t.Context(), k).Result()
		if err != nil {
			w.t.Fatal(err)
		}
		out.WriteString(k + " " + dump + "\n")
	}
	return out.String()
}

func TestATextMessageIsSentByEveryKindOfGatewayAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	w, sim := newWorld(t), newSMSSim(t)
	a := w.start(withTexts(loopback, nil)).appliance("hospital")
	for side, g := range gateways(sim) {
		before := len(sim.Messages())
		r := textRequest(g)
		expectText(t, sendText(t, a, r), tokensvcpb.SendTextResponse_SENT)
		expectText(t, sendText(t, a, r), tokensvcpb.SendTextResponse_SENT) // repeated
		all := sim.Messages()
		if len(all) != before+1 {
			t.Fatalf("%s: %d messages arrived", side, len(all)-before)
		}
		if m := all[before]; m.Side != side || m.To != textNumber || m.Text != textWords {
			t.Errorf("%s: %+v", side, m)
		}
		sim.AddFault(smssim.Fault{Side: side, What: smssim.BadNumber})
		got := sendText(t, a, textRequest(g))
		expectText(t, got, tokensvcpb.SendTextResponse_BAD_NUMBER)
		if got.Detail == "" {
			t.Errorf("%s: an administrator is told nothing", side)
		}
	}
	kept := w.everythingIn()
	if !strings.Contains(kept, ":ts:text:") {
		t.Fatal("Redis has nothing of the messages")
	}
	for name, secret := range map[string]string{"number": textNumber[1:], "code": "246810", "Twilio token": smssim.Token, "SMPP password": smssim.Password, "webhook secret": smssim.Secret, "account": smssim.Account} {
		if strings.Contains(kept, secret) {
			t.Errorf("the %s is in Redis", name)
		}
		if strings.Contains(w.logs.String(), secret) {
			t.Errorf("the %s is in the log", name)
		}
	}
}

func TestATextMessageAskedForEverywhereAtOnceIsSentOnce(t *testing.T) {
	t.Parallel()
	w, sim := newWorld(t), newSMSSim(t)
	one, other := w.start(withTexts(loopback, nil)).appliance("hospital"), w.start(withTexts(loopback, nil)).appliance("hospital")
	sim.AddFault(smssim.Fault{Side: smssim.Webhook, What: smssim.Slow, Delay: 200 * time.Millisecond})
	r := textRequest(gateways(sim)[smssim.Webhook])
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			a := one
			if n%2 == 1 {
				a = other
			}
			got, err := a.SendText(t.Context(), r)
			if err != nil || got.Outcome != tokensvcpb.SendTextResponse_SENT {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	wg.Wait()
	if n := sim.Asked(smssim.Webhook); n != 1 {
		t.Errorf("the gateway was asked %d times", n)
	}
	// Another enterprise's message of the same id is another message.
	expectText(t, sendText(t, w.start(withTexts(loopback, nil)).appliance("clinic"), r), tokensvcpb.SendTextResponse_SENT)
	if n := len(sim.Messages()); n != 2 {
		t.Errorf("%d messages arrived", n)
	}
}

func TestATextMessageIsTriedAgainOnlyWhenNothingWasTaken(t *testing.T) {
	t.Parallel()
	w, sim := newWorld(t), newSMSSim(t)
	a := w.start(withTexts(loopback, nil)).appliance("hospital")
	for side, g := range gateways(sim) {
		sim.AddFault(smssim.Fault{Side: side, What: smssim.Down, Count: 1})
		sim.AddFault(smssim.Fault{Side: side, What: smssim.Throttled, Count: 1})
		expectText(t, sendText(t, a, textRequest(g)), tokensvcpb.SendTextResponse_SENT)
		if n := sim.Asked(side); n != 3 {
			t.Errorf("%s was asked %d times", side, n)
		}
		sim.AddFault(smssim.Fault{Side: side, What: smssim.Gone, Count: 1})
		r := textRequest(g)
		expectText(t, sendText(t, a, r), tokensvcpb.SendTextResponse_UNCERTAIN)
		expectText(t, sendText(t, a, r), tokensvcpb.SendTextResponse_UNCERTAIN)
		if n := sim.Asked(side); n != 4 {
			t.Errorf("%s was asked %d times", side, n)
		}
		// What was refused can be asked for again when the reason is gone, by the same id.
		sim.AddFault(smssim.Fault{Side: side, What: smssim.Credential, Count: 1})
		r = textRequest(g)
		expectText(t, sendText(t, a, r), tokensvcpb.SendTextResponse_CREDENTIAL)
		eventually(t, "the message is sent after all", func() bool { return sendText(t, a, r).Outcome == tokensvcpb.SendTextResponse_SENT })
	}
}

func TestATextMessageOfAReplicaThatDiedIsUncertain(t *testing.T) {
	t.Parallel()
	w, sim := newWorld(t), newSMSSim(t)
	a := w.start(withTexts(loopback, nil)).appliance("hospital")
	r := textRequest(gateways(sim)[smssim.Twilio])
	r.TtlMs = 200
	if err := w.redis.Set(t.Context(), "sp:{hospital}:ts:text:"+r.TextId, "sending", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	expectText(t, sendText(t, a, r), tokensvcpb.SendTextResponse_UNCERTAIN)
	if n := sim.Asked(smssim.Twilio); n != 0 {
		t.Errorf("the gateway was asked %d times", n)
	}
}

func TestAnEnterpriseCannotHaveTheTokenServiceTalkToItsOwnNetwork(t *testing.T) {
	t.Parallel()
	w, sim := newWorld(t), newSMSSim(t)
	a := w.start(nil).appliance("hospital")
	for side, g := range gateways(sim) {
		expectText(t, sendText(t, a, textRequest(g)), tokensvcpb.SendTextResponse_FORBIDDEN)
		if n := sim.Asked(side); n != 0 {
			t.Errorf("%s was asked %d times", side, n)
		}
	}
	for name, spoil := range map[string]func(*tokensvcpb.TextGateway){
		"plain HTTP":  func(g *tokensvcpb.TextGateway) { g.Url = "http://127.0.0.1:1" },
		"a file":      func(g *tokensvcpb.TextGateway) { g.Url = "file:///etc/passwd" },
		"credentials": func(g *tokensvcpb.TextGateway) { g.Url = "https://a:b@127.0.0.1:1" },
		"no address":  func(g *tokensvcpb.TextGateway) { g.Url = "" },
		"a kind":      func(g *tokensvcpb.TextGateway) { g.Kind = "pigeon" },
		"authority":   func(g *tokensvcpb.TextGateway) { g.Authority = "x" },
		"long secret": func(g *tokensvcpb.TextGateway) { g.Secret = strings.Repeat("x", 257) },
	} {
		g := gateways(sim)[smssim.Twilio]
		spoil(g)
		t.Log(name)
		expectText(t, sendText(t, a, textRequest(g)), tokensvcpb.SendTextResponse_REJECTED)
	}
}

func TestTheOperatorsGatewayIsForEnterprisesWithoutOne(t *testing.T) {
	t.Parallel()
	w, sim := newWorld(t), newSMSSim(t)
	expectText(t, sendText(t, w.start(nil).appliance("hospital"), textRequest(nil)), tokensvcpb.SendTextResponse_NO_GATEWAY)
	own := &sms.Gateway{Kind: sms.Webhook, URL: sim.WebhookURL, Secret: smssim.Secret, Authority: sim.Authority}
	expectText(t, sendText(t, w.start(withTexts(nil, own)).appliance("hospital"), textRequest(nil)), tokensvcpb.SendTextResponse_SENT)
	if n := len(sim.Messages()); n != 1 {
		t.Errorf("%d messages arrived", n)
	}
}

// Whoever runs the token service pays for what goes through its gateway.
func TestTheOperatorsGatewayIsNotForEndlessMessages(t *testing.T) {
	t.Parallel()
	w, sim := newWorld(t), newSMSSim(t)
	own := &sms.Gateway{Kind: sms.Webhook, URL: sim.WebhookURL, Secret: smssim.Secret, Authority: sim.Authority}
	bounded := func(c *tokensvc.Config) {
		c.Texts = tokensvc.TextConfig{Own: own, OwnPerHour: 2, Allowed: loopback}
	}
	one, other := w.start(bounded).appliance("hospital"), w.start(bounded).appliance("hospital")
	first := textRequest(nil)
	expectText(t, sendText(t, one, first), tokensvcpb.SendTextResponse_SENT)
	expectText(t, sendText(t, other, textRequest(nil)), tokensvcpb.SendTextResponse_SENT)
	expectText(t, sendText(t, one, textRequest(nil)), tokensvcpb.SendTextResponse_THROTTLED)
	expectText(t, sendText(t, other, textRequest(nil)), tokensvcpb.SendTextResponse_THROTTLED)
	expectText(t, sendText(t, other, first), tokensvcpb.SendTextResponse_SENT) // repeated, and not counted
	expectText(t, sendText(t, one, textRequest(gateways(sim)[smssim.Webhook])), tokensvcpb.SendTextResponse_SENT)
	expectText(t, sendText(t, w.start(bounded).appliance("clinic"), textRequest(nil)), tokensvcpb.SendTextResponse_SENT)
	if n := len(sim.Messages()); n != 4 {
		t.Errorf("%d messages arrived", n)
	}
	if left, err := w.redis.TTL(t.Context(), "sp:{hospital}:ts:texts").Result(); err != nil || left <= 0 || left > time.Hour {
		t.Errorf("counted for %s, %v", left, err)
	}
}

func TestAWrongTextMessageIsRefused(t *testing.T) {
	t.Parallel()
	w, sim := newWorld(t), newSMSSim(t)
	a := w.start(withTexts(loopback, nil)).appliance("hospital")
	for name, spoil := range map[string]func(*tokensvcpb.SendTextRequest){
		"no id":       func(r *tokensvcpb.SendTextRequest) { r.TextId = "" },
		"id":          func(r *tokensvcpb.SendTextRequest) { r.TextId = "a:b" },
		"no number":   func(r *tokensvcpb.SendTextRequest) { r.Number = "" },
		"number":      func(r *tokensvcpb.SendTextRequest) { r.Number = "07700 900123" },
		"two numbers": func(r *tokensvcpb.SendTextRequest) { r.Number += "," + textNumber },
		"no text":     func(r *tokensvcpb.SendTextRequest) { r.Text = "" },
		"long text":   func(r *tokensvcpb.SendTextRequest) { r.Text = strings.Repeat("x", 161) },
		"long Arabic": func(r *tokensvcpb.SendTextRequest) { r.Text = strings.Repeat("ر", 71) },
		"no life":     func(r *tokensvcpb.SendTextRequest) { r.TtlMs = 0 },
		"long life":   func(r *tokensvcpb.SendTextRequest) { r.TtlMs = 600_001 },
	} {
		r := textRequest(gateways(sim)[smssim.Webhook])
		spoil(r)
		if _, err := a.SendText(t.Context(), r); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(sim.Messages()); n != 0 {
		t.Errorf("%d messages arrived", n)
	}
}
