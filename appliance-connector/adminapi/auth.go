package adminapi

import (
	"crypto/sha256"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"github.com/sallyport/sallyport"
)

// Bounds of what is done at once and how often. A program that keeps to them is never refused.
const (
	maxBusy      = 64 // requests under way
	maxLong      = 4  // exports and verifications of those
	longTime     = time.Minute
	tokenRate    = 50 // requests a second of one token, on this appliance
	tokenBurst   = 200
	maxTokens    = 10_000 // whose pace is kept; then those that rested are forgotten
	retrySeconds = "60"
	soonSeconds  = "1"
)

// realm is what WWW-Authenticate says (RFC 6750 section 3).
const realm = `Bearer realm="Sallyport administration"`

// authenticate finds who asks.
func (c *call) authenticate() error {
	scheme, token, _ := strings.Cut(c.Request().Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		c.Response().Header().Set("WWW-Authenticate", realm)
		return &problem{status: http.StatusUnauthorized, code: sallyport.CodeDenied, detail: "Send an API token: Authorization: Bearer TOKEN."}
	}
	host, _, err := net.SplitHostPort(c.Request().RemoteAddr)
	if err != nil {
		host = ""
	}
	secret := sallyport.Secret(strings.TrimSpace(token))
	c.actor, err = c.s.admin.ByToken(c.Request().Context(), secret, host)
	switch {
	case err == nil:
	case sallyport.ErrorCode(err) == sallyport.CodeDenied:
		c.Response().Header().Set("WWW-Authenticate", realm+`, error="invalid_token"`)
		return &problem{status: http.StatusUnauthorized, code: sallyport.CodeDenied, detail: "The API token is not valid, or no longer.", cause: err}
	default:
		return err
	}
	if !c.s.pace.allow(secret) {
		c.Response().Header().Set("Retry-After", soonSeconds)
		return sallyport.Errorf(sallyport.CodeLimited, "This token asks too often. Wait a second and try again.", nil)
	}
	return nil
}

// pace bounds how often each token asks. Only tokens that are good are kept.
type pace struct {
	now    func() time.Time
	mu     *sync.Mutex
	tokens map[[32]byte]*rate.Limiter
}

func newPace(now func() time.Time) pace {
	return pace{now: now, mu: new(sync.Mutex), tokens: map[[32]byte]*rate.Limiter{}}
}

func (p *pace) allow(token sallyport.Secret) bool {
	key, now := sha256.Sum256([]byte(token)), p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	l, known := p.tokens[key]
	if !known {
		if len(p.tokens) >= maxTokens {
			p.forget(now)
		}
		l = rate.NewLimiter(tokenRate, tokenBurst)
		p.tokens[key] = l
	}
	return l.AllowN(now, 1)
}

// forget drops the tokens that have rested long enough to begin anew.
func (p *pace) forget(now time.Time) {
	for key, l := range p.tokens {
		if l.TokensAt(now) >= tokenBurst {
			delete(p.tokens, key)
		}
	}
}

// admit bounds the requests under way.
func (s *Server) admit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		select {
		case s.busy <- struct{}{}:
		default:
			c.Response().Header().Set("Retry-After", soonSeconds)
			return sallyport.Errorf(sallyport.CodeLimited, "The appliance is busy with other requests. Wait a second and try again.", nil)
		}
		defer func() { <-s.busy }()
		return next(c)
	}
}

// takeLong takes one of the few places for what takes long.
func (s *Server) takeLong(c echo.Context) (release func(), err error) {
	select {
	case s.long <- struct{}{}:
		return func() { <-s.long }, nil
	default:
		c.Response().Header().Set("Retry-After", retrySeconds)
		return nil, sallyport.Errorf(sallyport.CodeLimited, "Other exports are under way. Try again in a minute.", nil)
	}
}

// extend gives the connection time for something long.
func (c *call) extend(d time.Duration) {
	control := http.NewResponseController(c.Response())
	until := time.Now().Add(d)          // the connection's clock is the system's
	_ = control.SetWriteDeadline(until) // where it cannot be set, the usual one ends the answer
	_ = control.SetReadDeadline(until)
}

// secure sets what every answer carries: nothing here is for a page, and nothing is kept.
func secure(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		return next(c)
	}
}
