package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/sealed"
)

const (
	recoveryCodes = 10
	codeDrift     = 1 // steps of 30 s by which a clock may differ
	seedSize      = 20
	// stepLife is how long a step that the browser carries sealed can be finished.
	stepLife = 10 * time.Minute
)

// errFactor is the one answer to whatever is wrong with a second factor.
var errFactor = sallyport.Errorf(sallyport.CodeDenied, "This was not right. Please try again.", nil)

// errLastFactor keeps the second factor from being taken away.
var errLastFactor = sallyport.Errorf(sallyport.CodeConflict, "This is your only second factor. Add another one first.", nil)

// errConfirm asks for the second factor again, before something dangerous.
var errConfirm = sallyport.Errorf(sallyport.CodeDenied, "Please confirm that it is you.", nil)

// Factors are the second factors of an administrator.
type Factors struct {
	Passkeys []Passkey
	TOTP     bool
	Recovery int // recovery codes that are left
}

// Factors lists those of the session's administrator.
func (s *Service) Factors(ctx context.Context, session *Session) (Factors, error) {
	return s.factors(ctx, session.admin.ID)
}

func (s *Service) factors(ctx context.Context, id sallyport.AdministratorID) (f Factors, err error) {
	if f.Passkeys, err = s.passkeys(ctx, id); err != nil {
		return f, err
	}
	seed, err := s.db.TOTP(ctx, id)
	if err != nil {
		return f, err
	}
	f.TOTP = len(seed) > 0
	f.Recovery, err = s.db.RecoveryCodes(ctx, id)
	return f, err
}

func (s *Service) hasFactor(ctx context.Context, id sallyport.AdministratorID) (bool, error) {
	f, err := s.factors(ctx, id)
	return f.TOTP || len(f.Passkeys) > 0, err
}

// mayEnrol: making a second factor takes a session that has shown one lately, or an administrator who has none.
func mayEnrol(session *Session) error {
	if session.stage == StageEnrol || session.Confirmed() {
		return nil
	}
	return errConfirm
}

// CheckCode takes six digits of the code generator, or a recovery code, as the second factor: of a session
// that waits for it, or to confirm. The session it gives has a new token; the old one has ended.
func (s *Service) CheckCode(ctx context.Context, session *Session, typed sallyport.Secret) (*Session, error) {
	if session.stage == StageEnrol {
		return nil, errFactor
	}
	start, counters := s.now(), codeCounters(session.admin.ID)
	how, err := s.checkCode(ctx, session, typed, counters)
	if err != nil {
		s.answerLater(ctx, start)
		return nil, err
	}
	s.succeeded(ctx, counters)
	return s.signedIn(ctx, session, how)
}

func (s *Service) checkCode(ctx context.Context, session *Session, typed sallyport.Secret, counters []counter) (how string, err error) {
	if err := s.attempt(ctx, counters); err != nil {
		return "", err
	}
	code := strings.Join(strings.Fields(string(typed)), "")
	if len(code) == deviceproto.CodeDigits {
		ok, err := s.matchTOTP(ctx, session.admin.ID, sallyport.Secret(code))
		if ok || err != nil {
			return "code generator", err
		}
	} else if len(code) <= 64 {
		ok, err := s.db.TakeRecoveryCode(ctx, session.admin.ID, s.recoveryHash(session.admin.ID, sallyport.Secret(code)))
		if ok || err != nil {
			return "recovery code", err
		}
	}
	return "", errors.Join(errFactor, s.tell(ctx, session, "administrator.second-factor-refused", "wrong code"))
}

func (s *Service) matchTOTP(ctx context.Context, id sallyport.AdministratorID, code sallyport.Secret) (bool, error) {
	seed, err := s.db.TOTP(ctx, id)
	if err != nil || len(seed) == 0 {
		return false, err
	}
	return s.useCode(ctx, id, seed, code)
}

// useCode checks a code, and takes each one once on all appliances.
func (s *Service) useCode(ctx context.Context, id sallyport.AdministratorID, seed sallyport.Key, code sallyport.Secret) (bool, error) {
	now := s.now()
	step, ok := deviceproto.MatchTokenCode(seed, code, now, codeDrift)
	if !ok {
		return false, nil
	}
	claim := sha256.Sum256(sealed.Fields("console code", string(id), string(seed), fmt.Sprint(step)))
	return s.db.Claim(ctx, claim[:], now.Add((2*codeDrift+1)*deviceproto.CodePeriod), now)
}

// TOTPOffer is a code generator that is being set up.
type TOTPOffer struct {
	// URI is what the QR code holds ("otpauth://…"), Secret the same for typing.
	URI    sallyport.Secret
	Secret sallyport.Secret
	// State goes through the browser and back, sealed.
	State string
}

// totpState is what State holds.
type totpState struct {
	Seed []byte `json:"seed"`
}

// OfferTOTP makes a secret for a code generator. It counts only when EnrolTOTP has seen a code of it.
func (s *Service) OfferTOTP(_ context.Context, session *Session) (TOTPOffer, error) {
	if err := mayEnrol(session); err != nil {
		return TOTPOffer{}, err
	}
	seed := make(sallyport.Key, seedSize)
	rand.Read(seed)
	state, err := s.sealStep(session, "totp", totpState{seed})
	return offer(session.admin.Name, seed, state), err
}

// OfferTOTPAgain is the same offer once more, for a form that is shown again.
func (s *Service) OfferTOTPAgain(_ context.Context, session *Session, state string) (TOTPOffer, error) {
	var kept totpState
	if err := s.openStep(session, "totp", state, &kept); err != nil {
		return TOTPOffer{}, err
	}
	return offer(session.admin.Name, kept.Seed, state), nil
}

