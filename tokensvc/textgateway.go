package tokensvc

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/tokensvc/sms"
	"github.com/sallyport/sallyport/tokensvc/sms/smpp"
	"github.com/sallyport/sallyport/tokensvc/sms/twilio"
	"github.com/sallyport/sallyport/tokensvc/sms/webhook"
	"github.com/sallyport/sallyport/tokensvc/texts"
)

// TextConfig is how text messages are sent.
type TextConfig struct {
	// Own is the operator's gateway, for enterprises that have none of their own; nil: there is none.
	Own *sms.Gateway
	// OwnPerHour is how many messages each enterprise may send through it in an hour; 0 is 1,000.
	OwnPerHour int
	// Allowed are networks, not of the public internet, in which enterprises may have their gateways. The
	// operator's own may be anywhere.
	Allowed []netip.Prefix
}

func (s *Service) newTexts() (*texts.Service, error) {
	cfg := texts.Config{
		Store: s.store, Observe: s.metrics.textAttempt, Log: s.cfg.Log, Now: s.cfg.Now, After: time.After,
		Open: func(g sms.Gateway) (sms.Sender, error) {
			return openGateway(g, sms.Guard{Allowed: s.cfg.Texts.Allowed}.Dial, s.cfg.Now)
		},
	}
	if cfg.OwnPerHour = int64(s.cfg.Texts.OwnPerHour); cfg.OwnPerHour == 0 {
		cfg.OwnPerHour = 1000
	}
	if own := s.cfg.Texts.Own; own != nil {
		if err := own.Check(); err != nil {
			return nil, fmt.Errorf("configure text messages: %w", err)
		}
		var err error
		if cfg.Own, err = openGateway(*own, new(net.Dialer).DialContext, s.cfg.Now); err != nil {
			return nil, fmt.Errorf("configure text messages: %w", err)
		}
	}
	return texts.New(cfg), nil
}

func openGateway(g sms.Gateway, dial sms.Dial, now func() time.Time) (sms.Sender, error) {
	switch g.Kind {
	case sms.Twilio:
		return twilio.New(g, dial, now)
	case sms.SMPP:
		return smpp.New(g, dial)
	case sms.Webhook:
		return webhook.New(g, dial, now)
	}
	return nil, fmt.Errorf("gateways of the kind %q are not known", g.Kind)
}
