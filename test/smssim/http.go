package smssim

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// twilioErrors are status and code, as the interface documents them.
var twilioErrors = map[What]struct {
	status, code int
	message      string
}{
	BadNumber:  {400, 21211, "The 'To' number %s is not a valid phone number."},
	Credential: {401, 20003, "Authenticate"},
	Throttled:  {429, 20429, "Too Many Requests"},
	Down:       {503, 20503, "Service unavailable"},
	Rejected:   {400, 21606, "The 'From' number is not a valid, SMS-capable number of the account"},
	Broken:     {500, 20500, "An internal server error has occurred"},
}

func (s *Sim) twilio(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		return
	}
	refuse := func(what What) {
		e := twilioErrors[what]
		message := e.message
		if what == BadNumber {
			form, _ := parseForm(string(body))
			message = fmt.Sprintf(message, form["To"])
		}
		say(w, e.status, map[string]any{"code": e.code, "message": message, "more_info": "https://www.twilio.com/docs/errors/" + strconv.Itoa(e.code), "status": e.status})
	}
	f := s.ask(Twilio)
	if s.httpFault(w, f, refuse) {
		return
	}
	form, ok := parseForm(string(body))
	user, password, _ := r.BasicAuth()
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/2010-04-01/Accounts/"+Account+"/Messages.json":
		say(w, 404, map[string]any{"code": 20404, "message": "The requested resource was not found", "status": 404})
		return
	case user != Account && user != Key || subtle.ConstantTimeCompare([]byte(password), []byte(Token)) != 1:
		refuse(Credential)
		return
	case !ok || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || form["Body"] == "" || form["From"] == "" && form["MessagingServiceSid"] == "":
		refuse(Rejected)
		return
	case !e164.MatchString(form["To"]):
		refuse(BadNumber)
		return
	}
	life, err := strconv.Atoi(form["ValidityPeriod"])
	if err != nil || life < 1 || life > 36000 {
		refuse(Rejected)
		return
	}
	n := s.take(Message{Side: Twilio, To: form["To"], From: form["From"] + form["MessagingServiceSid"], Text: form["Body"], Life: time.Duration(life) * time.Second,
		Raw: r.Header.Get("Authorization") + "\n" + string(body)})
	say(w, http.StatusCreated, map[string]any{"sid": fmt.Sprintf("SM%032x", n), "status": "queued", "to": form["To"], "error_code": nil, "error_message": nil})
}

// parseForm reads a form by hand, each field once.
func parseForm(body string) (map[string]string, bool) {
	out := map[string]string{}
	for pair := range strings.SplitSeq(body, "&") {
		name, value, found := strings.Cut(pair, "=")
		if _, twice := out[name]; twice || !found {
			return out, false
		}
		var text []byte
		for i := 0; i < len(value); i++ {
			switch {
			case value[i] == '+':
				text = append(text, ' ')
			case value[i] == '%' && i+2 < len(value):
				b, err := hex.DecodeString(value[i+1 : i+3])
				if err != nil {
					return out, false
				}
				text = append(text, b...)
				i += 2
			default:
				text = append(text, value[i])
			}
		}
		out[name] = string(text)
	}
	return out, true
}

// webhookErrors are status and reason, as docs/protocol/sms-webhook.md has them.
var webhookErrors = map[What]struct {
	status int
	reason string
}{
	BadNumber: {422, "bad_number"}, Credential: {401, ""}, Throttled: {429, ""}, Down: {503, ""}, Rejected: {422, "rejected"}, Broken: {500, ""},
}

func (s *Sim) webhook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		return
	}
	var m struct{ ID, To, From, Text, Expires string }
	broken := json.Unmarshal(body, &m) != nil
	refuse := func(what What) {
		e := webhookErrors[what]
		say(w, e.status, map[string]any{"reason": e.reason, "message": "no message to " + m.To + ": " + string(what)})
	}
	if s.httpFault(w, s.ask(Webhook), refuse) {
		return
	}
	stamp := r.Header.Get("Sallyport-Timestamp")
	mac := hmac.New(sha256.New, []byte(Secret))
	_, _ = mac.Write(append([]byte(stamp+"."), body...))
	at, terr := strconv.ParseInt(stamp, 10, 64)
	expires, eerr := time.Parse(time.RFC3339, m.Expires)
	switch age := s.now().Sub(time.Unix(at, 0)); {
	case !hmac.Equal([]byte(r.Header.Get("Sallyport-Signature")), []byte("v1="+hex.EncodeToString(mac.Sum(nil)))), terr != nil || age > time.Minute || age < -time.Minute:
		refuse(Credential)
		return
	case broken || eerr != nil || m.ID == "" || m.Text == "" || r.Method != http.MethodPost || r.URL.Path != "/sms" || r.Header.Get("Content-Type") != "application/json":
		refuse(Rejected)
		return
	case !e164.MatchString(m.To):
		refuse(BadNumber)
		return
	}
	s.take(Message{Side: Webhook, ID: m.ID, To: m.To, From: m.From, Text: m.Text, Life: expires.Sub(time.Unix(at, 0)), Raw: string(body)})
	w.WriteHeader(http.StatusAccepted)
}

// httpFault applies what is to go wrong, and reports whether the request is done with.
func (s *Sim) httpFault(w http.ResponseWriter, f Fault, refuse func(What)) bool {
	switch f.What {
	case "", Chatty:
		return false
	case Silent:
		<-s.life.Done()
	case Gone:
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
	case Lying:
		w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
	case Slow:
		return !s.wait(f.Delay)
	default:
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
		}
		refuse(f.What)
	}
	return true
}

func say(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who asked has gone
}
