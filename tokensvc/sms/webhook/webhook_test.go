package webhook_test

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/test/smssim"
	"github.com/sallyport/sallyport/tokensvc/sms"
	"github.com/sallyport/sallyport/tokensvc/sms/smstest"
	"github.com/sallyport/sallyport/tokensvc/sms/webhook"
)

func TestSender(t *testing.T) {
	smstest.Run(t, smstest.Subject{Side: smssim.Webhook, RetryAfter: true,
		Gateway: func(s *smssim.Sim) sms.Gateway {
			return sms.Gateway{Kind: sms.Webhook, URL: s.WebhookURL, Secret: smssim.Secret, From: "Hospital", Authority: s.Authority}
		},
		Open: func(g sms.Gateway, dial sms.Dial) (sms.Sender, error) { return webhook.New(g, dial, time.Now) },
	})
}

// The value was made with openssl: printf '1790000000.{"id":"m1"}' | openssl dgst -sha256 -hmac secret
func TestSignature(t *testing.T) {
	t.Parallel()
	if got := webhook.Sign("secret", "1790000000", []byte(`{"id":"m1"}`)); got != "v1=2d4468a4efd973b147de16733ea2d59789f2ba3ebb6f37cefeff4a2e3ac953ad" {
		t.Errorf("signature %s", got)
	}
}
