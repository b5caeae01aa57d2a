package console

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/internal/httpstatus"
)

//go:embed templates/*.html
var templateFiles embed.FS

// Page is one page inside the console's frame.
type Page struct {
	Title string
	// Lead is one sentence below the title that says what the page is for; empty: none.
	Lead string
	// Crumbs are the pages above this one, from the top.
	Crumbs []Link
	// Actions are the page's own, at its head. The first one stands out.
	Actions []Action
	// Content names the template that shows Data.
	Content string
	Data    any
}

// Link is a link with its words.
type Link struct{ Label, Path string }

// Action is a button at the head of a page: a link, or what opens a dialog.
type Action struct {
	Label  string
	Path   string // of a link
	Dialog string // id of a Dialog on the page
	Danger bool
}

// frame is what the layout shows around a page.
type frame struct {
	Page
	Note       string
	CSRF       string
	Nav        []navItem
	Path       string
	Who        sallyport.Administrator
	Enterprise string
	Asset      func(string) string
}

// show renders a page in the frame.
func (r *request) show(p Page) error { return r.showAs(http.StatusOK, p) }

// showAs is show with another status: 422 for a form that has something wrong in it.
func (r *request) showAs(status int, p Page) error {
	f := frame{Page: p, Note: r.takeNote(), Path: r.Request().URL.Path, Enterprise: r.s.cfg.Enterprise, Asset: r.s.assets.path}
	if r.session != nil {
		f.CSRF, f.Who = r.session.CSRF(), r.session.Administrator()
		f.Nav = r.s.navigation(r)
	}
	return r.bare(status, "frame", f)
}

// door is a page without the frame: before somebody is signed in.
type door struct {
	Title   string
	Lead    string
	Content string
	Data    any
	CSRF    string
	Note    string
	Asset   func(string) string
	Scripts []string
	// Wide pages show a list or a picture.
	Wide bool
}

func (r *request) showDoor(status int, d door) error {
	d.Asset, d.Note = r.s.assets.path, r.takeNote()
	if r.session != nil {
		d.CSRF = r.session.CSRF()
	}
	return r.bare(status, "door", d)
}

// bare renders a template by itself. Nothing is sent before all of it is rendered.
func (r *request) bare(status int, name string, data any) error {
	var out bytes.Buffer
	if err := r.s.templates.ExecuteTemplate(&out, name, data); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	return r.HTMLBlob(status, out.Bytes())
}

// parse reads all templates. One file holds a page or a component; each defines the name by which it is
// called.
func (s *Server) parse() (*template.Template, error) {
	t := template.New("")
	t.Funcs(template.FuncMap{
		"asset":   s.assets.path,
		"content": func(name string, data any) (template.HTML, error) { return content(t, name, data) },
		"ago":     func(t time.Time) string { return ago(t, s.cfg.Now()) },
		"stamp":   stamp, "moment": moment, "rfc3339": rfc3339, "date": date, "initials": initials, "role": roleName, "plural": plural,
		"chart": barChart, "dict": dict, "list": list, "shortdn": shortDN, "pickicon": pickIcon,
	})
	return t.ParseFS(templateFiles, "templates/*.html")
}

// content is the template action that renders a template whose name is only known now.
func content(t *template.Template, name string, data any) (template.HTML, error) {
	var out bytes.Buffer
	err := t.ExecuteTemplate(&out, name, data)
	return template.HTML(out.String()), err // it was escaped when it was rendered
}

// fields gives the words for a form's fields if err is about them. Other errors are the page's.
func fields(err error) (admin.FieldErrors, bool) {
	var f admin.FieldErrors
	return f, errors.As(err, &f)
}

// words is what a form says above its fields when err is not about one of them: what a person can do
// something about. Everything else is no matter for a form.
func words(err error) (string, bool) {
	switch sallyport.ErrorCode(err) {
	case sallyport.CodeInvalid, sallyport.CodeConflict, sallyport.CodeUnsupported, sallyport.CodeLimited, sallyport.CodeExpired:
		return sallyport.ErrorMessage(err), true
	}
	return "", false
}

// failure is what an error page shows.
type failure struct {
	Message     string
	SupportCode string
	Status      int
}

// fail shows an error: its words for people, and a support code that finds the cause in the log.
func (s *Server) fail(err error, c echo.Context) {
	err = fromEcho(err)
	f := failure{Message: sallyport.ErrorMessage(err), SupportCode: sallyport.NewSupportCode(), Status: httpstatus.Of(sallyport.ErrorCode(err))}
	var known *sallyport.Error
	if errors.As(err, &known) && known.SupportCode != "" {
		f.SupportCode = known.SupportCode
	}
	level := slog.LevelInfo
	if f.Status >= 500 {
		level = slog.LevelError
	}
	s.log.LogAttrs(c.Request().Context(), level, "console request failed", slog.String("support_code", f.SupportCode),
		slog.String("code", string(sallyport.ErrorCode(err))), slog.String("method", c.Request().Method),
		slog.String("route", c.Path()), slog.Any("err", err))
	if c.Response().Committed {
		return
	}
	r := &request{Context: c, s: s}
	if session, serr := s.admin.Resume(c.Request().Context(), r.cookie(), r.visitor(), true); serr == nil && session.Stage() == admin.StageIn {
		r.session = session
		err = r.showAs(f.Status, Page{Title: errorTitle(f.Status), Content: "failure", Data: f})
	} else {
		err = r.showDoor(f.Status, door{Title: errorTitle(f.Status), Content: "failure", Data: f})
	}
	if err != nil {
		s.log.Error("error page not shown", "err", err)
	}
}

func errorTitle(status int) string {
	switch status {
	case http.StatusNotFound:
		return "Not found"
	case http.StatusForbidden:
		return "Not allowed"
	case http.StatusTooManyRequests:
		return "Too many tries"
	case http.StatusConflict:
		return "Changed meanwhile"
	case http.StatusBadRequest, http.StatusGone:
		return "That did not work"
	case http.StatusServiceUnavailable:
		return "Not available now"
	}
	return "Something went wrong"
}

// fromEcho gives errors of the router and of a body that is too long the codes of the domain.
func fromEcho(err error) error {
	var long *http.MaxBytesError
	var he *echo.HTTPError
	switch {
	case errors.As(err, &long):
		return sallyport.Errorf(sallyport.CodeInvalid, "What was sent is too long.", err)
	case errors.As(err, &he) && he.Code == http.StatusNotFound:
		return sallyport.Errorf(sallyport.CodeNotFound, "There is no page at this address.", err)
	case errors.As(err, &he) && he.Code == http.StatusMethodNotAllowed:
		return sallyport.Errorf(sallyport.CodeInvalid, "This address does not take this kind of request.", err)
	}
	return err
}

func peer(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return ""
	}
	return host
}
