package deviceproto

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
)

const answerType = "sallyport-answer+jwt"

// Answer is what the user decided, as the device signs it: an approval or a refusal.
type Answer struct {
	Challenge sallyport.ChallengeID
	Decision  sallyport.Decision
	// Number is what the user typed; "" when nothing was asked for.
	Number string
	// User and Application are what the device showed. The appliance compares them with what it
	// asked, so that nobody approves one thing while seeing another.
	User        string
	Application string
	// At is the device's clock; for the audit trail only.
	At time.Time
	// App is what the device says of its app; nil: nothing.
	App *sallyport.App
}

type answerClaims struct {
	Issuer      string             `json:"iss"`
	Subject     string             `json:"sub"`
	IssuedAt    int64              `json:"iat"`
	Decision    sallyport.Decision `json:"decision"`
	Number      string             `json:"number"`
	User        string             `json:"user"`
	Application string             `json:"application"`
	// Of the app; absent in answers of apps that do not tell.
	Version      string       `json:"appVersion,omitempty"`
	Capabilities Capabilities `json:"capabilities,omitzero"`
	unvalidated
}

// SealAnswer signs an answer with the device's key and seals it for the appliance.
func SealAnswer(key crypto.Signer, detailsKey sallyport.Key, a Answer) ([]byte, error) {
	device, err := deviceOf(key)
	if err != nil {
		return nil, err
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	claims := answerClaims{
		Issuer: string(device), Subject: string(a.Challenge), IssuedAt: a.At.Unix(),
		Decision: a.Decision, Number: a.Number, User: a.User, Application: a.Application,
	}
	if a.App != nil {
		claims.Version, claims.Capabilities = a.App.Version, CapabilitiesOf(*a.App)
	}
	jws, err := signJWS(key, answerType, claims)
	if err != nil {
		return nil, fmt.Errorf("sign answer: %w", err)
	}
	plain := fill([]byte(jws), answerBlock)
	if len(plain)+sealed.Overhead > MaxSealedAnswer {
		return nil, errors.New("answer is too long")
	}
	return sealed.Seal(detailsKey, plain, answerAAD(a.Challenge, device)), nil
}

// OpenAnswer opens and checks an answer on the appliance: sealed by this device for this challenge,
// signed by its key (publicKey is SubjectPublicKeyInfo DER) and saying so inside. Number, user and
// application are the caller's to compare with what was asked. Any error means: not from the device.
func OpenAnswer(detailsKey sallyport.Key, publicKey []byte, device sallyport.DeviceID, id sallyport.ChallengeID, box []byte) (Answer, error) {
	pub, err := ParsePublicKey(publicKey)
	if err != nil {
		return Answer{}, err
	}
	if Thumbprint(pub) != device {
		return Answer{}, errors.New("device key is another device's")
	}
	if len(box) > MaxSealedAnswer {
		return Answer{}, sealed.ErrOpen
	}
	plain, err := sealed.Open(detailsKey, box, answerAAD(id, device))
	if err != nil {
		return Answer{}, err
	}
	return parseAnswer(plain, pub, device, id)
}

func parseAnswer(plain []byte, pub *ecdsa.PublicKey, device sallyport.DeviceID, id sallyport.ChallengeID) (Answer, error) {
	var c answerClaims
	err := parseJWS(string(bytes.TrimRight(plain, " ")), answerType, &c, func(kid string) (*ecdsa.PublicKey, error) {
		if kid != string(device) {
			return nil, errors.New("wrong kid")
		}
		return pub, nil
	})
	if err != nil {
		return Answer{}, fmt.Errorf("check answer: %w", err)
	}
	if c.Issuer != string(device) || c.Subject != string(id) {
		return Answer{}, errors.New("answer is for another device or challenge")
	}
	a := Answer{Challenge: id, Decision: c.Decision, Number: c.Number, User: c.User, Application: c.Application, At: time.Unix(c.IssuedAt, 0)}
	if c.Capabilities != nil {
		if err := checkApp(c.Version, c.Capabilities); err != nil {
			return Answer{}, err
		}
		app := c.Capabilities.App(c.Version)
		a.App = &app
	}
	if err := a.check(); err != nil {
		return Answer{}, err
	}
	return a, nil
}

func (a Answer) check() error {
	if !sallyport.ValidID(string(a.Challenge)) {
		return errors.New("answer names no challenge")
	}
	switch a.Decision {
	case sallyport.DecisionApprove, sallyport.DecisionDeny, sallyport.DecisionNotMe:
	default:
		return errors.New("answer has no decision that is known")
	}
	if len(a.Number) > 8 || len(a.User) > 1024 || len(a.Application) > 1024 {
		return errors.New("answer has a field that is too long")
	}
	return nil
}

// unvalidated makes claims out of a struct whose times golang-jwt shall not judge.
type unvalidated struct{}

func (unvalidated) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }
func (unvalidated) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (unvalidated) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (unvalidated) GetIssuer() (string, error)                   { return "", nil }
func (unvalidated) GetSubject() (string, error)                  { return "", nil }
func (unvalidated) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }
