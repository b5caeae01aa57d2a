// Package keyring holds the keys of an enterprise: the root key that its pages pin, the keys that
// browsers seal passwords to, and the secret from which all the others are derived. They are made on
// the first appliance and leave it only sealed, to a further appliance that knows a join code.
package keyring

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/gatewaytoken"
	"github.com/sallyport/sallyport/internal/sealed"
)

// StatementLife is how long a signed key statement is good for, and so the longest time between
// drawing a page and sealing a password on it.
const StatementLife = 15 * time.Minute

// Ring is the keys of one enterprise. It is read-only once made.
type Ring struct {
	Tenant  sallyport.TenantID
	root    *ecdsa.PrivateKey
	browser []browserKey // the current one first
	secret  sallyport.Key
	store   sallyport.Key // nil: derived from secret
}

type browserKey struct {
	id  string
	key *ecdh.PrivateKey
}

// New makes the keys of an enterprise.
func New(tenant sallyport.TenantID) (*Ring, error) {
	root, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make root key: %w", err)
	}
	b, err := sealed.NewBrowserKey()
	if err != nil {
		return nil, fmt.Errorf("make browser key: %w", err)
	}
	secret := make([]byte, sealed.KeySize)
	rand.Read(secret)
	return &Ring{Tenant: tenant, root: root, browser: []browserKey{{sallyport.NewID(), b}}, secret: secret}, nil
}

func (r *Ring) rootPoint() []byte {
	p, err := r.root.PublicKey.ECDH()
	if err != nil {
		panic("keyring: root key is not on its curve")
	}
	return p.Bytes()
}

