package passcode

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/otp"
)

// otpCode looks for a code among those of all the account's tokens.
func (c *Checker) otpCode(ctx context.Context, account sallyport.AccountName, code sallyport.Secret, request string, now time.Time) (fits []fit, why string, err error) {
	tokens, err := c.tokensOf(ctx, account)
	if err != nil {
		return nil, "", err
	}
	for _, t := range tokens {
		if p, found := otp.Find(t, code, now); found {
			fits = append(fits, fit{sallyport.MethodOTP, func(ctx context.Context) (bool, error) { return c.useOTP(ctx, account, t.ID, p, request) }})
		}
	}
	if len(tokens) == 0 {
		return nil, "no OTP token that counts", nil
	}
	return fits, "no code of the OTP token near where it was last; if it is the right token, resynchronise it", nil
}

// tokensOf are the account's tokens whose codes count.
func (c *Checker) tokensOf(ctx context.Context, account sallyport.AccountName) (good []sallyport.OTPToken, err error) {
	if c.Tokens == nil {
		return nil, nil
	}
	list, err := c.Tokens.OTPTokensOf(ctx, account)
	if err != nil {
		return nil, fmt.Errorf("read OTP tokens: %w", err)
	}
	for _, t := range list {
		if t.Good() {
			good = append(good, t)
		}
	}
	return good, nil
}

// useOTP uses up the code at a place, for one request.
func (c *Checker) useOTP(ctx context.Context, account sallyport.AccountName, id sallyport.OTPTokenID, p otp.Place, request string) (first bool, err error) {
	first, err = c.Tokens.UseOTPCode(ctx, account, id, p.Counter, p.Drift, request)
	if sallyport.ErrorCode(err) == sallyport.CodeNotFound {
		return false, nil // taken away or disabled this moment
	}
	if err != nil {
		return false, fmt.Errorf("use OTP code: %w", err)
	}
	return first, nil
}
