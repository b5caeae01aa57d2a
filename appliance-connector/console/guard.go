package console

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport"
)

// contentPolicy lets a page take its scripts, style, pictures and answers from the console itself and from nowhere
// else, and lets nobody frame it.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// secure sets what every answer carries.
func (s *Server) secure(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		// Not "no-referrer": browsers then send "Origin: null" with forms, which sameOrigin refuses.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store")
		if !s.cfg.Certificate.Own {
			// A browser heeds this only with a certificate that it trusts, and then for every port of the host.
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		most := int64(maxBody)
		if s.uploads[c.Path()] {
			most = maxUpload
		}
		c.Request().Body = http.MaxBytesReader(c.Response(), c.Request().Body, most)
		return next(c)
	}
}

// ownHost answers under the console's own name only, when it was told one.
func (s *Server) ownHost(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		host := c.Request().Host
		if h, port, err := net.SplitHostPort(host); err == nil && (h == "" || port == "") || host == "" || strings.ContainsAny(host, "/\\@?# \t") {
			return sallyport.Errorf(sallyport.CodeInvalid, "The request names no host.", nil)
		}
		if s.cfg.URL == "" {
			return next(c)
		}
		u, err := url.Parse(s.cfg.URL)
		if err != nil || strings.EqualFold(u.Host, host) {
			return next(c)
		}
		if safe(c.Request().Method) {
			return c.Redirect(http.StatusFound, strings.TrimSuffix(s.cfg.URL, "/")+c.Request().URL.RequestURI())
		}
		return sallyport.Errorf(sallyport.CodeInvalid, "The console has another address. Open "+s.cfg.URL+".", nil)
	}
}

func origin(c echo.Context) string { return "https://" + strings.ToLower(c.Request().Host) }

func safe(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// errOtherSite is a form that was sent from elsewhere.
var errOtherSite = errors.New("header Origin or Sec-Fetch-Site names another site, or the browser sends neither")

// sameOrigin refuses whatever changes something unless the browser says that the console's own page sent
// it. It holds before anybody is signed in, too: else somebody could be signed in as somebody else.
func (s *Server) sameOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if safe(r.Method) {
			return next(c)
		}
		from, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
		if from == "" && site == "" || from != "" && !strings.EqualFold(from, origin(c)) || site != "" && site != "same-origin" {
			return sallyport.Errorf(sallyport.CodeDenied, "This form was not sent from the console. Open the page again.", errOtherSite)
		}
		return next(c)
	}
}
