package sealed

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/sallyport/sallyport"
)

// The lengths of docs/protocol/browser.md section 2, in octets.
const (
	EncSize        = 65
	plaintextSize  = 512
	CiphertextSize = plaintextSize + 16
	MaxPassword    = 256
)

const (
	loginInfo = "sallyport/v1 login"
	upLabel   = "sallyport/v1 to appliance"
	downLabel = "sallyport/v1 to browser"
)

// Binding is what a sealed password is bound to: it opens for nothing else.
type Binding struct {
	Tenant       sallyport.TenantID
	Integration  sallyport.IntegrationID
	Login        sallyport.LoginID
	UserName     string
	Origin       string
	KeyID        string
	StatementIAT int64
}

func (b Binding) aad() []byte {
	return Fields(string(b.Tenant), string(b.Integration), string(b.Login), b.UserName, b.Origin, b.KeyID,
		strconv.FormatInt(b.StatementIAT, 10))
}

// Channel holds the two keys that browser and appliance share once a password was sealed.
type Channel struct {
	Up   sallyport.Key // from the browser to the appliance
	Down sallyport.Key // from the appliance to the browser
}

// Credentials is an opened password with the channel to the browser that sealed it.
type Credentials struct {
	Password sallyport.Secret
	Channel  Channel
}

// NewBrowserKey makes a key that browsers can seal to.
func NewBrowserKey() (*ecdh.PrivateKey, error) {
	return ecdh.P256().GenerateKey(nil)
}

// OpenCredentials opens what a browser sealed to key. The only error is ErrOpen.
func OpenCredentials(key *ecdh.PrivateKey, enc, ciphertext []byte, b Binding) (Credentials, error) {
	if len(enc) != EncSize || len(ciphertext) != CiphertextSize {
		return Credentials{}, ErrOpen
	}
	priv, err := hpke.NewDHKEMPrivateKey(key)
	if err != nil {
		return Credentials{}, fmt.Errorf("use browser key: %w", err)
	}
	r, err := hpke.NewRecipient(enc, priv, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(loginInfo))
	if err != nil {
		return Credentials{}, ErrOpen
	}
	plain, err := r.Open(b.aad(), ciphertext)
	if err != nil {
		return Credentials{}, ErrOpen
	}
	password, err := unpad(plain)
	if err != nil {
		return Credentials{}, ErrOpen
	}
	ch, err := channel(r)
	return Credentials{Password: sallyport.Secret(password), Channel: ch}, err
}

// SealCredentials does what the overlay does in the browser, for clients written in Go.
func SealCredentials(pub *ecdh.PublicKey, password sallyport.Secret, b Binding) (enc, ciphertext []byte, ch Channel, err error) {
	plain, err := pad([]byte(password))
	if err != nil {
		return nil, nil, Channel{}, err
	}
	key, err := hpke.NewDHKEMPublicKey(pub)
	if err != nil {
		return nil, nil, Channel{}, fmt.Errorf("use browser key: %w", err)
	}
	enc, s, err := hpke.NewSender(key, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(loginInfo))
	if err != nil {
		return nil, nil, Channel{}, fmt.Errorf("start seal: %w", err)
	}
	ciphertext, err = s.Seal(b.aad(), plain)
	if err != nil {
		return nil, nil, Channel{}, fmt.Errorf("seal password: %w", err)
	}
	ch, err = channel(s)
	return enc, ciphertext, ch, err
}

func channel(e interface {
	Export(string, int) ([]byte, error)
}) (Channel, error) {
	up, err := e.Export(upLabel, KeySize)
	if err != nil {
		return Channel{}, fmt.Errorf("export key: %w", err)
	}
	down, err := e.Export(downLabel, KeySize)
	if err != nil {
		return Channel{}, fmt.Errorf("export key: %w", err)
	}
	return Channel{Up: up, Down: down}, nil
}

func pad(password []byte) ([]byte, error) {
	if len(password) == 0 || len(password) > MaxPassword {
		return nil, fmt.Errorf("password has %d octets, allowed are 1 to %d", len(password), MaxPassword)
	}
	out := make([]byte, plaintextSize)
	binary.BigEndian.PutUint16(out, uint16(len(password)))
	copy(out[2:], password)
	return out, nil
}

func unpad(plain []byte) ([]byte, error) {
	if len(plain) != plaintextSize {
		return nil, errors.New("wrong length")
	}
	n := int(binary.BigEndian.Uint16(plain))
	if n == 0 || n > MaxPassword || !bytes.Equal(plain[2+n:], make([]byte, plaintextSize-2-n)) {
		return nil, errors.New("wrong padding")
	}
	return plain[2 : 2+n], nil
}

// ViewAAD binds a sealed prompt to its login, version and phase.
func ViewAAD(login sallyport.LoginID, version uint32, phase string) []byte {
	return Fields(string(login), strconv.FormatUint(uint64(version), 10), phase)
}

// MessageAAD binds what a person did on the page to the login and the version it answers.
func MessageAAD(login sallyport.LoginID, version uint32) []byte {
	return ViewAAD(login, version, "message")
}
