package console

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/internal/sealed"
)

// request is one request of somebody who is signed in, or is about to be.
type request struct {
	echo.Context
	s *Server
	// session is nil on the pages that anybody may see.
	session *admin.Session
}

type handler func(*request) error

// lately is how long ago the second factor may have been shown when a page with a dangerous form is opened:
// less than admin.ConfirmedFor, so that there is time to fill it in.
const lately = admin.ConfirmedFor / 2

// page adds a page: what is at path, for those who may do op. Those that the navigation shows are known to
// it by their path.
func (s *Server) page(path string, op admin.Operation, h handler) {
	s.pages[path] = op
	s.echo.GET(path, s.signedIn(func(r *request) error {
		if err := admin.May(r.Actor(), op); err != nil {
			return err
		}
		if admin.NeedsConfirmation(op) && r.session.Age() > lately {
			return r.confirmFirst()
		}
		return h(r)
	}))
}

// act adds what a form of a page does: by POST, for those who may do op. Who has not shown the second factor
// lately, and op needs that, is asked for it; then the form is sent again.
func (s *Server) act(path string, op admin.Operation, h handler) {
	s.echo.POST(path, s.signedIn(func(r *request) error {
		if err := admin.May(r.Actor(), op); err != nil {
			return err
		}
		if admin.NeedsConfirmation(op) && !r.session.Confirmed() {
			return r.confirmFirst()
		}
		return h(r)
	}))
}

// upload is act for a form that brings a file, which is more than other forms may send.
func (s *Server) upload(path string, op admin.Operation, h handler) {
	s.uploads[path] = true
	s.act(path, op, h)
}

// readUpload reads a form with a file, of somebody who has a session, into memory: what is in the file does not
// get onto a disk.
func (r *request) readUpload() error {
	_ = http.NewResponseController(r.Response()).SetReadDeadline(time.Now().Add(uploadTime)) // where it cannot be set, the usual one ends it
	err := r.Request().ParseMultipartForm(maxUpload)
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return sallyport.Errorf(sallyport.CodeInvalid, fmt.Sprintf("The file is longer than %d MiB. Split it.", admin.MaxTokenFile>>20), nil)
	case err != nil:
		return sallyport.Errorf(sallyport.CodeInvalid, "The file did not arrive as a whole. Please try again.", err)
	}
	return nil
}

// own adds a page or a form that concerns nobody but who is signed in.
func (s *Server) own(method, path string, h handler) { s.echo.Add(method, path, s.signedIn(h)) }

// signedIn lets those through who are signed in and, when they change something, send the session's token.
func (s *Server) signedIn(h handler) echo.HandlerFunc {
	return s.inSession(func(r *request) error {
		if step := stepPath(r.session.Stage()); step != "" {
			return r.goTo(step)
		}
		return h(r)
	})
}

// inSession lets those through who have a session, signed in or not yet.
func (s *Server) inSession(h handler) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := &request{Context: c, s: s}
		var err error
		r.session, err = s.admin.Resume(c.Request().Context(), r.cookie(), r.visitor(), c.Request().Header.Get("X-Passive") != "")
		switch sallyport.ErrorCode(err) {
		case "":
		case sallyport.CodeDenied, sallyport.CodeExpired:
			return r.signInFirst(err)
		default:
			return err
		}
		if !safe(c.Request().Method) && s.uploads[c.Path()] {
			if err := r.readUpload(); err != nil {
				return err
			}
		}
		if !safe(c.Request().Method) {
			token := c.Request().Header.Get("X-CSRF-Token")
			if token == "" {
				token = c.FormValue("csrf")
			}
			if !r.session.CheckCSRF(token) {
				return sallyport.Errorf(sallyport.CodeDenied, "This form is no longer valid. Open the page again.", nil)
			}
		}
		return h(r)
	}
}

// anybody adds a page or a form for those who are not signed in.
func (s *Server) anybody(method, path string, h handler) {
	s.echo.Add(method, path, func(c echo.Context) error { return h(&request{Context: c, s: s}) })
}

