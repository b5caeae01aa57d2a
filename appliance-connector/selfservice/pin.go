package selfservice

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport/sallyport"
)

// PINs in an hour that a user can set: each has to be hashed, which takes a while.
const (
	kindPIN    = "self-service-pin"
	maxPINs    = 10
	pinsWindow = time.Hour
)

func (s *Server) pinRoutes() {
	s.mux.HandleFunc("GET /me/pin", s.handle(signedIn((*request).askPIN)))
	s.mux.HandleFunc("POST /me/pin", s.handle(signedIn((*request).setPIN)))
}

// pin is what a user has of a PIN. The PIN itself is known to nobody.
type pin struct {
	Set   bool
	Since time.Time
}

// pin is nil where a PIN is of no use: policy lets nobody in by it, or the user has no token.
func (r *request) pin(ctx context.Context, standing sallyport.Standing, tokens []sallyport.OTPToken) (*pin, error) {
	if r.s.cfg.HashPIN == nil || !slices.Contains(standing.Workflow.Allowed, sallyport.PINAndOTP) ||
		!slices.ContainsFunc(tokens, func(t sallyport.OTPToken) bool { return t.State == sallyport.OTPTokenActive }) {
		return nil, nil
	}
	p, err := r.s.cfg.Store.OTPPIN(ctx, r.carried.Account)
	if err != nil || p == nil {
		return &pin{}, err
	}
	return &pin{true, p.Set}, nil
}

func (r *request) showPIN(status int, trouble string, p pin) error {
	key := "pinSet"
	if p.Set {
		key = "pinChange"
	}
	return r.show(status, "pin", page{Title: r.say(key), Lead: r.say("pinWhy"), Trouble: trouble})
}

func (r *request) askPIN() error {
	v, err := r.read(r.Context())
	if err != nil {
		return err
	}
	if v.PIN == nil {
		return errGone
	}
	return r.showPIN(http.StatusOK, "", *v.PIN)
}

// setPIN gives the user the PIN that was typed twice.
func (r *request) setPIN() error {
	ctx := r.Context()
	v, err := r.read(ctx)
	if err != nil {
		return err
	}
	if v.PIN == nil {
		return errGone
	}
	typed, again := sallyport.Secret(r.PostFormValue("pin")), sallyport.Secret(r.PostFormValue("again"))
	if trouble := pinProblem(typed, again); trouble != "" {
		return r.showPIN(http.StatusUnprocessableEntity, r.say(trouble), *v.PIN)
	}
	account := r.carried.Account
	n, err := r.s.cfg.Store.Failure(ctx, counted("pin", string(account)), kindPIN, r.s.cfg.Now(), pinsWindow)
	if err != nil {
		return err
	}
	if n > maxPINs {
		return tell(sallyport.CodeLimited, "tooMany", nil)
	}
	r.s.hashing.Lock()
	hash := r.s.cfg.HashPIN(typed)
	r.s.hashing.Unlock()
	if err := r.s.cfg.Store.As(r.actor()).SetOTPPIN(ctx, sallyport.OTPPIN{Account: account, Hash: hash, Set: r.s.cfg.Now(), By: string(account)}); err != nil {
		return err
	}
	return r.goTo(Path + "?done=pinSaved")
}

// pinProblem is the key of what is wrong with a new PIN; empty: nothing.
func pinProblem(typed, again sallyport.Secret) string {
	digits := !slices.ContainsFunc([]byte(typed), func(c byte) bool { return c < '0' || c > '9' })
	switch {
	case len(typed) < sallyport.OTPPINLeast || len(typed) > sallyport.OTPPINMost || !digits:
		return "pinForm"
	case sallyport.OTPPINProblem(typed) != "":
		return "pinEasy"
	case typed != again:
		return "pinDiffers"
	}
	return ""
}
