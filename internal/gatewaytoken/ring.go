package gatewaytoken

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
)

// What Check can find. They are for the log: the gateway hears the same for all of them.
var (
	ErrMalformed  = errors.New("not a gateway token")
	ErrUnknownKey = errors.New("gateway token made under a key that this appliance does not have")
	ErrBadMAC     = errors.New("gateway token forged, damaged, or made by another enterprise")
	ErrExpired    = errors.New("gateway token expired")
	ErrTooEarly   = errors.New("gateway token made by an appliance whose clock is more than 60 s ahead")
	ErrWrongUser  = errors.New("gateway token made for another user or gateway")
)

// Key is a secret of the enterprise with the id that stands in the tokens made under it.
type Key struct {
	ID     uint8         // at most MaxKeyID
	Secret sallyport.Key // at least 16 octets
}

// Ring holds the key that new tokens are made under, and the older ones whose tokens are still
// good. The zero Ring checks nothing and must not mint. It may be copied and used by many at once.
type Ring struct {
	current uint8
	keys    map[uint8]*macKey
}

// Claim is what a good token says.
type Claim struct {
	Nonce   [8]byte
	Expires time.Time
	binding [8]byte
}

// NewRing returns the ring of current and older keys. Every id may stand there once.
func NewRing(current Key, older ...Key) (Ring, error) {
	r := Ring{current: current.ID, keys: make(map[uint8]*macKey, 1+len(older))}
	for _, k := range append([]Key{current}, older...) {
		if k.ID > MaxKeyID {
			return Ring{}, fmt.Errorf("use gateway token key %d: ids end at %d", k.ID, MaxKeyID)
		}
		if len(k.Secret) < 16 {
			return Ring{}, fmt.Errorf("use gateway token key %d: shorter than 16 octets", k.ID)
		}
		if r.keys[k.ID] != nil {
			return Ring{}, fmt.Errorf("use gateway token key %d: id is there twice", k.ID)
		}
		r.keys[k.ID] = newMACKey(k.Secret)
	}
	return r, nil
}

// Mint makes a token. nonce names the login: tokens of one nonce, integration and account count as
// one and the same when claimed.
func (r Ring) Mint(integration sallyport.IntegrationID, account sallyport.AccountName, nonce [8]byte, expires time.Time) sallyport.Secret {
	var t raw
	t[0] = version | r.current
	t.setExpires(expires.Unix())
	copy(t[4:12], nonce[:])
	user := binding(integration, account)
	copy(t.user(), user[:])
	mac := r.keys[r.current].sum(&t, expires.Unix())
	copy(t.mac(), mac[:])
	return t.encode()
}

// Check says whether token is good for account at integration at the time now, and what it holds.
func (r Ring) Check(token sallyport.Secret, integration sallyport.IntegrationID, account sallyport.AccountName, now time.Time) (Claim, error) {
	t, ok := decode(string(token))
	if !ok {
		return Claim{}, ErrMalformed
	}
	key := r.keys[t.keyID()]
	if key == nil {
		return Claim{}, ErrUnknownKey
	}
	expires := t.expires(now.Unix())
	mac := key.sum(&t, expires)
	if subtle.ConstantTimeCompare(mac[:], t.mac()) != 1 {
		return Claim{}, ErrBadMAC
	}
	user := binding(integration, account)
	if subtle.ConstantTimeCompare(user[:], t.user()) != 1 {
		return Claim{}, ErrWrongUser
	}
	switch left := time.Unix(expires, 0).Sub(now); {
	case left < -Skew:
		return Claim{}, ErrExpired
	case left > Lifetime+Skew:
		return Claim{}, ErrTooEarly
	}
	return Claim{Nonce: t.nonce(), Expires: time.Unix(expires, 0), binding: user}, nil
}

// Key is what has to be claimed for ClaimTTL before the token may let anybody in. It reveals
// nothing of the token.
func (c Claim) Key() [16]byte {
	var b [len(claimLabel) + 16]byte
	copy(b[:], claimLabel)
	copy(b[len(claimLabel):], c.Nonce[:])
	copy(b[len(claimLabel)+8:], c.binding[:])
	sum := sha256.Sum256(b[:])
	return [16]byte(sum[:16])
}

const (
	keyLabel   = "sallyport/v1 gateway token"
	claimLabel = "sallyport/v1 claim gateway token"
)

// binding is the hash of integration and account, each with its length before it.
func binding(integration sallyport.IntegrationID, account sallyport.AccountName) [8]byte {
	var room [160]byte // spares the heap for every name met in practice
	b := binary.BigEndian.AppendUint16(room[:0], uint16(len(integration)))
	b = append(b, integration...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(account)))
	b = append(b, account...)
	sum := sha256.Sum256(b)
	return [8]byte(sum[:8])
}

// macKey makes MACs under one key. Setting up an HMAC costs more than using it, so they are kept.
type macKey struct{ pool sync.Pool }

type macState struct {
	hash hash.Hash
	in   [signedSize + 8]byte
	out  [sha256.Size]byte
}

func newMACKey(secret sallyport.Key) *macKey {
	derived := sealed.Derive(secret, nil, keyLabel, sha256.Size)
	return &macKey{pool: sync.Pool{New: func() any {
		return &macState{hash: hmac.New(sha256.New, derived)}
	}}}
}

func (k *macKey) sum(t *raw, expires int64) [16]byte {
	s := k.pool.Get().(*macState)
	defer k.pool.Put(s)
	copy(s.in[:], t.signed())
	binary.BigEndian.PutUint64(s.in[signedSize:], uint64(expires))
	s.hash.Reset()
	s.hash.Write(s.in[:])
	return [16]byte(s.hash.Sum(s.out[:0])[:16])
}
