// Package webhook hands text messages to a program of the enterprise or its provider: a signed request over HTTPS,
// described in docs/protocol/sms-webhook.md.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/httpstatus"
	"github.com/sallyport/sallyport/tokensvc/sms"
)

// The headers of a request.
const (
	TimestampHeader = "Sallyport-Timestamp"
	SignatureHeader = "Sallyport-Signature"
)

// Sender implements sms.Sender.
type Sender struct {
	poster  sms.Poster
	address string
	secret  sallyport.Secret
	from    string
	now     func() time.Time
}

// New returns a sender for a gateway that was checked.
func New(g sms.Gateway, dial sms.Dial, now func() time.Time) (*Sender, error) {
	roots, err := g.Roots()
	if err != nil {
		return nil, fmt.Errorf("configure webhook: %w", err)
	}
	return &Sender{poster: sms.Poster{Dial: dial, Roots: roots}, address: g.URL, secret: g.Secret, from: g.From, now: now}, nil
}

// request is the body.
type request struct {
	ID      string `json:"id"`
	To      string `json:"to"`
	From    string `json:"from,omitempty"`
	Text    string `json:"text"`
	Expires string `json:"expires"` // RFC 3339
}

// Send implements sms.Sender.
func (s *Sender) Send(ctx context.Context, m sms.Message) sms.Result {
	now := s.now()
	body, err := json.Marshal(request{ID: m.ID, To: string(m.To), From: s.from, Text: m.Text, Expires: now.Add(m.Life).UTC().Format(time.RFC3339)})
	if err != nil {
		return sms.Result{Outcome: sms.Rejected, Detail: "the message cannot be written"}
	}
	r, err := http.NewRequest(http.MethodPost, s.address, bytes.NewReader(body))
	if err != nil {
		return sms.Result{Outcome: sms.Rejected, Detail: "the webhook's address cannot be used"}
	}
	stamp := strconv.FormatInt(now.Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(TimestampHeader, stamp)
	r.Header.Set(SignatureHeader, Sign(s.secret, stamp, body))
	a, sent, err := s.poster.Post(ctx, r)
	if err != nil {
		return sms.Failed(m, sent, err)
	}
	return result(m, a, now)
}

// Sign makes the signature: "v1=" and the HMAC-SHA256 over the timestamp, a full stop and the body, in hex.
func Sign(secret sallyport.Secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(timestamp + ".")) // a hash takes everything
	_, _ = mac.Write(body)
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

// reasons are the words by which a webhook says why it took nothing.
var reasons = map[string]sms.Outcome{"bad_number": sms.BadNumber, "credential": sms.Credential, "throttled": sms.Throttled, "unavailable": sms.Unavailable, "rejected": sms.Rejected}

func result(m sms.Message, a sms.Answer, now time.Time) sms.Result {
	r := sms.Result{Outcome: sms.ByStatus(a.Status), Detail: sms.Detail(m, "HTTP", strconv.Itoa(a.Status))}
	if r.Outcome == sms.Sent {
		return sms.Result{Outcome: sms.Sent}
	}
	var said struct{ Reason, Message string }
	_ = json.Unmarshal(a.Body, &said) // what is no JSON says nothing
	if o, known := reasons[said.Reason]; known && r.Outcome != sms.Uncertain {
		r.Outcome = o
	}
	if said.Message != "" {
		r.Detail = sms.Detail(m, "HTTP", strconv.Itoa(a.Status)+":", said.Message)
	}
	if r.Outcome == sms.Throttled || r.Outcome == sms.Unavailable {
		r.RetryAfter = httpstatus.RetryAfter(a.Header, now)
	}
	return r
}
