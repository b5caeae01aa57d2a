package selfservice

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/internal/sealed"
)

const (
	cookieName = "__Host-sallyport-me"
	// sessionLife is how long somebody is signed in, whatever they do.
	sessionLife = 15 * time.Minute
	maxCookie   = 4000 // octets; browsers keep 4,096 with the name
	// kindEnded counts sign-outs, so that what a browser carried before is worth nothing on any appliance.
	kindEnded = "self-service-end"
)

var cookieAAD = []byte("sallyport/v1 self-service")

// carried is what a browser carries, sealed: a sign-in under way, or somebody who is signed in.
type carried struct {
	// ID is that of the session, or of the login under way.
	ID       string                `json:"i"`
	In       bool                  `json:"n,omitempty"`
	Account  sallyport.AccountName `json:"a,omitempty"`
	UserName string                `json:"u"`
	End      int64                 `json:"e"` // Unix milliseconds
	// Step is the login under way, or the enrolment.
	Step *login.State `json:"s,omitempty"`
	// Replaces is the device that ends when the enrolment does.
	Replaces sallyport.DeviceID `json:"r,omitempty"`
}

// open reads what the browser carries. What does not open, is over, or was signed out counts as nothing.
func (r *request) open() error {
	c, err := r.Cookie(cookieName)
	if err != nil || len(c.Value) > maxCookie {
		return nil
	}
	box, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil {
		return nil
	}
	text, err := sealed.Open(r.s.cfg.Key, box, cookieAAD)
	if err != nil {
		return nil
	}
	var v carried
	if err := json.Unmarshal(text, &v); err != nil || r.s.cfg.Now().UnixMilli() >= v.End {
		return nil
	}
	if v.In {
		ended, err := r.s.cfg.Store.Failures(r.Context(), counted("session", v.ID), kindEnded, r.s.cfg.Now(), sessionLife)
		if err != nil {
			return err
		}
		if ended > 0 {
			return nil
		}
	}
	r.carried = &v
	return nil
}

// keep has the browser carry v from now on; nil: nothing.
func (r *request) keep(v *carried) error {
	r.carried = v
	c := &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if v != nil {
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("encode session: %w", err)
		}
		c.Value, c.MaxAge = base64.RawURLEncoding.EncodeToString(sealed.Seal(r.s.cfg.Key, text, cookieAAD)), 0
		if len(c.Value) > maxCookie {
			return fmt.Errorf("session has %d octets, which browsers do not keep", len(c.Value))
		}
	}
	http.SetCookie(r.w, c)
	return nil
}

// once reports whether a step is taken for the first time: what a browser carried before cannot be played again, on any appliance.
func (r *request) once(what string, parts ...string) error {
	sum := sha256.Sum256(sealed.Fields(append([]string{"self-service " + what}, parts...)...))
	now := r.s.cfg.Now()
	first, err := r.s.cfg.Store.Claim(r.Context(), sum[:], now.Add(login.Life+sessionLife), now)
	if err != nil {
		return err
	}
	if !first {
		return tell(sallyport.CodeConflict, "over", nil)
	}
	return nil
}

// tier is one limit on signing in: at most most tries within window.
type tier struct {
	kind   string
	most   int
	window time.Duration
}

// The directory's own count comes on top, and the engine's of passcodes: these bound how fast somebody may try at all.
var (
	hereTiers     = []tier{{"self-service-1", 30, time.Minute}, {"self-service-2", 200, time.Hour}}
	nameHereTiers = []tier{{"self-service-3", 5, time.Minute}, {"self-service-4", 15, 15 * time.Minute}}
)

// counted makes the name under which the store counts; the hash keeps what was typed out of the database.
func counted(parts ...string) sallyport.AccountName {
	sum := sha256.Sum256(sealed.Fields(append([]string{"self-service"}, parts...)...))
	return sallyport.AccountName("self-service " + hex.EncodeToString(sum[:16]))
}

// attempt counts a try before it is looked at, on all appliances.
func (s *Server) attempt(ctx context.Context, name, address string) error {
	for who, tiers := range map[sallyport.AccountName][]tier{counted("here", address): hereTiers, counted("name here", name, address): nameHereTiers} {
		for _, t := range tiers {
			n, err := s.cfg.Store.Failure(ctx, who, t.kind, s.cfg.Now(), t.window)
			if err != nil {
				return err
			}
			if n > t.most {
				return tell(sallyport.CodeLimited, "tooMany", nil)
			}
		}
	}
	return nil
}
