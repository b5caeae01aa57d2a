package deviceproto

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
)

// UnclaimedTenant stands in the authorizations of an app that belongs to no enterprise yet.
const UnclaimedTenant sallyport.TenantID = "unclaimed"

// Bounds of enrolling by serial number.
const (
	// UnclaimedLife is how long a serial number can be found after the app was last heard of.
	UnclaimedLife = 15 * time.Minute
	// InvitationLife is how long an app has to answer an invitation.
	InvitationLife = 8 * time.Second
	// MaxSealedInvitation and MaxSealedVerdict are the most octets of them.
	MaxSealedInvitation = 4 << 10
	MaxSealedVerdict    = 256
	// MaxWrongInvitations is after how many wrong codes an app takes another serial number.
	MaxWrongInvitations = 5
)

const (
	serialLabel    = "sallyport/v1 serial"
	invitationInfo = "sallyport/v1 serial invitation"
	verdictLabel   = "sallyport/v1 serial verdict"
	verdictBlock   = 64
	encSize        = 65
	// shownBefore is for how many steps of 30 s a code is good that the app does not show any more.
	shownBefore = 2
)

// Serial is the serial number of an app that is not enrolled: 17 characters that say which keys the app
// has (85 bits of their hash), and one that finds mistyped ones. Without dashes.
type Serial string

