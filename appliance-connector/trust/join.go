package trust

import (
	"context"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/internal/sealed"
)

// How a further appliance gets the enterprise's keys. An administrator makes a join code on an
// appliance that has them and types it on the new one. The new one sends an ephemeral P-256 key with
// a MAC under the code; the other answers with an ephemeral key of its own and the keys, sealed under
// what both keys and the code give together. The cloud carries both messages and can neither read nor
// forge them: a code has 150 bits, is used once and ends after an hour.

// InviteLife is how long a join code can be used.
const InviteLife = time.Hour

const inviteGroups = 6

// maxJoin bounds a message of the exchange, in octets.
const maxJoin = 16 << 10

// Invite is a join code that waits to be used.
type Invite struct {
	ID      string
	Code    sallyport.Secret
	Expires time.Time
}

// NewInvite makes a join code.
func NewInvite(now time.Time) Invite {
	code := sallyport.NewCode(inviteGroups)
	return Invite{ID: inviteID(code), Code: code, Expires: now.Add(InviteLife)}
}

// inviteID finds the invite and tells nothing of its code.
func inviteID(code sallyport.Secret) string {
	return hex.EncodeToString(joinKey(code, "id", nil)[:8])
}

func joinKey(code sallyport.Secret, use string, salt []byte) []byte {
	return sealed.Derive([]byte(sallyport.CanonicalCode(code)), salt, "sallyport/v1 join "+use, sealed.KeySize)
}

type joinRequest struct {
	Invite string `json:"invite"`
	Key    []byte `json:"key"`
	MAC    []byte `json:"mac"`
}

type joinAnswer struct {
	Key []byte `json:"key"`
	Box []byte `json:"box"`
}

func joinMAC(code sallyport.Secret, tenant sallyport.TenantID, appliance sallyport.ApplianceID, key []byte) []byte {
	m := hmac.New(sha256.New, joinKey(code, "request", nil))
	m.Write(sealed.Fields(string(tenant), string(appliance), string(key)))
	return m.Sum(nil)
}

// boxKey is what both sides can work out and nobody between them.
func boxKey(code sallyport.Secret, own *ecdh.PrivateKey, peer *ecdh.PublicKey, joiner, member []byte) ([]byte, error) {
	shared, err := own.ECDH(peer)
	if err != nil {
		return nil, fmt.Errorf("agree on key: %w", err)
	}
	return sealed.Derive(append(shared, sallyport.CanonicalCode(code)...), sealed.Fields(string(joiner), string(member)),
		"sallyport/v1 join keys", sealed.KeySize), nil
}

func joinAAD(tenant sallyport.TenantID, appliance sallyport.ApplianceID) []byte {
	return sealed.Fields("join", string(tenant), string(appliance))
}

// Join fetches the enterprise's keys with a join code and keeps them. send carries a message through
// the tunnel to the other appliances and returns the answer.
func (t *Trust) Join(ctx context.Context, code sallyport.Secret, send func(context.Context, []byte) ([]byte, error)) (*keyring.Ring, error) {
	own, err := ecdh.P256().GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	pub := own.PublicKey().Bytes()
	msg, err := json.Marshal(joinRequest{inviteID(code), pub, joinMAC(code, t.Tenant, t.Appliance, pub)})
	if err != nil {
		return nil, fmt.Errorf("encode join: %w", err)
	}
	text, err := send(ctx, msg)
	if err != nil {
		return nil, fmt.Errorf("ask the other appliances: %w", err)
	}
	ring, err := t.openJoin(code, own, text)
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeDenied, "The answer does not fit the join code. Make a new one with 'sallyport appliance invite' and try again.", err)
	}
	return ring, ring.Save(t.dir)
}

func (t *Trust) openJoin(code sallyport.Secret, own *ecdh.PrivateKey, text []byte) (*keyring.Ring, error) {
	var a joinAnswer
	if len(text) > maxJoin || json.Unmarshal(text, &a) != nil {
		return nil, errors.New("malformed answer")
	}
	peer, err := ecdh.P256().NewPublicKey(a.Key)
	if err != nil {
		return nil, errors.New("malformed key")
	}
	key, err := boxKey(code, own, peer, own.PublicKey().Bytes(), a.Key)
	if err != nil {
		return nil, err
	}
	ring, err := keyring.Unseal(a.Box, key, joinAAD(t.Tenant, t.Appliance))
	if err != nil {
		return nil, err
	}
	if ring.Tenant != t.Tenant {
		return nil, errors.New("keys of another enterprise")
	}
	return ring, nil
}

// Invites keeps join codes until they are used.
type Invites interface {
	Invite(ctx context.Context, id string, now time.Time) (Invite, error)
	// DeleteInvite reports whether it was there: of two that use a code, one is told so.
	DeleteInvite(ctx context.Context, id string) (existed bool, err error)
}

// Host answers appliances that want to join.
type Host struct {
	Ring    *keyring.Ring
	Invites Invites
	Now     func() time.Time
	Log     *slog.Logger
}

// Answer takes a joining appliance's message.
func (h *Host) Answer(ctx context.Context, appliance sallyport.ApplianceID, msg []byte) ([]byte, error) {
	out, err := h.answer(ctx, appliance, msg)
	if err != nil {
		h.Log.WarnContext(ctx, "join refused: make a new code with 'sallyport appliance invite' if it was meant", "appliance", appliance, "err", err)
		return nil, sallyport.Errorf(sallyport.CodeDenied,
			"The join code is not right, was used already, or has expired. Make a new one with 'sallyport appliance invite' on an appliance that is running.", err)
	}
	h.Log.InfoContext(ctx, "the enterprise's keys were given to a further appliance", "appliance", appliance)
	return out, nil
}

func (h *Host) answer(ctx context.Context, appliance sallyport.ApplianceID, msg []byte) ([]byte, error) {
	var r joinRequest
	if len(msg) > maxJoin || json.Unmarshal(msg, &r) != nil || !sallyport.ValidID(r.Invite) {
		return nil, errors.New("malformed request")
	}
	inv, err := h.Invites.Invite(ctx, r.Invite, h.Now())
	if err != nil {
		return nil, fmt.Errorf("find join code: %w", err)
	}
	if !hmac.Equal(r.MAC, joinMAC(inv.Code, h.Ring.Tenant, appliance, r.Key)) {
		return nil, errors.New("the message is not made with the join code")
	}
	peer, err := ecdh.P256().NewPublicKey(r.Key)
	if err != nil {
		return nil, errors.New("malformed key")
	}
	existed, err := h.Invites.DeleteInvite(ctx, inv.ID)
	if err != nil || !existed {
		return nil, fmt.Errorf("the join code was used just now: %v", err)
	}
	own, err := ecdh.P256().GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	pub := own.PublicKey().Bytes()
	key, err := boxKey(inv.Code, own, peer, r.Key, pub)
	if err != nil {
		return nil, err
	}
	box, err := h.Ring.Seal(key, joinAAD(h.Ring.Tenant, appliance))
	if err != nil {
		return nil, err
	}
	return json.Marshal(joinAnswer{pub, box})
}