func offer(name string, seed sallyport.Key, state string) TOTPOffer {
	secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seed)
	return TOTPOffer{URI: OTPAuth(name, seed), Secret: sallyport.Secret(secret), State: state}
}

// OTPAuth is the address by which code generators take a secret (the "otpauth" scheme).
func OTPAuth(name string, seed sallyport.Key) sallyport.Secret {
	secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seed)
	u := url.URL{Scheme: "otpauth", Host: "totp", Path: "/Sallyport:" + name,
		RawQuery: url.Values{"secret": {secret}, "issuer": {"Sallyport"}}.Encode()}
	return sallyport.Secret(u.String())
}

// EnrolTOTP ends the setting up with a first code. Of an administrator who had no second factor it gives
// recovery codes as well. Either way the session has a new token.
func (s *Service) EnrolTOTP(ctx context.Context, session *Session, state string, code sallyport.Secret) (*Session, []sallyport.Secret, error) {
	if err := mayEnrol(session); err != nil {
		return nil, nil, err
	}
	var kept totpState
	if err := s.openStep(session, "totp", state, &kept); err != nil {
		return nil, nil, err
	}
	if err := s.attempt(ctx, codeCounters(session.admin.ID)); err != nil {
		return nil, nil, err
	}
	ok, err := s.useCode(ctx, session.admin.ID, kept.Seed, sallyport.Secret(strings.Join(strings.Fields(string(code)), "")))
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		return nil, nil, FieldErrors{"code": "This is not the code that the app shows now. Check the clock of the phone."}.err()
	}
	if err := s.db.As(ownActor(session)).SetTOTP(ctx, session.admin.ID, kept.Seed); err != nil {
		return nil, nil, err
	}
	s.succeeded(ctx, codeCounters(session.admin.ID))
	return s.enrolled(ctx, session, "code generator")
}

// enrolled gives a session that has shown its new factor.
func (s *Service) enrolled(ctx context.Context, session *Session, what string) (*Session, []sallyport.Secret, error) {
	left, err := s.db.RecoveryCodes(ctx, session.admin.ID)
	if err != nil {
		return nil, nil, err
	}
	var codes []sallyport.Secret
	if left == 0 {
		if codes, err = s.newRecoveryCodes(ctx, session); err != nil {
			return nil, nil, err
		}
	}
	out, err := s.signedIn(ctx, session, what)
	return out, codes, err
}

// DeleteTOTP removes the code generator, unless it is the only second factor.
func (s *Service) DeleteTOTP(ctx context.Context, session *Session) error {
	if !session.Confirmed() {
		return errConfirm
	}
	keys, err := s.passkeys(ctx, session.admin.ID)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return errLastFactor
	}
	return s.db.As(ownActor(session)).SetTOTP(ctx, session.admin.ID, nil)
}

// NewRecoveryCodes replaces the recovery codes. They are shown once.
func (s *Service) NewRecoveryCodes(ctx context.Context, session *Session) ([]sallyport.Secret, error) {
	if !session.Confirmed() {
		return nil, errConfirm
	}
	return s.newRecoveryCodes(ctx, session)
}

func (s *Service) newRecoveryCodes(ctx context.Context, session *Session) ([]sallyport.Secret, error) {
	id := session.admin.ID
	codes := make([]sallyport.Secret, recoveryCodes)
	hashes := make([][32]byte, recoveryCodes)
	for i := range codes {
		codes[i] = sallyport.NewCode(2) // 50 bits, each good once, and tries are counted
		hashes[i] = s.recoveryHash(id, codes[i])
	}
	return codes, s.db.As(ownActor(session)).SetRecoveryCodes(ctx, id, hashes)
}

// recoveryHash is keyed: the codes are too short for a plain hash to keep from who has the database.
func (s *Service) recoveryHash(id sallyport.AdministratorID, code sallyport.Secret) [32]byte {
	return [32]byte(sealed.Derive(s.cfg.Key, []byte(sallyport.CanonicalCode(code)), "sallyport/v1 recovery code "+string(id), 32))
}

// sealStep packs what has to be remembered between two steps for the browser to carry: sealed, for this
// session only, for stepLife.
func (s *Service) sealStep(session *Session, what string, v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode step: %w", err)
	}
	ends := s.now().Add(stepLife).UTC().Format(time.RFC3339)
	box := sealed.Seal(s.cfg.Key, append([]byte(ends+"\n"), text...), stepPlace(session, what))
	return base64.RawURLEncoding.EncodeToString(box), nil
}

func (s *Service) openStep(session *Session, what, state string, v any) error {
	gone := func(err error) error {
		return sallyport.Errorf(sallyport.CodeExpired, "This page has been open for too long. Please begin again.", err)
	}
	box, err := base64.RawURLEncoding.DecodeString(state)
	if err != nil || len(box) > 16<<10 {
		return gone(err)
	}
	text, err := sealed.Open(s.cfg.Key, box, stepPlace(session, what))
	if err != nil {
		return gone(err)
	}
	ends, rest, _ := strings.Cut(string(text), "\n")
	until, err := time.Parse(time.RFC3339, ends)
	if err != nil || s.now().After(until) {
		return gone(err)
	}
	return json.Unmarshal([]byte(rest), v)
}

func stepPlace(session *Session, what string) []byte {
	return sealed.Fields("sallyport/v1 console step", what, string(session.record.Hash[:]))
}
