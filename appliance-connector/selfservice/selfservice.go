// Package selfservice is the page on which users inside the network look after their own authenticators: they see them, add
// an app, a phone number or an OTP token, replace a phone, and delete what they have lost. It stands beside the admin console, under /me at its
// address, and works without scripts.
//
// Somebody signs in with the directory's password and an enrolled factor, by the login engine, at a door of its own; who has enrolled nothing
// gets in with the password alone where the enrol rule has users enrol on site. The page lets nobody in anywhere else, and never shows or
// changes what is another account's.
//
// It keeps nothing between two requests: what a browser carries is sealed, and ends by itself. The console's guard in front of it
// refuses forms from other sites and sets the headers (package console).
package selfservice

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/internal/httpstatus"
	"github.com/sallyport/sallyport/internal/sealed"
)

// Path is where the page is.
const Path = "/me"

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed me.js
var script []byte

// Engine is the login engine.
type Engine interface {
	Begin(ctx context.Context, a login.Attempt) (login.State, error)
	Wait(ctx context.Context, s login.State) (login.State, error)
	Act(ctx context.Context, s login.State, a login.Action) (login.State, error)
	Prompt(s login.State) sallyport.Prompt
	BeginEnrolment(ctx context.Context, a login.Attempt, account sallyport.AccountName, kind sallyport.AuthenticatorKind) (login.State, error)
}

// Standings tells what is known of an account.
type Standings interface {
	Standing(ctx context.Context, account sallyport.AccountName) (sallyport.Standing, error)
}

// Config is how the page is served.
type Config struct {
	Engine    Engine
	Standings Standings
	Store     *store.Store
	// From are the networks whose browsers are answered; empty: none.
	From []netip.Prefix
	// Enrols are what users can add here.
	Enrols []sallyport.AuthenticatorKind
	// Key (32 octets, the same on all appliances of the enterprise) seals what browsers carry.
	Key        sallyport.Key
	Enterprise string
	// Language is the enterprise's choice, for browsers that ask for none that there is; "" or nil: English.
	Language func(context.Context) string
	// HashPIN makes what is kept of a PIN; nil: users set no PIN here.
	HashPIN func(sallyport.Secret) sallyport.Secret
	// Asset gives the address of one of the console's files.
	Asset func(name string) string
	Now   func() time.Time
	Log   *slog.Logger
}

// Server is the page.
type Server struct {
	cfg       Config
	mux       *http.ServeMux
	words     map[string]words
	templates map[string]*template.Template // by language
	hashing   sync.Mutex                    // one PIN at a time: each takes 19 MiB
}

// New makes the page.
func New(cfg Config) (*Server, error) {
	if len(cfg.Key) != sealed.KeySize {
		return nil, errors.New("make self-service page: it needs a key")
	}
	s := &Server{cfg: cfg, mux: http.NewServeMux()}
	var err error
	if s.words, err = readWords(); err != nil {
		return nil, err
	}
	s.templates = map[string]*template.Template{}
	for l, w := range s.words {
		s.templates[l], err = template.New("").Funcs(template.FuncMap{"asset": cfg.Asset, "date": w.date, "say": w.mustSay}).ParseFS(templateFiles, "templates/*.html")
		if err != nil {
			return nil, fmt.Errorf("read self-service templates: %w", err)
		}
	}
	s.signInRoutes()
	s.authenticatorRoutes()
	s.pinRoutes()
	s.mux.HandleFunc("GET /me/me.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = w.Write(script)
	})
	s.mux.HandleFunc("/me/", s.handle(func(*request) error {
		return tell(sallyport.CodeNotFound, "noPage", nil)
	}))
	return s, nil
}

