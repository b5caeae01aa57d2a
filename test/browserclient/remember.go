package browserclient

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/browserkey"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// Memory is what a browser keeps of having been remembered for one user (section 8), without a cookie.
// A copy of it is what a thief of the browser's storage has.
type Memory struct {
	Key  *ecdsa.PrivateKey
	ID   sallyport.RememberedID
	Uses uint32
}

// Claim is what the browser says of it.
type Claim struct {
	ID        string `json:"id"`
	Uses      uint32 `json:"n"`
	Signature string `json:"signature"`
}

// Tick ticks the box in a login that offers it.
func (l *Login) Tick(ctx context.Context) (*Memory, error) {
	if l.Prompt.Remember == nil {
		return nil, errors.New("remembering is not offered")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return &Memory{Key: key}, l.Say(ctx, Message{Action: "remember", On: true, Key: deviceproto.Encode(point)})
}

// Keep notes what the end of the login says.
func (m *Memory) Keep(p Prompt) error {
	if p.Remembered == nil {
		return errors.New("the login ended without remembering the browser")
	}
	m.ID = p.Remembered.ID
	return nil
}

// LogInRemembered is LogIn in a browser that was remembered.
func (c *Client) LogInRemembered(ctx context.Context, user string, password sallyport.Secret, m *Memory) (*Login, error) {
	l, err := c.Begin(ctx)
	if err != nil {
		return nil, err
	}
	body, err := l.Seal(user, password)
	if err != nil {
		return nil, err
	}
	m.Uses++
	claim := browserkey.Claim{Tenant: c.Tenant, Integration: c.Integration, Login: l.ID, UserName: user, ID: m.ID, Uses: m.Uses}
	sum := sha256.Sum256(claim.Text())
	r, s, err := ecdsa.Sign(rand.Reader, m.Key, sum[:])
	if err != nil {
		return nil, fmt.Errorf("sign claim: %w", err)
	}
	signature := make([]byte, browserkey.SignatureSize)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	body.Remembered = &Claim{string(m.ID), m.Uses, deviceproto.Encode(signature)}
	return l, l.Send(ctx, body)
}
