// Package twilio sends text messages by the HTTP interface of Twilio ("Messages resource", 2010-04-01), which
// other gateways speak as well: a form by POST, basic authentication, and errors as JSON with codes.
package twilio

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/httpstatus"
	"github.com/sallyport/sallyport/tokensvc/sms"
)

// longest is how long the interface lets a message wait at most.
const longest = 10 * time.Hour

// Sender implements sms.Sender.
type Sender struct {
	poster  sms.Poster
	address string
	user    string
	secret  string
	from    url.Values
	now     func() time.Time
}

// New returns a sender for a gateway that was checked.
func New(g sms.Gateway, dial sms.Dial, now func() time.Time) (*Sender, error) {
	roots, err := g.Roots()
	if err != nil {
		return nil, fmt.Errorf("configure gateway: %w", err)
	}
	// An API key takes the place of the account's own user name, and not of the account.
	account, user, key := strings.Cut(g.User, ":")
	if !key {
		user = account
	}
	address, err := url.JoinPath(g.URL, "2010-04-01", "Accounts", url.PathEscape(account), "Messages.json")
	if err != nil {
		return nil, fmt.Errorf("configure gateway: %w", err)
	}
	s := &Sender{poster: sms.Poster{Dial: dial, Roots: roots}, address: address, user: user, secret: string(g.Secret), from: url.Values{"From": {g.From}}, now: now}
	if strings.HasPrefix(g.From, "MG") && len(g.From) == 34 {
		s.from = url.Values{"MessagingServiceSid": {g.From}}
	}
	return s, nil
}

// Send implements sms.Sender.
func (s *Sender) Send(ctx context.Context, m sms.Message) sms.Result {
	form := url.Values{"To": {string(m.To)}, "Body": {m.Text}, "ValidityPeriod": {strconv.Itoa(int(min(max(m.Life, time.Second), longest) / time.Second))}}
	for name, value := range s.from {
		form[name] = value
	}
	r, err := http.NewRequest(http.MethodPost, s.address, strings.NewReader(form.Encode()))
	if err != nil {
		return sms.Result{Outcome: sms.Rejected, Detail: "the gateway's address cannot be used"}
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	r.SetBasicAuth(s.user, s.secret)
	a, sent, err := s.poster.Post(ctx, r)
	if err != nil {
		return sms.Failed(m, sent, err)
	}
	return result(m, a, s.now())
}

// answer is what of the interface's JSON matters here: of a message that was taken, and of an error.
type answer struct {
	SID       string `json:"sid"`
	Status    any    `json:"status"` // a word of a message, the HTTP status of an error
	ErrorCode *int   `json:"error_code"`
	Code      int    `json:"code"`
	Message   string `json:"message"`
}

func result(m sms.Message, a sms.Answer, now time.Time) sms.Result {
	var said answer
	_ = json.Unmarshal(a.Body, &said) // what is no JSON says nothing
	r := sms.Result{Outcome: sms.ByStatus(a.Status), Detail: sms.Detail(m, "HTTP", strconv.Itoa(a.Status))}
	code := said.Code
	if r.Outcome == sms.Sent {
		if state, _ := said.Status.(string); state != "failed" && state != "undelivered" {
			return sms.Result{Outcome: sms.Sent}
		}
		r.Outcome = sms.Rejected // taken, and given up at once
		if said.ErrorCode != nil {
			code = *said.ErrorCode
		}
	}
	if code != 0 {
		r.Detail = sms.Detail(m, "error", strconv.Itoa(code)+":", said.Message)
		if o, known := codes[code]; known && r.Outcome != sms.Uncertain {
			r.Outcome = o
		}
	}
	if r.Outcome == sms.Throttled || r.Outcome == sms.Unavailable {
		r.RetryAfter = httpstatus.RetryAfter(a.Header, now)
	}
	return r
}

// codes are those that say more than the status ("Error and warning dictionary").
var codes = map[int]sms.Outcome{
	20003: sms.Credential, 20005: sms.Credential, 20008: sms.Credential, 20404: sms.Credential, // who we are, or an account that is not
	20429: sms.Throttled, 14107: sms.Throttled, 63038: sms.Throttled, 21611: sms.Throttled,
	21211: sms.BadNumber, 21214: sms.BadNumber, 21217: sms.BadNumber, 21265: sms.BadNumber, 21401: sms.BadNumber, 21421: sms.BadNumber, 21604: sms.BadNumber,
	21610: sms.BadNumber, 21612: sms.BadNumber, 21614: sms.BadNumber, 21635: sms.BadNumber, 30003: sms.BadNumber, 30005: sms.BadNumber, 30006: sms.BadNumber,
}