// ServeHTTP answers what begins with Path.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// PrivateNetworks are those that no address of the internet is in (RFC 1918, RFC 4193, and those of links and of the host itself).
func PrivateNetworks() []netip.Prefix {
	var out []netip.Prefix
	for _, p := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8", "fc00::/7", "fe80::/10", "::1/128"} {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// request is one request.
type request struct {
	*http.Request
	w http.ResponseWriter
	s *Server
	words
	// carried is what the browser brought; nil: nothing that counts.
	carried *carried
}

type handler func(*request) error

// handle is around every page: it answers the networks that it is for, opens what the browser carries, and has forms carry their token.
func (s *Server) handle(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, hr *http.Request) {
		r := &request{Request: hr, w: w, s: s, words: s.choose(hr.Context(), hr.Header)}
		err := r.from()
		if err == nil {
			err = r.open()
		}
		if err == nil && hr.Method == http.MethodPost && r.carried != nil && !r.goodCSRF() {
			err = tell(sallyport.CodeDenied, "oldForm", nil)
		}
		if err == nil {
			err = h(r)
		}
		if err != nil {
			r.fail(err)
		}
	}
}

// from refuses browsers that are not inside.
func (r *request) from() error {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err == nil {
		ip := a.Addr().Unmap().WithZone("")
		for _, p := range r.s.cfg.From {
			if p.Contains(ip) {
				return nil
			}
		}
	}
	return tell(sallyport.CodeDenied, "inside", err)
}

func (r *request) address() string {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return a.Addr().Unmap().WithZone("").String()
}

// csrf is what a form of this browser carries.
func (r *request) csrf() string {
	if r.carried == nil {
		return ""
	}
	m := hmac.New(sha256.New, r.s.cfg.Key)
	m.Write(sealed.Fields("self-service form", r.carried.ID))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

func (r *request) goodCSRF() bool {
	return subtle.ConstantTimeCompare([]byte(r.PostFormValue("csrf")), []byte(r.csrf())) == 1
}

// page is what a template shows.
type page struct {
	Title, Lead string
	Enterprise  string
	Lang, Dir   string
	// Trouble is what went wrong, Note what went well.
	Trouble, Note string
	CSRF          string
	SignedIn      bool
	Wait          bool
	Data          any
}

// show renders a page. Nothing is sent before all of it is rendered.
func (r *request) show(status int, name string, p page) error {
	p.Enterprise, p.CSRF, p.SignedIn = r.s.cfg.Enterprise, r.csrf(), r.carried != nil && r.carried.In
	p.Lang, p.Dir = r.language, r.direction()
	var out bytes.Buffer
	if err := r.s.templates[r.language].ExecuteTemplate(&out, name, p); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	r.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	r.w.Header().Set("Content-Language", r.language)
	r.w.Header().Add("Vary", "Accept-Language")
	r.w.WriteHeader(status)
	_, err := r.w.Write(out.Bytes())
	if err != nil {
		return nil // the browser is gone, and there is nobody to tell
	}
	return nil
}

func (r *request) goTo(path string) error {
	http.Redirect(r.w, r.Request, path, http.StatusSeeOther)
	return nil
}

// fail shows an error: its words, and a support code that finds the cause in the log.
func (r *request) fail(err error) {
	code := sallyport.ErrorCode(err)
	support := sallyport.NewSupportCode()
	var known *sallyport.Error
	if errors.As(err, &known) && known.SupportCode != "" {
		support = known.SupportCode
	}
	level := slog.LevelInfo
	if httpstatus.Of(code) >= 500 {
		level = slog.LevelError
	}
	r.s.cfg.Log.LogAttrs(r.Context(), level, "self-service request failed", slog.String("support_code", support), slog.String("code", string(code)),
		slog.String("method", r.Method), slog.String("route", r.Pattern), slog.Any("err", err))
	if err := r.show(httpstatus.Of(code), "failure", page{Title: r.say("failed"), Data: struct{ Message, Support string }{r.failure(err), support}}); err != nil {
		r.s.cfg.Log.Error("self-service error page not shown", "err", err)
	}
}
