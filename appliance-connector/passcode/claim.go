package passcode

import (
	"context"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/otp"
)

const kindClaim = "otp-claim"

// Claims gives accounts the tokens that their owners have in their hands.
type Claims interface {
	// ClaimOTPToken gives an account the token of a serial number that nobody has, if find says so. An owner that did
	// so is told the same when it repeats itself.
	ClaimOTPToken(ctx context.Context, account sallyport.AccountName, serial, owner string,
		find func(sallyport.OTPToken) (counter, drift int64, err error)) (sallyport.OTPToken, error)
}

// errClaim is the one answer to what is not right: nobody learns which serial numbers there are, and whose they are.
var errClaim = sallyport.Errorf(sallyport.CodeDenied, "The serial number or the codes are not right. Type the next two codes that the token shows, one after the other.", nil)

// Claim gives an account the token that nobody has, whose serial number is right and whose next two codes are these; they
// count as used. Wrong tries are counted as those of passcodes are, and by themselves. request is as in CheckCode.
func (c *Checker) Claim(ctx context.Context, account sallyport.AccountName, serial string, codes [2]sallyport.Secret, request string) error {
	if c.Claims == nil {
		return errClaim
	}
	now := c.Now()
	t := tries{kind: kindClaim, most: MaxWrong, window: Window}
	why, err := c.count(ctx, account, &t, now)
	if err != nil {
		return err
	}
	if why != "" {
		return sallyport.Errorf(sallyport.CodeLimited, "Too many tries. Please wait a quarter of an hour.", nil)
	}
	typed := []sallyport.Secret{sallyport.CanonicalPasscode(codes[0]), sallyport.CanonicalPasscode(codes[1])}
	_, err = c.Claims.ClaimOTPToken(ctx, account, strings.TrimSpace(serial), request, func(token sallyport.OTPToken) (int64, int64, error) {
		p, err := otp.Resynchronise(token, typed, now)
		return p.Counter, p.Drift, err
	})
	switch sallyport.ErrorCode(err) {
	case "":
		c.right(ctx, account, t)
		return nil
	case sallyport.CodeNotFound, sallyport.CodeConflict, sallyport.CodeInvalid, sallyport.CodeDenied:
		c.Log.InfoContext(ctx, "OTP token not claimed", "account", account, "why", sallyport.ErrorMessage(err))
		c.wrong(ctx, account, t)
		return errClaim
	}
	return err
}
