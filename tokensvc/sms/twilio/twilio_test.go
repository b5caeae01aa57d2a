package twilio_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/test/smssim"
	"github.com/sallyport/sallyport/tokensvc/sms"
	"github.com/sallyport/sallyport/tokensvc/sms/smstest"
	"github.com/sallyport/sallyport/tokensvc/sms/twilio"
)

func gateway(s *smssim.Sim) sms.Gateway {
	return sms.Gateway{Kind: sms.Twilio, URL: s.TwilioURL, User: smssim.Account, Secret: smssim.Token, From: "+447700900000", Authority: s.Authority}
}

func open(g sms.Gateway, dial sms.Dial) (sms.Sender, error) { return twilio.New(g, dial, time.Now) }

func TestSender(t *testing.T) {
	smstest.Run(t, smstest.Subject{Side: smssim.Twilio, Gateway: gateway, Open: open, RetryAfter: true})
}

func TestSenderSignsInWithAnAPIKeyAndSendsForAMessagingService(t *testing.T) {
	t.Parallel()
	sim, err := smssim.Start(smssim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	g := gateway(sim)
	g.User, g.From = smssim.Account+":"+smssim.Key, "MG0123456789abcdef0123456789abcdef"
	s, err := open(g, smstest.Loopback.Dial)
	if err != nil {
		t.Fatal(err)
	}
	if r := s.Send(t.Context(), sms.Message{ID: "1", To: "+447700900123", Text: "x", Life: time.Hour}); r.Outcome != sms.Sent {
		t.Fatalf("%+v", r)
	}
	if raw := sim.Messages()[0].Raw; !strings.Contains(raw, "MessagingServiceSid=MG01") || strings.Contains(raw, "From=") {
		t.Errorf("sent: %s", raw)
	}
}

func TestARedirectionIsNotFollowed(t *testing.T) {
	t.Parallel()
	sim, err := smssim.Start(smssim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	sim.AddFault(smssim.Fault{Side: smssim.Twilio, What: smssim.Lying})
	s, err := open(gateway(sim), smstest.Loopback.Dial)
	if err != nil {
		t.Fatal(err)
	}
	if r := s.Send(t.Context(), sms.Message{ID: "1", To: "+447700900123", Text: "x", Life: time.Hour}); r.Outcome != sms.Rejected || sim.Asked(smssim.Twilio) != 1 {
		t.Errorf("%+v, asked %d times", r, sim.Asked(smssim.Twilio))
	}
}
