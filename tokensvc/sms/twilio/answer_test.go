package twilio

import (
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/tokensvc/sms"
)

func TestAnswersAreTakenApart(t *testing.T) {
	t.Parallel()
	for body, c := range map[string]struct {
		status int
		want   sms.Outcome
	}{
		`{"sid":"SM1","status":"queued","error_code":null}`:          {201, sms.Sent},
		`{"sid":"SM1","status":"accepted"}`:                          {201, sms.Sent},
		`not JSON, but taken`:                                        {200, sms.Sent},
		`{"sid":"SM1","status":"failed","error_code":30006}`:         {201, sms.BadNumber},
		`{"code":21610,"message":"unsubscribed","status":400}`:       {400, sms.BadNumber},
		`{"code":20003,"message":"Authenticate","status":401}`:       {401, sms.Credential},
		`{"code":21606,"message":"From","status":400}`:               {400, sms.Rejected},
		`{"code":20429,"message":"Too many","status":429}`:           {429, sms.Throttled},
		`{"code":21611,"message":"queue","status":400}`:              {400, sms.Throttled},
		`{"code":21211,"message":"after it was taken","status":500}`: {500, sms.Uncertain},
		`<html>502 Bad Gateway</html>`:                               {502, sms.Uncertain},
		``:                                                           {503, sms.Unavailable},
	} {
		if r := result(sms.Message{}, sms.Answer{Status: c.status, Header: http.Header{}, Body: []byte(body)}, time.Now()); r.Outcome != c.want {
			t.Errorf("%d %s: %+v", c.status, body, r)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(201, []byte(`{"sid":"SM1","status":"queued","error_code":null}`), "3")
	f.Add(400, []byte(`{"code":21211,"message":"The 'To' number +447700900123 is not valid","status":400}`), "")
	f.Add(429, []byte(`{"code":"x"}`), "Wed, 21 Oct 2026 07:28:00 GMT")
	f.Fuzz(func(t *testing.T, status int, body []byte, after string) {
		m := sms.Message{To: "+447700900123", Text: "Your code is 246810"}
		r := result(m, sms.Answer{Status: status, Header: http.Header{"Retry-After": {after}}, Body: body}, time.Unix(1_790_000_000, 0))
		if len(r.Detail) > 200 || !utf8.ValidString(r.Detail) || strings.Contains(r.Detail, "447700900123") || strings.ContainsAny(r.Detail, "\n\r") {
			t.Errorf("detail %q", r.Detail)
		}
		if r.Outcome == sms.Sent && (status < 200 || status > 299) {
			t.Errorf("sent by status %d", status)
		}
	})
}
