package console

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/internal/httpstatus"
)

func (s *Server) confirmRoutes() {
	s.own("GET", "/confirm", (*request).confirmPage)
	s.own("POST", "/confirm/code", (*request).confirmCode)
	s.own("POST", "/confirm/passkey", (*request).confirmPasskey)
}

// replay is a form that had to wait for a confirmation.
type replay struct {
	Path   string     `json:"path"`
	Fields url.Values `json:"fields"`
}

// maxReplay bounds a form that waits, in octets.
const maxReplay = 64 << 10

// confirmFirst asks for the second factor. A page is opened afterwards; a form is sent again, by way of the
// browser, which has it already.
func (r *request) confirmFirst() error {
	if safe(r.Request().Method) {
		return r.goTo("/confirm?" + query("next", r.Request().URL.RequestURI()))
	}
	if r.Request().Header.Get("HX-Request") != "" {
		return r.goTo("/confirm")
	}
	form, err := r.FormParams()
	if err != nil {
		return err
	}
	form.Del("csrf")
	text, err := json.Marshal(replay{r.Request().URL.RequestURI(), form})
	if err != nil {
		return err
	}
	form.Set("replay", base64.RawURLEncoding.EncodeToString(text))
	return r.showConfirm(http.StatusOK, "")
}

func (r *request) confirmPage() error { return r.showConfirm(http.StatusOK, "") }

func (r *request) showConfirm(status int, trouble string) error {
	d, err := r.factorData("/confirm", trouble)
	if err != nil {
		return err
	}
	d.Cancel = "/"
	return r.showDoor(status, door{Title: "Confirm that it is you", Lead: "What comes next matters, so please show your second factor again.", Content: "factor", Data: d, Scripts: []string{"passkey.js"}})
}

func (r *request) confirmCode() error {
	session, err := r.s.admin.CheckCode(r.Request().Context(), r.session, sallyport.Secret(r.FormValue("code")))
	return r.confirmed(session, err)
}

func (r *request) confirmPasskey() error {
	session, err := r.s.admin.CheckPasskey(r.Request().Context(), r.session, r.FormValue("state"), []byte(r.FormValue("answer")))
	return r.confirmed(session, err)
}

// sendAgain is what the page shows that sends a form again.
type sendAgain struct {
	Path   string
	CSRF   string
	Fields url.Values
}

func (r *request) confirmed(session *admin.Session, err error) error {
	switch code := sallyport.ErrorCode(err); code {
	case "":
	case sallyport.CodeDenied, sallyport.CodeLimited, sallyport.CodeExpired:
		return r.showConfirm(httpstatus.Of(code), sallyport.ErrorMessage(err))
	default:
		return err
	}
	r.enter(session)
	form, ok := readReplay(r.FormValue("replay"))
	if !ok {
		return r.goTo(r.next())
	}
	return r.showDoor(http.StatusOK, door{Title: "Thank you", Content: "sendagain", Data: sendAgain{Path: localPath(form.Path), CSRF: session.CSRF(), Fields: form.Fields}})
}

func readReplay(text string) (form replay, ok bool) {
	if text == "" || len(text) > maxReplay {
		return form, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	return form, err == nil && json.Unmarshal(raw, &form) == nil && form.Path != ""
}

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func query(name, value string) string { return url.Values{name: {value}}.Encode() }
