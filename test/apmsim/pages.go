package apmsim

import (
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"
)

//go:embed templates static
var files embed.FS

// pageLegacy is the page, and the access policy, of the legacy experience.
const pageLegacy = "legacy"

// logonPage is what the templates are filled with.
type logonPage struct {
	Page      string
	Error     string
	Header    string
	Challenge bool
	Legacy    bool
	Change    bool
	Left      bool
	Extra     bool
	Restart   bool
	NoFetch   bool
	CheckMS   int // when the page first asks whether its session still lives
	Script    template.HTML
	External  ExternalScript
	Name      string
	Code      string
}

// Handler answers for the gateway.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { s.start(w, r, false) })
	mux.HandleFunc("GET /modern", func(w http.ResponseWriter, r *http.Request) { s.start(w, r, true) })
	mux.HandleFunc("GET /legacy", func(w http.ResponseWriter, r *http.Request) {
		s.sessions.start(w, false, pageLegacy, s.cfg.TLS != nil)
		http.Redirect(w, r, "/my.policy", http.StatusFound)
	})
	mux.HandleFunc("GET /my.policy", s.showLogon)
	mux.HandleFunc("POST /my.policy", s.postLogon)
	mux.HandleFunc("GET /my.logout.php3", s.showLogout)
	mux.HandleFunc("GET /vdesk/webtop.eui", s.showWebtop)
	mux.HandleFunc("GET /vdesk/timeoutagent-i.php", s.timeoutAgent)
	mux.HandleFunc("GET /vdesk/landinguri", landingURI)
	mux.HandleFunc("GET /public/include/{kind}/{file}", serveStatic)
	return mux
}

func (s *Server) start(w http.ResponseWriter, r *http.Request, modern bool) {
	s.sessions.start(w, modern, r.URL.Query().Get("page"), s.cfg.TLS != nil)
	http.Redirect(w, r, "/my.policy", http.StatusFound)
}

func (s *Server) showLogon(w http.ResponseWriter, r *http.Request) {
	ses := s.sessions.of(r)
	if ses == nil {
		http.Redirect(w, r, "/my.logout.php3?errorcode=20", http.StatusFound)
		return
	}
	ses.mu.Lock()
	defer ses.mu.Unlock()
	s.cfg.Log(stepPage, "the gateway serves its logon page")
	s.renderLogon(w, ses)
}

func (s *Server) postLogon(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "bad form", http.StatusBadRequest)
		return
	}
	ses := s.sessions.of(r)
	if ses == nil {
		http.Redirect(w, r, "/my.logout.php3?errorcode=19", http.StatusFound)
		return
	}
	ses.mu.Lock()
	defer ses.mu.Unlock()
	if r.PostForm.Has("choice") { // the message box was confirmed: on to the logon page
		ses.page = ""
		s.renderLogon(w, ses)
		return
	}
	if s.runPolicy(r, ses) {
		http.Redirect(w, r, "/vdesk/webtop.eui?webtop=/Common/webtop&webtop_type=webtop_full", http.StatusFound)
		return
	}
	s.renderLogon(w, ses)
}

func (s *Server) renderLogon(w http.ResponseWriter, ses *session) {
	p := logonPage{
		Page: ses.page, Error: ses.errText, Header: "Secure Logon\nfor F5 Networks", Left: ses.page == "labelleft", Extra: ses.page == "domain",
		Restart: ses.page == "restart", NoFetch: ses.page == "nofetch", CheckMS: 30000,
		Script:   template.HTML(s.cfg.Script), //nolint:gosec // what the administrator pasted, as it stands
		External: s.cfg.ModernScript,
	}
	if ses.page == pageLegacy {
		p.Legacy, p.Script = true, ""
	}
	switch {
	case ses.pending != nil:
		p.Challenge, p.Header = true, ses.pending.prompt
	case ses.page == "challenge":
		p.Challenge, p.Header = true, "Enter the code that was sent to your phone."
	case ses.page == "passwordchange":
		p.Challenge, p.Change, p.Header = true, true, "Your password has expired. Please choose a new one."
	case ses.page == "failed" && p.Error == "":
		p.Error = textNotCorrect
	case ses.page == "expired":
		p.CheckMS = 2000
	}
	name := "standard.html"
	switch {
	case ses.modern:
		name = "modern.html"
	case ses.page == "messagebox":
		name = "messagebox.html"
	case ses.page == "div12":
		name = "div12.html"
	}
	render(w, name, p)
}

func (s *Server) showWebtop(w http.ResponseWriter, r *http.Request) {
	ses := s.sessions.of(r)
	if ses == nil {
		http.Redirect(w, r, "/my.logout.php3?errorcode=20", http.StatusFound)
		return
	}
	ses.mu.Lock()
	defer ses.mu.Unlock()
	if ses.user == "" {
		http.Redirect(w, r, "/my.policy", http.StatusFound)
		return
	}
	render(w, "webtop.html", logonPage{Name: ses.user})
}

func (s *Server) showLogout(w http.ResponseWriter, r *http.Request) {
	s.sessions.end(r)
	render(w, "logout.html", logonPage{Code: r.URL.Query().Get("errorcode")})
}

// timeoutAgent tells the page how long its session still lives: in the cookie TIN, in milliseconds.
func (s *Server) timeoutAgent(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: "TIN", Value: fmt.Sprint(s.sessions.left(s.sessions.of(r))), Path: "/"})
	w.Header().Set("Cache-Control", "no-store")
}

func landingURI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/xml")
	_, _ = w.Write([]byte(`<?xml version="1.0"?><res type="landing_uri">/</res>`))
}

func serveStatic(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, files, "static/"+r.PathValue("file"))
}

func render(w http.ResponseWriter, name string, p logonPage) {
	t, err := template.ParseFS(files, "templates/*.html")
	var out strings.Builder
	if err == nil {
		err = t.ExecuteTemplate(&out, name, p)
	}
	if err != nil {
		http.Error(w, "template: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache, no-store")
	// The browser is gone when this fails; there is nobody to tell.
	_, _ = w.Write([]byte(out.String()))
}
