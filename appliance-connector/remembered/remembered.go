// Package remembered decides whether a browser that says it was remembered may skip the second factor, and
// has browsers remembered.
//
// Four things have to agree, and none of them lets anybody in without the others:
//
//	the token      made and signed by an appliance of this enterprise: whose device, which key, since when;
//	               the cloud keeps it, and cannot make one
//	the signature  over this very login, by the key that cannot leave the browser
//	the list       in the store: what is not there, or was taken off it, is not remembered
//	the policy     of now, by this appliance's clock: allowed at all, since when, for how long
//
// The token holds a keyed hash in place of the account's name, so whoever reads it learns nobody's. The
// package never sees a password, and never lets anybody in whose password was not found right before.
package remembered

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/internal/browserkey"
	"github.com/sallyport/sallyport/internal/sealed"
)

// Skew is how far the clock of the appliance that remembered a device may be ahead.
const Skew = 90 * time.Second

// MaxToken bounds a token, in octets.
const MaxToken = 2 << 10

// Store keeps the list of remembered devices.
type Store interface {
	// PutRemembered repeated for the same id changes nothing.
	PutRemembered(ctx context.Context, d sallyport.RememberedDevice, replaces sallyport.RememberedID) error
	// UseRemembered counts a use: not_found for a device that is not on the account's list, conflict for a
	// count that does not go up.
	UseRemembered(ctx context.Context, id sallyport.RememberedID, account sallyport.AccountName, uses uint32, place string, now time.Time) (sallyport.RememberedDevice, error)
	ForgetRemembered(ctx context.Context, account sallyport.AccountName, id sallyport.RememberedID, why string) error
}

// Key signs tokens, under the id that stands in them.
type Key struct {
	ID     string
	Secret sallyport.Key // 32 octets
}

// Keeper checks and makes remembered devices of one enterprise.
type Keeper struct {
	Tenant sallyport.TenantID
	// Keys are those whose tokens are good; new ones are made under the first.
	Keys  []Key
	Store Store
}

const tokenType = "sallyport-remembered+jwt"

// tokenClaims are what a token says. Its end is not in it: policy sets that when it is used.
type tokenClaims struct {
	Issuer  string                 `json:"iss"` // the enterprise
	Subject string                 `json:"sub"` // keyed hash of the account's name
	ID      sallyport.RememberedID `json:"jti"`
	Key     string                 `json:"key"` // of the browser, base64url
	Made    int64                  `json:"at"`  // Unix microseconds: Since is as fine
	unvalidated
}

var encoding = base64.RawURLEncoding.Strict()

// subject hides an account's name.
func subject(k Key, account sallyport.AccountName) string {
	m := hmac.New(sha256.New, sealed.Derive(k.Secret, nil, "sallyport/v1 remembered account", sha256.Size))
	m.Write([]byte(account))
	return encoding.EncodeToString(m.Sum(nil)[:16])
}

func signingKey(k Key) []byte {
	return sealed.Derive(k.Secret, nil, "sallyport/v1 remembered token", sha256.Size)
}

// Make implements login.Remembered.
func (k Keeper) Make(ctx context.Context, d sallyport.RememberedDevice, key []byte, replaces sallyport.RememberedID) ([]byte, error) {
	if _, err := browserkey.ParseKey(key); err != nil {
		return nil, fmt.Errorf("read browser's key: %w", err)
	}
	token, err := k.sign(d, key)
	if err != nil {
		return nil, err
	}
	if err := k.Store.PutRemembered(ctx, d, replaces); err != nil {
		return nil, fmt.Errorf("put on the list: %w", err)
	}
	return token, nil
}

func (k Keeper) sign(d sallyport.RememberedDevice, key []byte) ([]byte, error) {
	current := k.Keys[0]
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, tokenClaims{
		Issuer: string(k.Tenant), Subject: subject(current, d.Account), ID: d.ID, Key: encoding.EncodeToString(key), Made: d.Made.UnixMicro(),
	})
	t.Header["typ"], t.Header["kid"] = tokenType, current.ID
	text, err := t.SignedString(signingKey(current))
	if err != nil {
		return nil, fmt.Errorf("sign token of remembered device: %w", err)
	}
	return []byte(text), nil
}

// token is a token whose signature holds.
type token struct {
	id   sallyport.RememberedID
	key  []byte // of the browser
	made time.Time
}

var (
	errToken      = errors.New("the record is not one that this enterprise made")
	errOtherUser  = errors.New("it was remembered for another user")
	errOtherToken = errors.New("the record is another device's")
)

