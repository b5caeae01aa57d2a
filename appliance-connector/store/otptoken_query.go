package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"

	"github.com/sallyport/sallyport"
)

// OTPTokenQuery says which OTP tokens are meant; the zero value means all.
type OTPTokenQuery struct {
	// Text finds the tokens with it somewhere in the serial number or the account, whatever its case.
	Text    string
	Account sallyport.AccountName
	// Serial finds the one token of that serial number, whatever its case.
	Serial string
	Kind   sallyport.OTPKind
	State  sallyport.OTPTokenState
	// Assigned asks for those that have an owner, or have none.
	Assigned *bool
	// After is the Next of the page before.
	After string
	// Most is how many at most, 1 to 1,000; 0 means 50.
	Most int
}

// OTPTokenPage is a part of a list of OTP tokens, without their seeds.
type OTPTokenPage struct {
	Tokens []sallyport.OTPToken
	// Next asks for the next page; empty: this is the last one.
	Next string
	// Total is how many tokens are meant on all pages.
	Total int
}

// OTPTokens returns a page of tokens by serial number, without their seeds.
func (s *Store) OTPTokens(ctx context.Context, q OTPTokenQuery) (page OTPTokenPage, err error) {
	most, err := pageSize(q.Most)
	if err != nil {
		return OTPTokenPage{}, err
	}
	c, err := q.conditions()
	if err != nil {
		return OTPTokenPage{}, err
	}
	after, err := serialAfter(q.After)
	if err != nil {
		return OTPTokenPage{}, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM otp_tokens`+c.where(), c.args...).Scan(&page.Total); err != nil {
			return fmt.Errorf("count OTP tokens: %w", err)
		}
		if after != "" {
			c.add(`serial_folded > ?`, after)
		}
		rows, err := tx.QueryContext(ctx, fmt.Sprintf(`SELECT `+otpTokenPlain+` FROM otp_tokens%s ORDER BY serial_folded LIMIT %d`, c.where(), most+1), c.args...)
		if err != nil {
			return err
		}
		page.Tokens, err = collect(rows, func(rows *sql.Rows) (sallyport.OTPToken, error) { return scanPlainToken(rows) })
		return err
	})
	if err != nil {
		return OTPTokenPage{}, s.engine.failure("list OTP tokens", err)
	}
	if len(page.Tokens) > most {
		page.Tokens = page.Tokens[:most]
		page.Next = base64.RawURLEncoding.EncodeToString([]byte(fold(page.Tokens[most-1].Serial)))
	}
	return page, nil
}

func (q OTPTokenQuery) conditions() (c conditions, err error) {
	switch q.Kind {
	case "", sallyport.HOTP, sallyport.TOTP:
	default:
		return c, invalidf(`The type of an OTP token is "hotp" or "totp".`)
	}
	switch q.State {
	case "", sallyport.OTPTokenActive, sallyport.OTPTokenDisabled:
	default:
		return c, invalidf("An OTP token is active or disabled.")
	}
	if q.Account != "" {
		if err := checkAccount(q.Account); err != nil {
			return c, err
		}
	}
	c.equal("account", string(q.Account))
	c.equal("serial_folded", fold(q.Serial))
	c.equal("kind", string(q.Kind))
	c.equal("state", string(q.State))
	if q.Assigned != nil {
		c.add(map[bool]string{true: `account <> ''`, false: `account = ''`}[*q.Assigned])
	}
	if text := searchWord(q.Text); text != "" {
		c.add(`(serial_folded LIKE ? ESCAPE '!' OR account LIKE ? ESCAPE '!')`, contains(text), contains(text))
	}
	return c, nil
}

// serialAfter takes the mark of a page from outside; empty begins.
func serialAfter(mark string) (string, error) {
	if len(mark) <= maxCursor {
		serial, err := base64.RawURLEncoding.Strict().DecodeString(mark)
		if err == nil && len(serial) <= sallyport.OTPSerialMost && clean(string(serial), sallyport.OTPSerialMost) == string(serial) {
			return string(serial), nil
		}
	}
	return "", invalidf("This page does not exist. Begin at the first one.")
}
