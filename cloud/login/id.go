package login

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
)

// A login id is 32 octets in base64url: version 1, when it was given out (Unix seconds, 5 octets,
// big-endian), 10 random octets, and 16 octets of HMAC-SHA256 over those and the enterprise. Nobody
// keeps a list of the ids given out, so a login that is begun and left costs nothing.
const (
	idVersion = 1
	idSigned  = 1 + 5 + 10
	idSize    = idSigned + 16

	// lifetime is how long credentials may be sent under a login id, and how long a login lasts
	// after that at most.
	lifetime = 15 * time.Minute
	// skew is how far the clocks of two replicas may be apart.
	skew = 2 * time.Minute
)

// keys are the secrets of the browser API, the same on every replica.
type keys struct {
	id, bearer, request, cookie sallyport.Key
}

func newKeys(root sallyport.Key) keys {
	derive := func(info string) sallyport.Key {
		return sealed.Derive(root, nil, "sallyport/v1 cloud "+info, sealed.KeySize)
	}
	return keys{id: derive("login id"), bearer: derive("login session"), request: derive("request hash"), cookie: derive("remembered cookie")}
}

func (k keys) newID(tenant sallyport.TenantID, now time.Time) sallyport.LoginID {
	b := make([]byte, 8, idSize+2)
	binary.BigEndian.PutUint64(b, uint64(now.Unix()))
	b = b[2:] // five octets of time, and one before them for the version
	b[0] = idVersion
	b = append(b, make([]byte, idSigned-len(b))...)
	rand.Read(b[6:])
	b = append(b, k.idMAC(b, tenant)...)
	return sallyport.LoginID(base64.RawURLEncoding.EncodeToString(b))
}

func (k keys) idMAC(signed []byte, tenant sallyport.TenantID) []byte {
	return mac(k.id, string(signed), string(tenant))[:idSize-idSigned]
}

// openID checks a login id that was given out for tenant and says when. An id of another
// enterprise, an edited one and one that nobody gave out are all the same: false.
func (k keys) openID(id string, tenant sallyport.TenantID) (time.Time, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || len(b) != idSize || b[0] != idVersion {
		return time.Time{}, false
	}
	if !hmac.Equal(b[idSigned:], k.idMAC(b[:idSigned], tenant)) {
		return time.Time{}, false
	}
	var when [8]byte
	copy(when[3:], b[1:6])
	return time.Unix(int64(binary.BigEndian.Uint64(when[:])), 0), true
}

// The bearer of a login is "<enterprise>.<43 characters>": the enterprise finds the session, the
// rest opens it. It is made again from the request for whoever repeats the request, octet for
// octet, and is never stored.
func (k keys) newBearer(tenant sallyport.TenantID, login sallyport.LoginID, request []byte) sallyport.Secret {
	m := mac(k.bearer, string(tenant), string(login), string(request))
	return sallyport.Secret(string(tenant) + "." + base64.RawURLEncoding.EncodeToString(m))
}

const maxBearer = 64 + 1 + 43

// tenantOf reads the enterprise out of a bearer. It proves nothing.
func tenantOf(bearer sallyport.Secret) (sallyport.TenantID, bool) {
	if len(bearer) > maxBearer {
		return "", false
	}
	tenant, _, ok := strings.Cut(string(bearer), ".")
	return sallyport.TenantID(tenant), ok && sallyport.ValidID(tenant)
}

func bearerHash(bearer sallyport.Secret) []byte {
	h := sha256.Sum256([]byte(bearer))
	return h[:]
}

// credentialsMAC stands for one request, octet for octet, without saying what was in it.
func (k keys) credentialsMAC(c credentials, origin string) []byte {
	fields := []string{string(c.token.Tenant), string(c.token.Integration), string(c.login), origin,
		c.UserName, c.KeyID, strconv.FormatInt(c.IAT, 10), string(c.Enc), string(c.Ciphertext)}
	if r := c.Remembered; r != nil {
		fields = append(fields, string(r.ID), formatVersion(r.Uses), string(r.Signature))
	}
	return mac(k.request, fields...)
}

func (k keys) messageMAC(login sallyport.LoginID, m message) []byte {
	return mac(k.request, string(login), strconv.FormatUint(uint64(m.Version), 10), string(m.Sealed))
}

func mac(key sallyport.Key, fields ...string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(sealed.Fields(fields...))
	return h.Sum(nil)
}
