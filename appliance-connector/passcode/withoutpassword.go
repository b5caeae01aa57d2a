package passcode

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/otp"
	"github.com/sallyport/sallyport/internal/secrethash"
)

// Guessing without the directory password. Everybody who knows a name can try, so besides the quarter of an hour
// there is a day: with a token of six digits, of which the next eleven are looked at, twenty guesses a day come
// right once in 4,500 days for each account. They are counted apart from the passcodes that follow a right
// password: who knows only the name keeps nobody from those.
const (
	MaxWrongADay = 20
	aDay         = 24 * time.Hour

	kindAlone     = "otp-alone"
	kindAloneADay = "otp-alone-day"
)

// PINs are the PINs of accounts.
type PINs interface {
	// OTPPIN returns nil for an account that has none.
	OTPPIN(ctx context.Context, account sallyport.AccountName) (*sallyport.OTPPIN, error)
}

// HashPIN makes what is kept of a PIN.
func HashPIN(pin sallyport.Secret) sallyport.Secret { return sallyport.Secret(secrethash.Make(pin)) }

// shortest and longest are how many digits can stand in the password's place.
const (
	shortest = 6
	longest  = sallyport.OTPPINMost + 8
)

// LooksPasswordless reports whether what was typed as a password has the form of a code of an OTP token, with or
// without a PIN before it: so that nothing else is looked up.
func (*Checker) LooksPasswordless(typed sallyport.Secret) bool {
	if len(typed) < shortest || len(typed) > longest {
		return false
	}
	return !slices.ContainsFunc([]byte(typed), func(c byte) bool { return c < '0' || c > '9' })
}

// CheckWithoutPassword takes what was typed in the password's place, in one of the ways that policy lets the
// account in by: sallyport.OTPAlone, a code, or sallyport.PINAndOTP, the PIN and right behind it the code. It says
// which way it was, "" when it is not right. A code is used up whether or not the PIN before it was right, so
// that one code tries one PIN. request and why are as in CheckCode.
//
// A PIN is looked at behind a right code only, which takes a while: the caller sees to it that refusals take the same
// time.
func (c *Checker) CheckWithoutPassword(ctx context.Context, account sallyport.AccountName, typed sallyport.Secret, request string, ways []sallyport.Combination) (by sallyport.Combination, why string, err error) {
	if !c.LooksPasswordless(typed) {
		return "", "not the digits of a code, or of a PIN and a code", nil
	}
	now := c.Now()
	counted := []*tries{{kind: kindAlone, most: MaxWrong, window: Window}, {kind: kindAloneADay, most: MaxWrongADay, window: aDay}}
	for _, t := range counted {
		if why, err = c.count(ctx, account, t, now); why != "" || err != nil {
			return "", why, err
		}
	}
	if by, why, err = c.matchAlone(ctx, account, typed, request, ways, now); by == "" || err != nil {
		for _, t := range counted {
			c.wrong(ctx, account, *t)
		}
		return "", why, err
	}
	for _, t := range counted {
		c.right(ctx, account, *t)
	}
	return by, "", nil
}

// alone is a code that is right, and what was typed before it.
type alone struct {
	way   sallyport.Combination
	token sallyport.OTPTokenID
	place otp.Place
	pin   sallyport.Secret
}

func (c *Checker) matchAlone(ctx context.Context, account sallyport.AccountName, typed sallyport.Secret, request string, ways []sallyport.Combination, now time.Time) (by sallyport.Combination, why string, err error) {
	tokens, err := c.tokensOf(ctx, account)
	if err != nil {
		return "", "", err
	}
	why = "no code of the OTP token near where it was last; if it is the right token, resynchronise it"
	for _, a := range findAlone(tokens, typed, ways, now) {
		first, err := c.useOTP(ctx, account, a.token, a.place, request)
		if err != nil {
			return "", "", err
		}
		if !first {
			why = "the code, or a later one, was used already"
			continue
		}
		right, err := c.pinMatches(ctx, account, a)
		if err != nil {
			return "", "", err
		}
		if right {
			return a.way, "", nil
		}
		why = "the code is right and used up; the PIN is wrong, or there is none"
	}
	return "", why, nil
}

// findAlone looks for the code at the end of what was typed among those of all tokens.
func findAlone(tokens []sallyport.OTPToken, typed sallyport.Secret, ways []sallyport.Combination, now time.Time) (found []alone) {
	for _, t := range tokens {
		cut := len(typed) - t.Digits
		way := sallyport.OTPAlone
		if cut >= sallyport.OTPPINLeast && cut <= sallyport.OTPPINMost {
			way = sallyport.PINAndOTP
		} else if cut != 0 {
			continue
		}
		p, right := otp.Find(t, typed[cut:], now)
		if right && slices.Contains(ways, way) {
			found = append(found, alone{way, t.ID, p, typed[:cut]})
		}
	}
	return found
}

func (c *Checker) pinMatches(ctx context.Context, account sallyport.AccountName, a alone) (bool, error) {
	if a.way == sallyport.OTPAlone {
		return true, nil
	}
	if c.PINs == nil {
		return false, nil
	}
	kept, err := c.PINs.OTPPIN(ctx, account)
	if err != nil {
		return false, fmt.Errorf("read PIN: %w", err)
	}
	// One at a time: each takes 19 MiB.
	c.hashing.Lock()
	defer c.hashing.Unlock()
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("check PIN: %w", err)
	}
	if kept == nil {
		secrethash.Burn(a.pin)
		return false, nil
	}
	right, err := secrethash.Match(string(kept.Hash), a.pin)
	if err != nil {
		return false, fmt.Errorf("check PIN: %w", err)
	}
	return right, nil
}
