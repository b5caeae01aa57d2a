package admin

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/otp"
	"github.com/sallyport/sallyport/appliance-connector/otp/tokenfile"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// MaxTokenFile is how long a file of OTP tokens may be, in octets.
const MaxTokenFile = tokenfile.MaxFile

// TokenFile is a file of OTP tokens as somebody brings it.
type TokenFile struct {
	File io.Reader
	// Key is the pre-shared key of a PSKC file, in hexadecimal or base64; empty: it needs none.
	Key        sallyport.Secret
	Passphrase sallyport.Secret
}

// TokenFilePreview is what a file holds, and what importing it would come to.
type TokenFilePreview struct {
	store.ComparedOTPTokens
	// Tokens are those of the file, without their seeds.
	Tokens []sallyport.OTPToken
}

// OTPTokens returns a page of the OTP tokens, without their seeds.
func (s *Service) OTPTokens(ctx context.Context, actor sallyport.Actor, q store.OTPTokenQuery) (store.OTPTokenPage, error) {
	db, err := s.as(actor, "OTPTokens")
	if err != nil {
		return store.OTPTokenPage{}, err
	}
	return db.OTPTokens(ctx, q)
}

// OTPToken returns one, without its seed.
func (s *Service) OTPToken(ctx context.Context, actor sallyport.Actor, id sallyport.OTPTokenID) (sallyport.OTPToken, error) {
	db, err := s.as(actor, "OTPToken")
	if err != nil {
		return sallyport.OTPToken{}, err
	}
	t, err := tokenInScope(ctx, db, actor, id)
	t.Seed = nil
	return t, err
}

// OTPTokenBySerial returns the token of a serial number, without its seed.
func (s *Service) OTPTokenBySerial(ctx context.Context, actor sallyport.Actor, serial string) (sallyport.OTPToken, error) {
	db, err := s.as(actor, "OTPTokenBySerial")
	if err != nil {
		return sallyport.OTPToken{}, err
	}
	page, err := db.OTPTokens(ctx, store.OTPTokenQuery{Serial: serial, Most: 1})
	if err == nil && (len(page.Tokens) == 0 || serial == "") {
		err = sallyport.Errorf(sallyport.CodeNotFound, "There is no OTP token of this serial number.", nil)
	}
	if err != nil {
		return sallyport.OTPToken{}, err
	}
	t, err := tokenInScope(ctx, db, actor, page.Tokens[0].ID)
	t.Seed = nil
	return t, err
}

// tokenInScope reads a token whose owner the actor looks after. One that is nobody's can be given to those.
func tokenInScope(ctx context.Context, db *store.Store, actor sallyport.Actor, id sallyport.OTPTokenID) (sallyport.OTPToken, error) {
	t, err := db.OTPToken(ctx, id)
	if err != nil || t.Account == "" || actor.Scope.Unlimited() {
		return t, err
	}
	u, err := db.UserByAccount(ctx, t.Account)
	if err == nil {
		err = inScope(actor, u)
	}
	if sallyport.ErrorCode(err) == sallyport.CodeNotFound {
		err = sallyport.Errorf(sallyport.CodeNotFound, "There is no such OTP token, or you do not look after its owner.", nil)
	}
	if err != nil {
		return sallyport.OTPToken{}, err
	}
	return t, nil
}

// UserOTPTokens returns the OTP tokens of a user, by serial number, without their seeds.
func (s *Service) UserOTPTokens(ctx context.Context, actor sallyport.Actor, id sallyport.UserID) ([]sallyport.OTPToken, error) {
	db, err := s.as(actor, "UserOTPTokens")
	if err != nil {
		return nil, err
	}
	u, err := userInScope(ctx, db, actor, id)
	if err != nil {
		return nil, err
	}
	page, err := db.OTPTokens(ctx, store.OTPTokenQuery{Account: u.Account})
	return page.Tokens, err
}

// PreviewOTPTokens reads a file of OTP tokens and says what ImportOTPTokens would do, and changes nothing. What is wrong
// with the file is in the error's chain as tokenfile.Problems, line by line.
func (s *Service) PreviewOTPTokens(ctx context.Context, actor sallyport.Actor, f TokenFile) (TokenFilePreview, error) {
	db, err := s.as(actor, "PreviewOTPTokens")
	if err != nil {
		return TokenFilePreview{}, err
	}
	tokens, err := f.read()
	if err != nil {
		return TokenFilePreview{}, err
	}
	var p TokenFilePreview
	p.ComparedOTPTokens, err = db.CompareOTPTokens(ctx, tokens)
	for i := range tokens {
		tokens[i].Seed = nil
	}
	p.Tokens = tokens
	return p, err
}

// ImportOTPTokens adds the tokens of a file, all or none.
func (s *Service) ImportOTPTokens(ctx context.Context, actor sallyport.Actor, f TokenFile) (store.ImportedOTPTokens, error) {
	db, err := s.as(actor, "ImportOTPTokens")
	if err != nil {
		return store.ImportedOTPTokens{}, err
	}
	tokens, err := f.read()
	if err != nil {
		return store.ImportedOTPTokens{}, err
	}
	return db.ImportOTPTokens(ctx, tokens)
}

