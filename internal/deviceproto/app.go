package deviceproto

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
)

const (
	appType = "sallyport-app+jwt"
	// NumberMatching is the capability to ask for the number that the sign-in page shows.
	NumberMatching = "number_matching"
	maxCapability  = 32
	// MaxCapabilities is how many an app may tell.
	MaxCapabilities = 16
	// MaxVersion is the most characters of an app's version.
	MaxVersion = 32
	// MaxSealedApp is the most octets of what a device says of its app, sealed.
	MaxSealedApp = 2 << 10
)

// Capabilities are what an app says it can do; nil: it says nothing, as apps did before there were any.
type Capabilities []string

// CapabilitiesOf writes them.
func CapabilitiesOf(a sallyport.App) Capabilities {
	if a.WithoutNumberMatching {
		return Capabilities{}
	}
	return Capabilities{NumberMatching}
}

// App is what version and capabilities say.
func (c Capabilities) App(version string) sallyport.App {
	return sallyport.App{Version: strings.TrimSpace(version), WithoutNumberMatching: c != nil && !slices.Contains(c, NumberMatching)}
}

func (c Capabilities) check() error {
	if len(c) > MaxCapabilities {
		return errors.New("at most 16 capabilities can be told")
	}
	for _, one := range c {
		if one == "" || len(one) > maxCapability || strings.Trim(one, "abcdefghijklmnopqrstuvwxyz_") != "" {
			return errors.New("capabilities are words of a to z and _, of at most 32 characters")
		}
	}
	return nil
}

func checkApp(version string, c Capabilities) error {
	if !plainText(version, 0, MaxVersion) {
		return errors.New("appVersion has at most 32 printable characters")
	}
	return c.check()
}

type appClaims struct {
	Issuer       string       `json:"iss"`
	IssuedAt     int64        `json:"iat"`
	Version      string       `json:"appVersion"`
	Capabilities Capabilities `json:"capabilities"`
	unvalidated
}

// DecodeApp reads the form of a sealed value of SealApp; "" is none.
func DecodeApp(text string) ([]byte, error) {
	box, err := Decode(text)
	if err != nil || len(box) > MaxSealedApp {
		return nil, errors.New("app must have at most 2048 octets in base64url")
	}
	return box, nil
}

// AppBody is the body of PUT /v1/device/app.
type AppBody struct {
	Sealed string `json:"sealed"` // base64url; from SealApp
}

// SealApp signs what a device says of its app, and seals it for the appliance.
func SealApp(key crypto.Signer, detailsKey sallyport.Key, a sallyport.App, at time.Time) ([]byte, error) {
	device, err := deviceOf(key)
	if err != nil {
		return nil, err
	}
	jws, err := signJWS(key, appType, appClaims{Issuer: string(device), IssuedAt: at.Unix(), Version: a.Version, Capabilities: CapabilitiesOf(a)})
	if err != nil {
		return nil, err
	}
	plain := fill([]byte(jws), answerBlock)
	if len(plain)+sealed.Overhead > MaxSealedApp {
		return nil, errors.New("what is said of the app is too long")
	}
	return sealed.Seal(detailsKey, plain, appAAD(device)), nil
}

// OpenApp opens and checks it on the appliance. Any error means: not from the device.
func OpenApp(detailsKey sallyport.Key, publicKey []byte, device sallyport.DeviceID, box []byte) (sallyport.App, error) {
	pub, err := ParsePublicKey(publicKey)
	if err != nil {
		return sallyport.App{}, err
	}
	if Thumbprint(pub) != device || len(box) > MaxSealedApp {
		return sallyport.App{}, sealed.ErrOpen
	}
	plain, err := sealed.Open(detailsKey, box, appAAD(device))
	if err != nil {
		return sallyport.App{}, err
	}
	return parseApp(plain, pub, device)
}

func parseApp(plain []byte, pub *ecdsa.PublicKey, device sallyport.DeviceID) (sallyport.App, error) {
	var c appClaims
	err := parseJWS(string(bytes.TrimRight(plain, " ")), appType, &c, func(kid string) (*ecdsa.PublicKey, error) {
		if kid != string(device) {
			return nil, errors.New("wrong kid")
		}
		return pub, nil
	})
	if err == nil && c.Issuer != string(device) {
		err = errors.New("said of another device")
	}
	if err == nil {
		err = checkApp(c.Version, c.Capabilities)
	}
	if err != nil {
		return sallyport.App{}, err
	}
	return c.Capabilities.App(c.Version), nil
}

func appAAD(device sallyport.DeviceID) []byte { return sealed.Fields("app", string(device)) }
