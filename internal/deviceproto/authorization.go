package deviceproto

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
)

const (
	authorizationType   = "sallyport-device+jwt"
	authorizationScheme = "Device "
	// AuthorizationLife is the longest time from iat to exp.
	AuthorizationLife = 60 * time.Second
	// ClockSkew is how far the clocks of device and token service may differ.
	ClockSkew        = 90 * time.Second
	maxAuthorization = 2048
)

// Request is what an authorization is bound to.
type Request struct {
	// Audience is the device address, without a slash at its end.
	Audience string
	Method   string
	// Path is the path below the device address, without the query: "/v1/challenges".
	Path string
	Body []byte
}

// Authorization is a checked authorization.
type Authorization struct {
	Tenant sallyport.TenantID
	Device sallyport.DeviceID
	// ID is to be accepted once, until Expires plus ClockSkew.
	ID      string
	Expires time.Time
}

type authorizationClaims struct {
	Issuer   string `json:"iss"`
	Tenant   string `json:"tenant"`
	Audience string `json:"aud"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	ID       string `json:"jti"`
	Method   string `json:"htm"`
	Path     string `json:"htu"`
	BodyHash string `json:"bh"`
	unvalidated
}

// Authorize makes the value of the Authorization header for one request of a device.
func Authorize(signer crypto.Signer, tenant sallyport.TenantID, r Request, now time.Time) (string, error) {
	device, err := deviceOf(signer)
	if err != nil {
		return "", err
	}
	token, err := signJWS(signer, authorizationType, authorizationClaims{
		Issuer: string(device), Tenant: string(tenant), Audience: r.Audience,
		IssuedAt: now.Unix(), Expires: now.Add(AuthorizationLife).Unix(), ID: sallyport.NewID(),
		Method: r.Method, Path: r.Path, BodyHash: bodyHash(r.Body),
	})
	if err != nil {
		return "", fmt.Errorf("authorize request: %w", err)
	}
	return authorizationScheme + token, nil
}

// FindKey returns the public key of a device of an enterprise.
type FindKey func(sallyport.TenantID, sallyport.DeviceID) (*ecdsa.PublicKey, error)

// VerifyAuthorization checks the Authorization header of a request. The error is a *sallyport.Error
// with CodeDenied, or what find returned when that has a code of its own. The caller sees to it that
// the ID is accepted once.
func VerifyAuthorization(header string, find FindKey, r Request, now time.Time) (Authorization, error) {
	token, found := strings.CutPrefix(header, authorizationScheme)
	if !found || len(token) > maxAuthorization {
		return Authorization{}, denied(errors.New("no device authorization"))
	}
	var c authorizationClaims
	var lookup *sallyport.Error
	err := parseJWS(token, authorizationType, &c, func(kid string) (*ecdsa.PublicKey, error) {
		// Form, request and times come first: they cost nothing, the key costs a look-up.
		if err := c.check(kid, r, now); err != nil {
			return nil, err
		}
		pub, err := find(sallyport.TenantID(c.Tenant), sallyport.DeviceID(kid))
		if errors.As(err, &lookup) || err != nil {
			return nil, err
		}
		if Thumbprint(pub) != sallyport.DeviceID(kid) {
			return nil, errors.New("key on file is another device's")
		}
		return pub, nil
	})
	switch {
	case lookup != nil:
		return Authorization{}, lookup
	case err != nil:
		return Authorization{}, denied(err)
	}
	return Authorization{
		Tenant: sallyport.TenantID(c.Tenant), Device: sallyport.DeviceID(c.Issuer),
		ID: c.ID, Expires: time.Unix(c.Expires, 0),
	}, nil
}

func (c authorizationClaims) check(kid string, r Request, now time.Time) error {
	switch {
	case !sallyport.ValidID(kid) || c.Issuer != kid:
		return errors.New("iss is not kid")
	case !sallyport.ValidID(c.Tenant):
		return errors.New("tenant is missing")
	case !sallyport.ValidID(c.ID):
		return errors.New("jti is missing")
	case c.Audience != r.Audience:
		return errors.New("aud is another service")
	case c.Method != r.Method || c.Path != r.Path:
		return errors.New("made for another request")
	case subtle.ConstantTimeCompare([]byte(c.BodyHash), []byte(bodyHash(r.Body))) != 1:
		return errors.New("made for another body")
	}
	issued, expires := time.Unix(c.IssuedAt, 0), time.Unix(c.Expires, 0)
	if life := expires.Sub(issued); life <= 0 || life > AuthorizationLife {
		return errors.New("exp is not within 60 s after iat")
	}
	if issued.After(now.Add(ClockSkew)) || !expires.After(now.Add(-ClockSkew)) {
		return errors.New("too old, or the clocks differ")
	}
	return nil
}

func bodyHash(body []byte) string {
	sum := sha256.Sum256(body)
	return Encode(sum[:])
}

func denied(cause error) *sallyport.Error {
	return sallyport.Errorf(sallyport.CodeDenied, "This device is not known here, or its clock is wrong.", cause)
}