const (
	serialSize  = 18
	serialGroup = 6
	// maxTyped bounds a serial number as typed.
	maxTyped  = 64
	crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

// SerialOf makes the serial number of an app's signing key and its key for invitations. A key that is not on P-256
// has none: "".
func SerialOf(sign, box *ecdsa.PublicKey) Serial {
	a, b := Thumbprint(sign), Thumbprint(box)
	if a == "" || b == "" {
		return ""
	}
	sum := sha256.Sum256(sealed.Fields(serialLabel, string(a), string(b)))
	var out [serialSize]byte
	check := byte(0)
	for i := range serialSize - 1 {
		v := byte(0)
		for bit := 5 * i; bit < 5*i+5; bit++ {
			v = v<<1 | sum[bit/8]>>(7-bit%8)&1
		}
		out[i], check = crockford[v], double(check)^v
	}
	out[serialSize-1] = crockford[double(check)]
	return Serial(out[:])
}

// double multiplies by x in GF(32) modulo x^5+x^2+1. A sum weighted by its powers finds every wrong character and
// every two that changed places.
func double(v byte) byte {
	v <<= 1
	if v > 31 {
		v ^= 0x25
	}
	return v
}

// ParseSerial reads a serial number as typed: in any case, with or without dashes and spaces, I and L for 1, O for 0.
func ParseSerial(typed string) (Serial, error) {
	if len(typed) > maxTyped {
		return "", errors.New("serial number is too long")
	}
	var out []byte
	check := byte(0)
	for _, c := range []byte(strings.ToUpper(typed)) {
		switch c {
		case '-', ' ':
			continue
		case 'I', 'L':
			c = '1'
		case 'O':
			c = '0'
		}
		v := strings.IndexByte(crockford, c)
		if v < 0 {
			return "", errors.New("serial number has a character that none has")
		}
		if len(out) == serialSize {
			return "", errors.New("serial number has more than 18 characters")
		}
		out = append(out, c)
		check = double(check) ^ byte(v)
	}
	// The last character is the doubled sum of those before it: with it the sum is nought.
	if len(out) != serialSize || check != 0 {
		return "", errors.New("serial number is cut or mistyped")
	}
	return Serial(out), nil
}

// Text is the serial number as the app shows it, in groups.
func (s Serial) Text() string {
	var groups []string
	for rest := string(s); rest != ""; {
		n := min(serialGroup, len(rest))
		groups, rest = append(groups, rest[:n]), rest[n:]
	}
	return strings.Join(groups, "-")
}

// UnclaimedApp is the body of PUT /v1/unclaimed/{serial}: the keys that the serial number was made of.
type UnclaimedApp struct {
	JWK JWK `json:"jwk"`
	// Box is the key that invitations are sealed to.
	Box JWK `json:"boxKey"`
}

// Check reads the keys, and the serial number that they give.
func (u UnclaimedApp) Check() (sign, box *ecdsa.PublicKey, s Serial, err error) {
	if sign, err = u.JWK.PublicKey(); err != nil {
		return nil, nil, "", err
	}
	if box, err = u.Box.PublicKey(); err != nil {
		return nil, nil, "", fmt.Errorf("key for invitations: %w", err)
	}
	return sign, box, SerialOf(sign, box), nil
}

// Unclaimed is the answer to it.
type Unclaimed struct {
	RemainingMS int64 `json:"remainingMs"`
}

// InvitationList is the answer to GET /v1/unclaimed/{serial}: at most one.
type InvitationList struct {
	Invitations []PendingInvitation `json:"invitations"`
}

// PendingInvitation waits for the app that shows a serial number.
type PendingInvitation struct {
	ID     string             `json:"id"`
	Tenant sallyport.TenantID `json:"tenantId"`
	Sealed string             `json:"sealed"` // base64url; for OpenInvitation
}

// VerdictBody is the body of POST /v1/unclaimed/{serial}/invitations/{id}.
type VerdictBody struct {
	Sealed string `json:"sealed"` // base64url; from Invitation.Verdict
}

// Invitation is what an appliance tells an app whose serial number and code were typed.
type Invitation struct {
	Link Link
	// Code is what was typed: it shows the app that whoever invites it has seen it.
	Code sallyport.Secret
	// Account is for the app to show before it goes on.
	Account Account

	reply verdict
}

// invitationText is an invitation as it is sealed.
type invitationText struct {
	Link       string `json:"link"`
	Code       string `json:"code"`
	User       string `json:"user"`
	Enterprise string `json:"enterprise"`
}

// verdict seals or opens what the app says of the code.
type verdict struct {
	key    sallyport.Key
	serial Serial
	id     string
}

// Verdicts waits, on the appliance, for what the app says.
type Verdicts struct{ verdict }

// NewSeed makes the secret of the codes that an unclaimed app shows. Nobody else has it.
func NewSeed() sallyport.Key {
	seed := make(sallyport.Key, 20)
	rand.Read(seed)
	return seed
}

// NewBoxKey makes the key that invitations are sealed to.
func NewBoxKey() (*ecdh.PrivateKey, error) { return ecdh.P256().GenerateKey(rand.Reader) }

// BoxPublicKey is the public half in the form that serial numbers are made of.
func BoxPublicKey(key *ecdh.PrivateKey) (*ecdsa.PublicKey, error) {
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), key.PublicKey().Bytes())
	if err != nil {
		return nil, errors.New("key for invitations is not a point on P-256")
	}
	return pub, nil
}

func invitationAAD(s Serial, t sallyport.TenantID, id string) []byte {
	return sealed.Fields(string(s), string(t), id)
}

// SealInvitation seals an invitation, on the appliance, to the app of a serial number.
func SealInvitation(box *ecdsa.PublicKey, s Serial, t sallyport.TenantID, id string, i Invitation) ([]byte, Verdicts, error) {
	pub, err := box.ECDH()
	if err != nil {
		return nil, Verdicts{}, fmt.Errorf("use key for invitations: %w", err)
	}
	key, err := hpke.NewDHKEMPublicKey(pub)
	if err != nil {
		return nil, Verdicts{}, fmt.Errorf("use key for invitations: %w", err)
	}
	text, err := json.Marshal(invitationText{Link: string(i.Link.Text()), Code: string(i.Code), User: i.Account.User, Enterprise: i.Account.Enterprise})
	if err != nil {
		return nil, Verdicts{}, fmt.Errorf("encode invitation: %w", err)
	}
	enc, sender, err := hpke.NewSender(key, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(invitationInfo))
	if err != nil {
		return nil, Verdicts{}, fmt.Errorf("start seal: %w", err)
	}
	ct, err := sender.Seal(invitationAAD(s, t, id), fill(text, textBlock))
	if err != nil {
		return nil, Verdicts{}, fmt.Errorf("seal invitation: %w", err)
	}
	if len(enc)+len(ct) > MaxSealedInvitation {
		return nil, Verdicts{}, errors.New("invitation is too long")
	}
	reply, err := sender.Export(verdictLabel, sealed.KeySize)
	if err != nil {
		return nil, Verdicts{}, fmt.Errorf("export key: %w", err)
	}
	return append(enc, ct...), Verdicts{verdict{key: reply, serial: s, id: id}}, nil
}

