package login

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/relyingparty"
)

// Passkeys knows the passkeys of accounts. A page has its own: they are bound to its origin.
type Passkeys interface {
	// Ask returns what navigator.credentials.get takes.
	Ask(ctx context.Context, p PasskeyCeremony) (json.RawMessage, error)
	// Check reads what the browser answers; why says what is wrong with it, and is empty when nothing is.
	Check(ctx context.Context, p PasskeyCeremony, answer []byte) (why string, err error)
	// Offer returns what navigator.credentials.create takes.
	Offer(ctx context.Context, p PasskeyCeremony) (json.RawMessage, error)
	// Enrol keeps a passkey as the account's, and names it.
	Enrol(ctx context.Context, p PasskeyCeremony, answer []byte) (name string, err error)
}

// PasskeyCeremony is one use, or the making, of a passkey.
type PasskeyCeremony struct {
	Account  sallyport.AccountName
	UserName string // as typed
	Origin   string // of the page
	// Challenge is 32 octets, for this one ceremony.
	Challenge []byte
}

// takesPasskeys reports whether a page can ask for passkeys and make them.
func (e *Engine) takesPasskeys(a Attempt) bool {
	return e.Passkeys != nil && slices.Contains(a.Shows, sallyport.PromptPasskey) && pageHost(a.Origin) != ""
}

// pageHost is the host that passkeys of a page are bound to; empty: browsers do none there.
func pageHost(origin string) string {
	host, err := relyingparty.Host(origin)
	if err != nil {
		return ""
	}
	return host
}

func (e *Engine) ceremony(s State) PasskeyCeremony {
	return PasskeyCeremony{Account: s.Account, UserName: s.UserName, Origin: s.Origin,
		Challenge: e.draw("passkey", string(s.Login), strconv.FormatUint(uint64(s.Version), 10))}
}

func (e *Engine) askPasskey(ctx context.Context, s State, why sallyport.Reason) (State, error) {
	s.Kind, s.Reason, s.Until, s.Used = sallyport.PromptPasskey, why, s.End, sallyport.MethodPasskey
	s = s.next()
	var err error
	if s.Passkey, err = e.Passkeys.Ask(ctx, e.ceremony(s)); err != nil {
		return State{}, e.fail(ctx, s, sallyport.CodeUnavailable, "Sign-in is not available right now. Please try again.", fmt.Errorf("ask for passkey: %w", err))
	}
	return s, nil
}

// UsePasskey takes what the browser says of a passkey.
func (e *Engine) UsePasskey(ctx context.Context, s State, answer []byte) (State, error) {
	if s.Kind != sallyport.PromptPasskey {
		return s, errStep
	}
	why, err := e.Passkeys.Check(ctx, e.ceremony(s), answer)
	if err != nil {
		return s, e.fail(ctx, s, sallyport.CodeUnavailable, "The passkey could not be checked. Please try again.", fmt.Errorf("check passkey: %w", err))
	}
	s.Passkey = nil
	if why == "" {
		e.log(ctx, s, "passkey is right", "step", 10, "account", s.Account, "method", s.Used)
		e.usual(ctx, s)
		return e.accept(ctx, s, "The password and the passkey are right.")
	}
	e.log(ctx, s, "passkey refused", "step", 10, "account", s.Account, "why", why)
	if s.Codes++; s.Codes >= maxCodes {
		return e.deny(ctx, s, sallyport.ReasonTooManyCodes, "The last passkey: "+why+"."), nil
	}
	return e.askPasskey(ctx, s, sallyport.ReasonWrongCode)
}
