package otp

import (
	"crypto/subtle"
	"time"

	"github.com/sallyport/sallyport"
)

const (
	// farAhead is how many presses ahead an HOTP token is looked for.
	farAhead = 1000
	// farDrift is how far a TOTP token's clock may be off: one that was read in another zone is found as well.
	farDrift = 26 * time.Hour
	// fewestCodes and mostCodes are how many codes it takes.
	fewestCodes, mostCodes = 2, 3
)

// Resynchronise looks far and wide for a token that shows codes, two or three that follow on one another, and
// returns the place of the last of them. Places that were used are not looked at: old codes that somebody
// noted down do not bring a token back. Two codes of six digits are found somewhere by chance once in 100
// million tries.
func Resynchronise(t sallyport.OTPToken, codes []sallyport.Secret, now time.Time) (Place, error) {
	if problem := t.Problem(); problem != "" {
		return Place{}, sallyport.Errorf(sallyport.CodeInvalid, problem, nil)
	}
	if len(codes) < fewestCodes || len(codes) > mostCodes {
		return Place{}, sallyport.Errorf(sallyport.CodeInvalid, "Type two or three codes that the token shows one after the other.", nil)
	}
	for _, code := range codes {
		if !fits(t, code) {
			return Place{}, sallyport.Errorf(sallyport.CodeInvalid, "One of these is not a code of this token: look at how many digits it shows.", nil)
		}
	}
	from, to := t.Next, t.Next+farAhead
	if t.Kind == sallyport.TOTP {
		steps := int64(farDrift / t.Period)
		from, to = max(t.Next, Step(t, now)-steps), Step(t, now)+steps
	}
	last, found := newGenerator(t).run(max(from, 0), to, codes)
	if !found {
		return Place{}, sallyport.Errorf(sallyport.CodeDenied,
			"The token does not show these codes one after the other, or they were used already. Wait for new ones, and leave none out.", nil)
	}
	return place(t, last, now), nil
}

// run returns the last counter of the first run among from to to that makes these codes.
func (g generator) run(from, to int64, codes []sallyport.Secret) (last int64, found bool) {
	matched := make([]int, len(codes)) // matched[i]: whether codes[:i+1] end at the counter before
	for c := from; c <= to; c++ {
		want, err := g.at(c)
		if err != nil {
			return 0, false
		}
		for i := len(codes) - 1; i >= 0; i-- {
			before := 1
			if i > 0 {
				before = matched[i-1]
			}
			matched[i] = before & subtle.ConstantTimeCompare([]byte(want), []byte(codes[i]))
		}
		if matched[len(codes)-1] == 1 && !found {
			last, found = c, true
		}
	}
	return last, found
}