func (f TokenFile) read() ([]sallyport.OTPToken, error) {
	u := tokenfile.Unlock{Passphrase: f.Passphrase}
	if f.Key != "" {
		var ok bool
		if u.Key, ok = readTokenKey(f.Key); !ok {
			return nil, FieldErrors{"key": "The key has 16, 24 or 32 octets, in hexadecimal or base64."}.err()
		}
	}
	return tokenfile.Read(f.File, u)
}

// readTokenKey reads a pre-shared key. A text of hexadecimal digits is one: as base64 it would have another length.
func readTokenKey(text sallyport.Secret) (sallyport.Key, bool) {
	s := strings.NewReplacer(" ", "", ":", "", "\n", "", "\r", "", "\t", "").Replace(string(text))
	sizes := []int{16, 24, 32}
	if key, err := hex.DecodeString(strings.TrimPrefix(strings.ToLower(s), "0x")); err == nil && slices.Contains(sizes, len(key)) {
		return key, true
	}
	key, err := base64.StdEncoding.DecodeString(s)
	return key, err == nil && slices.Contains(sizes, len(key))
}

// AssignOTPToken gives a token that is nobody's to a user.
func (s *Service) AssignOTPToken(ctx context.Context, actor sallyport.Actor, id sallyport.OTPTokenID, version int64, user sallyport.UserID) (sallyport.OTPToken, error) {
	db, err := s.as(actor, "AssignOTPToken")
	if err != nil {
		return sallyport.OTPToken{}, err
	}
	u, err := userInScope(ctx, db, actor, user)
	if err != nil {
		return sallyport.OTPToken{}, err
	}
	if u.State != sallyport.UserActive {
		return sallyport.OTPToken{}, sallyport.Errorf(sallyport.CodeConflict, fmt.Sprintf("This account is %s in the directory; a token would be of no use.", u.State), nil)
	}
	if _, err := tokenInScope(ctx, db, actor, id); err != nil {
		return sallyport.OTPToken{}, err
	}
	return db.AssignOTPToken(ctx, id, version, u.Account)
}

// UnassignOTPToken takes a token from its owner.
func (s *Service) UnassignOTPToken(ctx context.Context, actor sallyport.Actor, id sallyport.OTPTokenID, version int64) (sallyport.OTPToken, error) {
	db, err := s.as(actor, "UnassignOTPToken")
	if err != nil {
		return sallyport.OTPToken{}, err
	}
	if _, err := tokenInScope(ctx, db, actor, id); err != nil {
		return sallyport.OTPToken{}, err
	}
	return db.UnassignOTPToken(ctx, id, version)
}

// DisableOTPToken makes a token's codes count no more, until it is enabled.
func (s *Service) DisableOTPToken(ctx context.Context, actor sallyport.Actor, id sallyport.OTPTokenID, version int64) (sallyport.OTPToken, error) {
	db, err := s.as(actor, "DisableOTPToken")
	if err != nil {
		return sallyport.OTPToken{}, err
	}
	return setTokenState(ctx, db, actor, id, version, sallyport.OTPTokenDisabled)
}

// EnableOTPToken makes the codes of a token that was disabled count again.
func (s *Service) EnableOTPToken(ctx context.Context, actor sallyport.Actor, id sallyport.OTPTokenID, version int64) (sallyport.OTPToken, error) {
	db, err := s.as(actor, "EnableOTPToken")
	if err != nil {
		return sallyport.OTPToken{}, err
	}
	return setTokenState(ctx, db, actor, id, version, sallyport.OTPTokenActive)
}

func setTokenState(ctx context.Context, db *store.Store, actor sallyport.Actor, id sallyport.OTPTokenID, version int64, state sallyport.OTPTokenState) (sallyport.OTPToken, error) {
	if _, err := tokenInScope(ctx, db, actor, id); err != nil {
		return sallyport.OTPToken{}, err
	}
	return db.SetOTPTokenState(ctx, id, version, state)
}

// ResynchroniseOTPToken finds a token again that is too far from where it is expected, by two codes that it shows one
// after the other. They count as used.
func (s *Service) ResynchroniseOTPToken(ctx context.Context, actor sallyport.Actor, id sallyport.OTPTokenID, codes []sallyport.Secret) (sallyport.OTPToken, error) {
	db, err := s.as(actor, "ResynchroniseOTPToken")
	if err != nil {
		return sallyport.OTPToken{}, err
	}
	t, err := tokenInScope(ctx, db, actor, id)
	if err != nil {
		return sallyport.OTPToken{}, err
	}
	canonical := make([]sallyport.Secret, len(codes))
	for i, c := range codes {
		canonical[i] = sallyport.CanonicalPasscode(c)
	}
	p, err := otp.Resynchronise(t, canonical, s.now())
	if sallyport.ErrorCode(err) == sallyport.CodeDenied { // the codes are, and not who asks
		err = sallyport.Errorf(sallyport.CodeInvalid, sallyport.ErrorMessage(err), nil)
	}
	if err != nil {
		return sallyport.OTPToken{}, err
	}
	return db.ResynchroniseOTPToken(ctx, id, p.Counter, p.Drift)
}

// DeleteOTPToken forgets a token.
func (s *Service) DeleteOTPToken(ctx context.Context, actor sallyport.Actor, id sallyport.OTPTokenID, version int64) error {
	db, err := s.as(actor, "DeleteOTPToken")
	if err != nil {
		return err
	}
	return db.DeleteOTPToken(ctx, id, version)
}