// open checks a token: made by this enterprise, for this device and account. Its time is the caller's to
// judge.
func (k Keeper) open(text []byte, id sallyport.RememberedID, account sallyport.AccountName) (token, error) {
	if len(text) > MaxToken {
		return token{}, errToken
	}
	var c tokenClaims
	var under Key
	p := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	_, err := p.ParseWithClaims(string(text), &c, func(t *jwt.Token) (any, error) {
		if t.Header["typ"] != tokenType {
			return nil, errors.New("wrong typ")
		}
		if _, critical := t.Header["crit"]; critical {
			return nil, errors.New("unknown critical header") // RFC 7515 section 4.1.11
		}
		for _, key := range k.Keys {
			if t.Header["kid"] == key.ID {
				under = key
				return signingKey(key), nil
			}
		}
		return nil, errors.New("unknown kid")
	})
	if err != nil {
		return token{}, fmt.Errorf("%w: %w", errToken, err)
	}
	key, err := encoding.DecodeString(c.Key)
	switch {
	case err != nil || c.Issuer != string(k.Tenant):
		return token{}, errToken
	case c.ID != id:
		return token{}, errOtherToken
	case !hmac.Equal([]byte(c.Subject), []byte(subject(under, account))):
		return token{}, errOtherUser
	}
	return token{id: c.ID, key: key, made: time.UnixMicro(c.Made).UTC()}, nil
}

// Check implements login.Remembered.
func (k Keeper) Check(ctx context.Context, c login.RememberedClaim, l login.RememberedLogin) (login.RememberedVerdict, error) {
	no := func(why string) (login.RememberedVerdict, error) { return login.RememberedVerdict{Why: why}, nil }
	switch c.Finding {
	case login.RememberedGood:
	case login.RememberedCopied:
		return k.copied(ctx, c, l)
	default:
		return no(findingWords(c.Finding))
	}
	t, err := k.open(c.Token, c.ID, l.Account)
	if err != nil {
		return no(err.Error())
	}
	said := browserkey.Claim{Tenant: k.Tenant, Integration: l.Integration, Login: l.Login, UserName: l.UserName, ID: c.ID, Uses: c.Uses}
	if !said.SignedBy(t.key, c.Signature) {
		return no("the browser's signature does not hold for this login")
	}
	if why := tooOld(t.made, l); why != "" {
		return login.RememberedVerdict{Own: true, Why: why}, nil
	}
	d, err := k.Store.UseRemembered(ctx, c.ID, l.Account, c.Uses, l.Place, l.Now)
	switch sallyport.ErrorCode(err) {
	case "":
		// Made is the token's: nobody can move it by writing to the database.
		d.Made = t.made
		return login.RememberedVerdict{OK: true, Own: true, Device: d}, nil
	case sallyport.CodeNotFound:
		return no("it was forgotten")
	case sallyport.CodeConflict:
		return k.copied(ctx, c, l)
	}
	return login.RememberedVerdict{}, fmt.Errorf("count use: %w", err)
}

// tooOld says why policy does not take a device that was remembered at made; "" when it does.
func tooOld(made time.Time, l login.RememberedLogin) string {
	switch {
	case !l.Policy.Allowed:
		return "the workflow policy lets nobody skip the second factor"
	case made.After(l.Now.Add(Skew)):
		return "it was remembered by an appliance whose clock is ahead"
	case made.Before(l.Policy.Since):
		return "it was remembered before all were revoked"
	case made.Before(l.Since):
		return "it was remembered before 2FA was required on all devices of the user"
	case !l.Now.Before(made.Add(l.Policy.For)):
		return "it was remembered longer ago than the workflow policy allows"
	}
	return ""
}

// copied forgets a device of the account whose storage is in two places. That the cloud says so of a device
// which is not on the account's list says nothing about anybody.
func (k Keeper) copied(ctx context.Context, c login.RememberedClaim, l login.RememberedLogin) (login.RememberedVerdict, error) {
	err := k.Store.ForgetRemembered(ctx, l.Account, c.ID, "The browser's storage was copied: its count of uses went back.")
	switch sallyport.ErrorCode(err) {
	case "":
		return login.RememberedVerdict{Copied: true, Why: "its count of uses went back: the browser's storage was copied"}, nil
	case sallyport.CodeNotFound:
		return login.RememberedVerdict{Why: "it was forgotten"}, nil
	}
	return login.RememberedVerdict{}, fmt.Errorf("forget copied device: %w", err)
}

func findingWords(f login.RememberedFinding) string {
	switch f {
	case login.RememberedGone:
		return "the cloud has no record of it, or no more"
	case login.RememberedNoCookie:
		return "the cookie that came with it before is missing: cleared, blocked, or the storage was copied without it"
	case login.RememberedUnsigned:
		return "it was not signed by the browser that was remembered"
	}
	return "the cloud could not look its record up"
}

// unvalidated keeps golang-jwt from judging times: policy does.
type unvalidated struct{}

func (unvalidated) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }
func (unvalidated) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (unvalidated) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (unvalidated) GetIssuer() (string, error)                   { return "", nil }
func (unvalidated) GetSubject() (string, error)                  { return "", nil }
func (unvalidated) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }
