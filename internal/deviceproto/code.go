package deviceproto

import (
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/sallyport/sallyport"
)

// CodePeriod is how long a token code is shown.
const CodePeriod = 30 * time.Second

// CodeDigits is the length of a token code.
const CodeDigits = 6

// CodeStep numbers the period that t is in (RFC 6238 section 4.2). An appliance accepts a step once.
func CodeStep(t time.Time) int64 { return t.Unix() / int64(CodePeriod/time.Second) }

// TokenCode is what the device shows at t: RFC 6238 over seed, SHA-1, 30 s, six digits.
func TokenCode(seed sallyport.Key, t time.Time) (sallyport.Secret, error) {
	secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seed)
	code, err := totp.GenerateCodeCustom(secret, t, totp.ValidateOpts{
		Period: uint(CodePeriod / time.Second), Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1,
	})
	if err != nil {
		return "", fmt.Errorf("make token code: %w", err)
	}
	return sallyport.Secret(code), nil
}

// MatchTokenCode finds the step whose code this is, at most skew steps before or after now. Every step
// is tried in the same time, whether an earlier one matched or not; on a tie the oldest wins.
func MatchTokenCode(seed sallyport.Key, code sallyport.Secret, now time.Time, skew int64) (step int64, ok bool) {
	for d := skew; d >= -skew; d-- {
		at := now.Add(time.Duration(d) * CodePeriod)
		want, err := TokenCode(seed, at)
		if err != nil {
			return 0, false
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step, ok = CodeStep(at), true
		}
	}
	return step, ok
}
