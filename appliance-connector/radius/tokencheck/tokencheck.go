// Package tokencheck decides about RADIUS requests whose password is a gateway token, which the
// overlay put into the gateway's form, or a passcode (a token code, a temporary code), which the user
// typed there because overlay or cloud could not be reached. It decides about the second factor only: the
// gateway has checked the directory password by itself.
//
// A passcode is taken from those whom policy asks for one. Who would get in through the overlay on the
// password alone (no licence, or not enrolled) gives nothing here that could be checked, and is refused:
// while the overlay is away, two factors or none. A gateway token was made after policy was asked, a
// minute ago at most, and is not asked about again.
package tokencheck

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/radius"
	"github.com/sallyport/sallyport/internal/gatewaytoken"
)

// Claimer settles that a token is used once, by whoever is first. An owner that was first is so again.
type Claimer interface {
	ClaimAs(ctx context.Context, key, owner []byte, ttl time.Duration) (first bool, err error)
	// Local reports whether ClaimAs waits for nothing.
	Local() bool
}

// Directory finds the account that a user name means. An error means that there is none, or that the
// directory did not say.
type Directory interface {
	Identify(ctx context.Context, typed string) (sallyport.AccountName, error)
}

// SyntacticDirectory is a Directory that knows what some names mean without asking anybody: bare
// names and DOMAIN\name. Nothing about the account's existence follows from that.
type SyntacticDirectory interface {
	Directory
	IdentifyNow(typed string) (sallyport.AccountName, bool)
}

// Codes checks a passcode, which may be of any of the methods, and says which one it was of; "" when it is
// not right. It uses a device's code up when it is right.
type Codes interface {
	CheckCode(ctx context.Context, account sallyport.AccountName, code sallyport.Secret, request string, methods []sallyport.Method, sent []sallyport.Secret) (by sallyport.Method, why string, err error)
}

// Standings tells what is known of an account when it logs in, as of one moment.
type Standings interface {
	Standing(ctx context.Context, account sallyport.AccountName) (sallyport.Standing, error)
}

// Options are what a Verifier works with. Zero values have the defaults named.
type Options struct {
	// Keys returns the keys as they are now; they rotate.
	Keys      func() gatewaytoken.Ring
	Claimer   Claimer
	Directory Directory
	Standings Standings
	Codes     Codes
	// Recorder is told of decisions; nil: nothing is recorded.
	Recorder Recorder
	// SupportCode is the support code of the login whose token has the nonce; it comes with a Recorder.
	SupportCode func(nonce [8]byte) string
	Now         func() time.Time // nil: time.Now
	// Even is when a refusal is answered, counted from the request, if the directory or the codes
	// were asked: their time must not tell whether the user exists. 250 ms.
	Even time.Duration
}

// Verifier is a radius.InstantVerifier.
type Verifier struct {
	opts      Options
	syntactic SyntacticDirectory // the Directory, when it is one
}

// New returns a Verifier.
func New(opts Options) *Verifier {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Even == 0 {
		opts.Even = 250 * time.Millisecond
	}
	v := &Verifier{opts: opts}
	v.syntactic, _ = opts.Directory.(SyntacticDirectory)
	return v
}

// VerifyNow decides about gateway tokens when it need not wait: those that are refused whoever the
// user may be, and, with a local Claimer, all.
func (v *Verifier) VerifyNow(q *radius.Query) (radius.Verdict, bool) {
	if v.syntactic == nil || !gatewaytoken.LooksLike(string(q.Passcode)) {
		return radius.Verdict{}, false
	}
	account, ok := v.syntactic.IdentifyNow(q.UserName)
	if !ok {
		return radius.Verdict{}, false
	}
	claim, err := v.opts.Keys().Check(q.Passcode, q.Integration.ID, account, v.opts.Now())
	if err != nil {
		return badToken(err), true
	}
	if !v.opts.Claimer.Local() {
		return radius.Verdict{}, false
	}
	verdict := v.claim(context.Background(), q, claim)
	verdict.Account = account
	return verdict, true
}

