// Package otp says what an OTP token shows, and finds where in a token's sequence a code stands that
// somebody typed: HOTP (RFC 4226) and TOTP (RFC 6238), with SHA-1, SHA-256 or SHA-512. It serves whoever
// checks logins and whoever resynchronises tokens. It keeps nothing and decides nothing: that a code is used
// once is settled by the store, and that guesses are counted by the caller.
package otp

import (
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/sallyport/sallyport"
)

const (
	// ahead is how many presses of the button an HOTP token may be ahead of what was last used: codes
	// that were shown and not typed (RFC 4226 section 7.4).
	ahead = 10
	// tolerance is by how much a code of a TOTP token may be early or late, the token's known drift left out: so
	// far its clock is followed from code to code. Further off, it has to be resynchronised.
	tolerance = time.Minute
)

// Place is where in a token's sequence a code was found.
type Place struct {
	// Counter is the counter or step that makes the code. The store refuses one that was used.
	Counter int64
	// Drift is what OTPToken.Drift becomes when the code is used.
	Drift int64
}

// Code returns the code that a token shows at a counter (HOTP) or step (TOTP).
func Code(t sallyport.OTPToken, counter int64) (sallyport.Secret, error) {
	if problem := t.Problem(); problem != "" || counter < 0 {
		return "", fmt.Errorf("make code at %d of token %q: %s", counter, t.Serial, problem)
	}
	return newGenerator(t).at(counter)
}

// Step returns the step of a TOTP token at a time, by this host's clock.
func Step(t sallyport.OTPToken, now time.Time) int64 { return now.Unix() / int64(t.Period/time.Second) }

// Find looks for a code near where the token is expected to be: for HOTP at the counters that follow what was
// used, for TOTP at the steps up to a minute around the token's own time. A place that was used already
// is found only if it is the last one, so that whoever used it may repeat the request: the store knows who it
// was. All places are tried, in the same time whether one fits or not. found is false for a token whose codes
// do not count.
func Find(t sallyport.OTPToken, code sallyport.Secret, now time.Time) (p Place, found bool) {
	if !t.Good() || t.Problem() != "" || !fits(t, code) {
		return Place{}, false
	}
	from, to := t.Next-1, t.Next+ahead
	if t.Kind == sallyport.TOTP {
		around, middle := int64(tolerance/t.Period), Step(t, now)+t.Drift
		from, to = middle-around, middle+around
	}
	counter, found := newGenerator(t).search(t.Next, from, to, code)
	if !found {
		return Place{}, false
	}
	return place(t, counter, now), true
}

// place makes a Place of where a code stands.
func place(t sallyport.OTPToken, counter int64, now time.Time) Place {
	if t.Kind == sallyport.HOTP {
		return Place{Counter: counter}
	}
	return Place{Counter: counter, Drift: counter - Step(t, now)}
}

// fits reports whether a code has the form of the token's.
func fits(t sallyport.OTPToken, code sallyport.Secret) bool {
	return len(code) == t.Digits && sallyport.LooksLikePasscode(code)
}

// generator makes the codes of one token.
type generator struct {
	secret string // as the library takes it
	how    hotp.ValidateOpts
}

func newGenerator(t sallyport.OTPToken) generator {
	g := generator{
		secret: base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(t.Seed),
		how:    hotp.ValidateOpts{Digits: otp.Digits(t.Digits), Algorithm: otp.AlgorithmSHA1},
	}
	switch t.Algorithm {
	case sallyport.SHA256:
		g.how.Algorithm = otp.AlgorithmSHA256
	case sallyport.SHA512:
		g.how.Algorithm = otp.AlgorithmSHA512
	}
	return g
}

func (g generator) at(counter int64) (sallyport.Secret, error) {
	code, err := hotp.GenerateCodeCustom(g.secret, uint64(counter), g.how)
	if err != nil {
		return "", fmt.Errorf("make code: %w", err)
	}
	return sallyport.Secret(code), nil
}

// search returns the first counter from next on, among from to to, that makes the code; failing that
// next-1, the last one used.
func (g generator) search(next, from, to int64, code sallyport.Secret) (counter int64, found bool) {
	for c := to; c >= max(from, next-1, 0); c-- {
		want, err := g.at(c)
		if err != nil {
			return 0, false
		}
		// One that was not used yet goes before the one that was.
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 && (c >= next || !found) {
			counter, found = c, true
		}
	}
	return counter, found
}
