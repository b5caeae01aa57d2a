package smpp_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/smssim"
	"github.com/sallyport/sallyport/tokensvc/sms"
	"github.com/sallyport/sallyport/tokensvc/sms/smpp"
	"github.com/sallyport/sallyport/tokensvc/sms/smstest"
)

func secured(s *smssim.Sim) sms.Gateway {
	return sms.Gateway{Kind: sms.SMPP, URL: s.SMPPSURL, User: smssim.SystemID, Secret: smssim.Password, From: "Hospital", Authority: s.Authority}
}

func open(g sms.Gateway, dial sms.Dial) (sms.Sender, error) { return smpp.New(g, dial) }

func TestSender(t *testing.T) {
	smstest.Run(t, smstest.Subject{Side: smssim.SMPP, Gateway: secured, Open: open})
}

func start(t *testing.T) *smssim.Sim {
	t.Helper()
	sim, err := smssim.Start(smssim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return sim
}

func TestSenderInTheClearFromEverySender(t *testing.T) {
	t.Parallel()
	sim := start(t)
	for _, from := range []string{"", "Hospital", "+447700900000", "60777"} {
		g := secured(sim)
		g.URL, g.Authority, g.From = sim.SMPPURL, "", from
		s, err := open(g, smstest.Loopback.Dial)
		if err != nil {
			t.Fatal(err)
		}
		if r := s.Send(t.Context(), sms.Message{ID: "1", To: "+447700900123", Text: "x", Life: 90 * time.Second}); r.Outcome != sms.Sent {
			t.Errorf("from %q: %+v", from, r)
			continue
		}
		all := sim.Messages()
		if m := all[len(all)-1]; m.From != from || m.Life != 90*time.Second {
			t.Errorf("from %q: %+v", from, m)
		}
	}
}

func TestAnEnquiryInBetweenIsAnswered(t *testing.T) {
	t.Parallel()
	sim := start(t)
	sim.AddFault(smssim.Fault{Side: smssim.SMPP, What: smssim.Chatty})
	s, err := open(secured(sim), smstest.Loopback.Dial)
	if err != nil {
		t.Fatal(err)
	}
	if r := s.Send(t.Context(), sms.Message{ID: "1", To: "+447700900123", Text: "x", Life: time.Minute}); r.Outcome != sms.Sent {
		t.Errorf("%+v", r)
	}
}

func TestWhatIsNoAnswerIsUncertain(t *testing.T) {
	t.Parallel()
	sim := start(t)
	sim.AddFault(smssim.Fault{Side: smssim.SMPP, What: smssim.Lying})
	s, err := open(secured(sim), smstest.Loopback.Dial)
	if err != nil {
		t.Fatal(err)
	}
	if r := s.Send(t.Context(), sms.Message{ID: "1", To: "+447700900123", Text: "x", Life: time.Minute}); r.Outcome != sms.Uncertain {
		t.Errorf("%+v", r)
	}
}

func TestWhatSMPPCannotCarryIsRefusedBeforeItIsSent(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]sms.Gateway{
		"system id":   {User: strings.Repeat("x", 16)},
		"password":    {Secret: sallyport.Secret(strings.Repeat("x", 9))},
		"system type": {SystemType: strings.Repeat("x", 13)},
		"sender":      {From: strings.Repeat("x", 21)},
		"NUL":         {User: "a\x00b"},
	} {
		g.Kind, g.URL = sms.SMPP, "smpps://gateway.example:2776"
		if _, err := open(g, nil); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