// OpenInvitation opens it on the device.
func OpenInvitation(key *ecdh.PrivateKey, s Serial, t sallyport.TenantID, id string, box []byte) (Invitation, error) {
	if len(box) <= encSize || len(box) > MaxSealedInvitation {
		return Invitation{}, sealed.ErrOpen
	}
	priv, err := hpke.NewDHKEMPrivateKey(key)
	if err != nil {
		return Invitation{}, fmt.Errorf("use key for invitations: %w", err)
	}
	r, err := hpke.NewRecipient(box[:encSize], priv, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(invitationInfo))
	if err != nil {
		return Invitation{}, sealed.ErrOpen
	}
	plain, err := r.Open(invitationAAD(s, t, id), box[encSize:])
	if err != nil {
		return Invitation{}, sealed.ErrOpen
	}
	i, err := parseInvitation(plain, t)
	if err != nil {
		return Invitation{}, err
	}
	reply, err := r.Export(verdictLabel, sealed.KeySize)
	i.reply = verdict{key: reply, serial: s, id: id}
	return i, err
}

func parseInvitation(plain []byte, t sallyport.TenantID) (Invitation, error) {
	var text invitationText
	if err := json.Unmarshal(plain, &text); err != nil {
		return Invitation{}, errors.New("invitation is not the JSON that is expected")
	}
	link, err := ParseLink(text.Link)
	if err != nil {
		return Invitation{}, fmt.Errorf("read invitation: %w", err)
	}
	if link.Tenant != t {
		return Invitation{}, errors.New("invitation is of another enterprise")
	}
	return Invitation{Link: link, Code: sallyport.Secret(text.Code), Account: Account{User: text.User, Enterprise: text.Enterprise}}, nil
}

// CodeHolds reports whether the code of an invitation is one that the app shows, or showed within the last minute.
func (i Invitation) CodeHolds(seed sallyport.Key, now time.Time) bool {
	right := 0
	for d := range shownBefore + 1 {
		want, err := TokenCode(seed, now.Add(-time.Duration(d)*CodePeriod))
		if err != nil {
			return false
		}
		right |= subtle.ConstantTimeCompare([]byte(want), []byte(i.Code))
	}
	return right == 1
}

// Verdict seals, on the device, whether the code was right.
func (i Invitation) Verdict(right bool) []byte {
	word := "wrong"
	if right {
		word = "right"
	}
	return sealed.Seal(i.reply.key, fill([]byte(word), verdictBlock), i.reply.aad())
}

// Open opens it on the appliance: only the app that could open the invitation could make it.
func (v Verdicts) Open(box []byte) (right bool, err error) {
	if len(box) > MaxSealedVerdict {
		return false, sealed.ErrOpen
	}
	plain, err := sealed.Open(v.key, box, v.aad())
	if err != nil {
		return false, err
	}
	switch strings.TrimRight(string(plain), " ") {
	case "right":
		return true, nil
	case "wrong":
		return false, nil
	}
	return false, errors.New("verdict is not known")
}

func (v verdict) aad() []byte { return sealed.Fields("verdict", string(v.serial), v.id) }
