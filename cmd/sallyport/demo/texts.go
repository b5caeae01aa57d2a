package demo

import (
	"context"
	"encoding/json"
	"net/netip"

	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/texts"
	"github.com/sallyport/sallyport/test/smssim"
	"github.com/sallyport/sallyport/tokensvc"
	"github.com/sallyport/sallyport/tokensvc/sms"
)

// region is where the demo's hospital is.
const region = "GB"

// startTexts brings up the gateway for text messages. What it takes reaches no phone: it is told in the story.
func (d *demo) startTexts(ctx context.Context) (err error) {
	d.texts, err = smssim.Start(smssim.Config{TwilioAddr: d.addr(portTexts), Arrived: func(m smssim.Message) { d.story.text(m.To, m.Text) }})
	if err != nil {
		return err
	}
	d.group.Go(func() error { <-ctx.Done(); d.texts.Close(); return nil })
	return nil
}

// textConfig makes it the token service's own gateway, and lets the enterprise choose one on this machine as well.
func (d *demo) textConfig() tokensvc.TextConfig {
	return tokensvc.TextConfig{
		Own:     &sms.Gateway{Kind: sms.Twilio, URL: d.texts.TwilioURL, User: smssim.Account, Secret: smssim.Token, From: "Sallyport", Authority: d.texts.Authority},
		Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}
}

// setRegion lets numbers be typed as people there do.
func setRegion(ctx context.Context, s *store.Store) error {
	text, err := json.Marshal(texts.Settings{Region: region})
	if err != nil {
		return err
	}
	return s.SetSection(ctx, texts.Section, text, 0)
}
