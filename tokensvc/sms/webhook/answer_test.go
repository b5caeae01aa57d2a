package webhook

import (
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/tokensvc/sms"
)

func FuzzAnswer(f *testing.F) {
	f.Add(202, []byte(``), "")
	f.Add(422, []byte(`{"reason":"bad_number","message":"no way to +447700900123"}`), "")
	f.Add(429, []byte(`{"reason":7}`), "120")
	f.Fuzz(func(t *testing.T, status int, body []byte, after string) {
		m := sms.Message{To: "+447700900123", Text: "Your code is 246810"}
		r := result(m, sms.Answer{Status: status, Header: http.Header{"Retry-After": {after}}, Body: body}, time.Unix(1_790_000_000, 0))
		if len(r.Detail) > 200 || !utf8.ValidString(r.Detail) || strings.Contains(r.Detail, "447700900123") || strings.ContainsAny(r.Detail, "\n\r") {
			t.Errorf("detail %q", r.Detail)
		}
		if (r.Outcome == sms.Sent) != (status >= 200 && status < 300) {
			t.Errorf("status %d is %s", status, r.Outcome)
		}
	})
}