// Fingerprint is what the script tag pins: SHA-256 of the root public key, base64url.
func (r *Ring) Fingerprint() string {
	sum := sha256.Sum256(r.rootPoint())
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Derive makes a key of 32 octets for one use.
func (r *Ring) Derive(use string) sallyport.Key {
	return sealed.Derive(r.secret, []byte(r.Tenant), "sallyport/v1 "+use, sealed.KeySize)
}

// Tokens are the keys that gateway tokens are made with.
func (r *Ring) Tokens() (gatewaytoken.Ring, error) {
	return gatewaytoken.NewRing(gatewaytoken.Key{ID: 1, Secret: r.Derive("gateway token")})
}

type statement struct {
	V      int    `json:"v"`
	Tenant string `json:"tenant"`
	Root   string `json:"root"`
	KID    string `json:"kid"`
	Pub    string `json:"pub"`
	IAT    int64  `json:"iat"`
	EXP    int64  `json:"exp"`
}

// Statement says, signed by the root key, which key browsers are to seal to now
// (docs/protocol/browser.md section 1).
func (r *Ring) Statement(now time.Time) (text, signature []byte, err error) {
	cur := r.browser[0]
	text, err = json.Marshal(statement{
		V: 1, Tenant: string(r.Tenant), Root: b64(r.rootPoint()), KID: cur.id, Pub: b64(cur.key.PublicKey().Bytes()),
		IAT: now.Unix(), EXP: now.Add(StatementLife).Unix(),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("encode key statement: %w", err)
	}
	sum := sha256.Sum256(append([]byte("sallyport/v1 keys\n"), text...))
	a, b, err := ecdsa.Sign(rand.Reader, r.root, sum[:])
	if err != nil {
		return nil, nil, fmt.Errorf("sign key statement: %w", err)
	}
	signature = make([]byte, 64)
	a.FillBytes(signature[:32])
	b.FillBytes(signature[32:])
	return text, signature, nil
}

// VerifyStatement checks a signed statement as a browser does, and returns the key to seal to.
func VerifyStatement(text, signature []byte, tenant sallyport.TenantID, fingerprint string) (kid string, iat int64, pub *ecdh.PublicKey, err error) {
	var s statement
	if err := json.Unmarshal(text, &s); err != nil || s.V != 1 || s.Tenant != string(tenant) {
		return "", 0, nil, errors.New("key statement is not for this enterprise")
	}
	point, err := base64.RawURLEncoding.DecodeString(s.Root)
	sum := sha256.Sum256(point)
	if err != nil || b64(sum[:]) != fingerprint {
		return "", 0, nil, errors.New("key statement is not by the pinned root key")
	}
	root, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	digest := sha256.Sum256(append([]byte("sallyport/v1 keys\n"), text...))
	if err != nil || len(signature) != 64 ||
		!ecdsa.Verify(root, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return "", 0, nil, errors.New("key statement: the signature does not hold")
	}
	raw, err := base64.RawURLEncoding.DecodeString(s.Pub)
	if err != nil {
		return "", 0, nil, errors.New("key statement: malformed key")
	}
	pub, err = ecdh.P256().NewPublicKey(raw)
	return s.KID, s.IAT, pub, err
}

// OpenCredentials opens what a browser sealed. A key or a statement that is too old, or from the
// future by more than skew, does not open.
func (r *Ring) OpenCredentials(enc, ciphertext []byte, b sealed.Binding, now time.Time, skew time.Duration) (sealed.Credentials, error) {
	iat := time.Unix(b.StatementIAT, 0)
	if iat.After(now.Add(skew)) || now.After(iat.Add(StatementLife+skew)) {
		return sealed.Credentials{}, sallyport.Errorf(sallyport.CodeExpired, "This page was open for too long. Please start again.", nil)
	}
	for _, k := range r.browser {
		if k.id != b.KeyID {
			continue
		}
		c, err := sealed.OpenCredentials(k.key, enc, ciphertext, b)
		if err != nil {
			return c, sallyport.Errorf(sallyport.CodeInvalid, "The sign-in request was not accepted. Please start again.", err)
		}
		return c, nil
	}
	return sealed.Credentials{}, sallyport.Errorf(sallyport.CodeExpired, "This page was open for too long. Please start again.",
		fmt.Errorf("unknown key id %q", b.KeyID))
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// file is the form in which the keys are kept and handed over; always sealed.
type file struct {
	Tenant  string           `json:"tenant"`
	Root    []byte           `json:"root"`
	Secret  []byte           `json:"secret"`
	Browser []fileBrowserKey `json:"browser"`
	Store   []byte           `json:"store,omitempty"`
}

type fileBrowserKey struct {
	ID  string `json:"id"`
	Key []byte `json:"key"`
}

// Seal packs the keys, sealed under key and bound to aad.
func (r *Ring) Seal(key, aad []byte) ([]byte, error) {
	f := file{Tenant: string(r.Tenant), Secret: r.secret, Store: r.store}
	var err error
	if f.Root, err = x509.MarshalPKCS8PrivateKey(r.root); err != nil {
		return nil, fmt.Errorf("encode root key: %w", err)
	}
	for _, b := range r.browser {
		f.Browser = append(f.Browser, fileBrowserKey{b.id, b.key.Bytes()})
	}
	text, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encode keys: %w", err)
	}
	return sealed.Seal(key, text, aad), nil
}

// Unseal undoes Seal.
func Unseal(box, key, aad []byte) (*Ring, error) {
	text, err := sealed.Open(key, box, aad)
	if err != nil {
		return nil, err
	}
	var f file
	if err := json.Unmarshal(text, &f); err != nil || len(f.Secret) != sealed.KeySize || len(f.Browser) == 0 ||
		f.Store != nil && len(f.Store) != sealed.KeySize {
		return nil, errors.New("keys are malformed")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(f.Root)
	root, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("root key is malformed")
	}
	r := &Ring{Tenant: sallyport.TenantID(f.Tenant), root: root, secret: f.Secret, store: f.Store}
	for _, b := range f.Browser {
		k, err := ecdh.P256().NewPrivateKey(b.Key)
		if err != nil {
			return nil, errors.New("browser key is malformed")
		}
		r.browser = append(r.browser, browserKey{b.ID, k})
	}
	return r, nil
}

const (
	masterFile = "master.key"
	ringFile   = "enterprise.keys"
)

// Save writes the keys to dir, sealed under the master key that lies beside them. Back the two files
// up to different places.
func (r *Ring) Save(dir string) error {
	master, err := masterKey(dir, true)
	if err != nil {
		return err
	}
	box, err := r.Seal(master, []byte(ringFile))
	if err != nil {
		return err
	}
	return WriteFile(filepath.Join(dir, ringFile), box)
}

// Load reads what Save wrote. The error is fs.ErrNotExist while the enterprise's keys are not here.
func Load(dir string) (*Ring, error) {
	box, err := os.ReadFile(filepath.Join(dir, ringFile))
	if err != nil {
		return nil, fmt.Errorf("read enterprise keys: %w", err)
	}
	master, err := masterKey(dir, false)
	if err != nil {
		return nil, err
	}
	r, err := Unseal(box, master, []byte(ringFile))
	if err != nil {
		return nil, fmt.Errorf("open %s with %s: %w", ringFile, masterFile, err)
	}
	return r, nil
}

func masterKey(dir string, create bool) ([]byte, error) {
	name := filepath.Join(dir, masterFile)
	key, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) && create {
		key = make([]byte, sealed.KeySize)
		rand.Read(key)
		return key, WriteFile(name, key)
	}
	if err != nil {
		return nil, fmt.Errorf("read master key: %w", err)
	}
	if len(key) != sealed.KeySize {
		return nil, fmt.Errorf("%s must have %d octets, has %d", name, sealed.KeySize, len(key))
	}
	return key, nil
}

// WriteFile replaces a file as a whole, readable by the owner alone. When it returns nil the file
// outlasts a power failure.
func WriteFile(name string, data []byte) error { return writeFile(name, data, os.Rename) }

func writeFile(name string, data []byte, place func(from, to string) error) error {
	dir := filepath.Dir(name)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = place(tmp.Name(), name)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return err
	}
	return syncDir(dir)
}

// syncDir makes the names in a directory last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