// Verify decides about anything.
func (v *Verifier) Verify(ctx context.Context, q radius.Query) radius.Verdict {
	even := time.NewTimer(v.opts.Even)
	defer even.Stop()
	verdict := v.verify(ctx, &q)
	if !verdict.Accept {
		select {
		case <-even.C:
		case <-ctx.Done():
		}
	}
	return verdict
}

func (v *Verifier) verify(ctx context.Context, q *radius.Query) radius.Verdict {
	token := gatewaytoken.LooksLike(string(q.Passcode))
	if !token && !sallyport.LooksLikePasscode(sallyport.CanonicalPasscode(q.Passcode)) {
		return notAPasscode(q.Passcode)
	}
	account, err := v.opts.Directory.Identify(ctx, q.UserName)
	if err != nil {
		return unidentified(err)
	}
	verdict := v.verifyAs(ctx, q, account, token)
	verdict.Account = account
	return verdict
}

func (v *Verifier) verifyAs(ctx context.Context, q *radius.Query, account sallyport.AccountName, token bool) radius.Verdict {
	if !token {
		return v.code(ctx, q, account)
	}
	claim, err := v.opts.Keys().Check(q.Passcode, q.Integration.ID, account, v.opts.Now())
	if err != nil {
		return badToken(err)
	}
	return v.claim(ctx, q, claim)
}

// claim settles that the token is used once. The request owns the claim: repeated, at this appliance
// or at another, it is let in again; the same token in another request is not.
func (v *Verifier) claim(ctx context.Context, q *radius.Query, c gatewaytoken.Claim) radius.Verdict {
	key, owner := c.Key(), owner(q)
	first, err := v.opts.Claimer.ClaimAs(ctx, key[:], owner[:], gatewaytoken.ClaimTTL)
	switch {
	case err != nil:
		return refuse(fmt.Sprintf("could not settle that the gateway token is used once: %v", err),
			"check the tunnel to the cloud and the network between the appliances; the user may log in again")
	case !first:
		return refuse("gateway token used before",
			"if the user did not log in twice: check that the gateway repeats packets unchanged, and look for a stolen token")
	}
	v.tokenTaken(c)
	return radius.Verdict{Accept: true}
}

func owner(q *radius.Query) [16]byte {
	var room [128]byte
	b := append(room[:0], "sallyport/v1 claim owner\x00"...)
	b = append(b, q.Request[:]...)
	b = append(b, q.Integration.ID...)
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16])
}

func refuse(reason, cure string) radius.Verdict { return radius.Verdict{Reason: reason, Cure: cure} }

func unidentified(err error) radius.Verdict {
	if sallyport.ErrorCode(err) == sallyport.CodeUnavailable {
		return refuse(fmt.Sprintf("directory did not answer: %v", err), "check the domain controllers and the network to them")
	}
	return refuse(fmt.Sprintf("unknown user: %v", err), "check the name that the gateway sends, and that the account may log in")
}

func notAPasscode(p sallyport.Secret) radius.Verdict {
	if len(p) == 0 {
		return refuse("empty passcode", "let the gateway send the third field (password1) as the RADIUS password")
	}
	return refuse(fmt.Sprintf("neither a gateway token nor a passcode (%d characters)", len(p)),
		"let the gateway send the third field (password1), uncut and not the directory password, as the RADIUS password")
}

func badToken(err error) radius.Verdict {
	switch {
	case errors.Is(err, gatewaytoken.ErrExpired):
		return refuse(err.Error(), "log in again; if it is so for everybody, set the clocks of the appliances")
	case errors.Is(err, gatewaytoken.ErrTooEarly):
		return refuse(err.Error(), "set the clocks of the appliances")
	case errors.Is(err, gatewaytoken.ErrWrongUser):
		return refuse(err.Error(), "check that the gateway sends the user name as typed, and that the page's script is this integration's")
	case errors.Is(err, gatewaytoken.ErrUnknownKey):
		return refuse(err.Error(), "check that this appliance has the enterprise's current keys")
	}
	return refuse(err.Error(), "check that the gateway sends the third field unchanged, and that the page's script is of this enterprise")
}