// Actor is who asks.
func (r *request) Actor() sallyport.Actor {
	if r.session == nil {
		return sallyport.Actor{}
	}
	return r.session.Actor()
}

// May reports whether who asks may do op: for what a page offers.
func (r *request) May(op admin.Operation) bool { return admin.May(r.Actor(), op) == nil }

// signInFirst sends somebody to sign in, and back afterwards.
func (r *request) signInFirst(err error) error {
	if r.cookie() != "" {
		r.setCookie("")
	} else if safe(r.Request().Method) && r.Request().Header.Get("Sec-Fetch-Site") == "cross-site" {
		// A link on another site: the browser keeps the cookie back (SameSite=Strict), but not when the console
		// itself sends it on.
		return r.bare(http.StatusOK, "bounce", r.Request().URL.RequestURI())
	}
	v := url.Values{}
	if safe(r.Request().Method) && r.Request().URL.Path != "/" {
		v.Set("next", r.Request().URL.RequestURI())
	}
	if sallyport.ErrorCode(err) == sallyport.CodeExpired {
		v.Set("ended", "1")
	}
	to := "/sign-in"
	if len(v) > 0 {
		to += "?" + v.Encode()
	}
	return r.goTo(to)
}

// goTo sends the browser to a path of the console, also out of a part of a page.
func (r *request) goTo(path string) error {
	if r.Request().Header.Get("HX-Request") != "" {
		r.Response().Header().Set("HX-Redirect", path)
		return r.NoContent(http.StatusNoContent)
	}
	return r.Redirect(http.StatusSeeOther, path)
}

// done ends a form that went well: the page at path, with a note.
func (r *request) done(path, note string) error {
	r.note(note)
	return r.goTo(path)
}

// localPath returns path if it is one of the console's own pages, and else the overview's.
func localPath(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") || len(path) > 2000 {
		return "/"
	}
	if u, err := url.Parse(path); err != nil || u.Host != "" || u.Scheme != "" {
		return "/"
	}
	return path
}

const (
	sessionCookie = "__Host-sallyport-console"
	noteCookie    = "__Host-sallyport-note"
	maxNote       = 500
	noteLife      = time.Minute
)

func (r *request) cookie() sallyport.Secret {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return ""
	}
	return sallyport.Secret(c.Value)
}

// setCookie gives the browser a session's token; "" takes it away.
func (r *request) setCookie(token sallyport.Secret) { r.putCookie(sessionCookie, string(token), 0) }

func (r *request) putCookie(name, value string, age int) {
	if value == "" {
		age = -1
	}
	r.SetCookie(&http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
}

// enter goes on with a session under its new token.
func (r *request) enter(session *admin.Session) {
	r.session = session
	r.setCookie(session.Token())
}

func (r *request) visitor() admin.Visitor {
	return admin.Visitor{Address: peer(r.Request().RemoteAddr), Browser: r.Request().UserAgent(), Origin: origin(r.Context)}
}

// note has the next page say something. It travels sealed, so that nobody else can have the console say it.
func (r *request) note(words string) {
	if len(words) > maxNote {
		words = words[:maxNote]
	}
	text, err := json.Marshal(words)
	if err != nil {
		return // a string always can be
	}
	r.putCookie(noteCookie, base64.RawURLEncoding.EncodeToString(sealed.Seal(r.s.cfg.Key, text, []byte("sallyport/v1 console note"))), int(noteLife.Seconds()))
}

// takeNote returns the note of the request before, once.
func (r *request) takeNote() (words string) {
	c, err := r.Cookie(noteCookie)
	if err != nil {
		return ""
	}
	r.putCookie(noteCookie, "", -1)
	box, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil || len(box) > 2*maxNote {
		return ""
	}
	text, err := sealed.Open(r.s.cfg.Key, box, []byte("sallyport/v1 console note"))
	if err != nil || json.Unmarshal(text, &words) != nil {
		return ""
	}
	return words
}
