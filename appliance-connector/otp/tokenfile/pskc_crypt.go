package tokenfile

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport"
)

// Bounds of how a key is made of a passphrase.
const (
	maxIterations = 1_000_000
	maxSalt       = 1024 // octets
)

// container is what the KeyPackages of a file have in common (RFC 6030 section 6): what their values are encrypted
// under, and how that is checked.
type container struct {
	unlock Unlock
	key    *xmlEncryptionKey
	method *xmlMACMethod

	opened         bool
	encKey, macKey []byte
}

type xmlEncryptionKey struct {
	Name    string         `xml:"KeyName"`
	X509    *struct{}      `xml:"X509Data"`
	Derived *xmlDerivedKey `xml:"DerivedKey"`
}

type xmlDerivedKey struct {
	Method struct {
		Algorithm  string `xml:"Algorithm,attr"`
		Salt       string `xml:"PBKDF2-params>Salt>Specified"`
		Iterations string `xml:"PBKDF2-params>IterationCount"`
		Length     string `xml:"PBKDF2-params>KeyLength"`
		PRF        struct {
			Algorithm string `xml:"Algorithm,attr"`
		} `xml:"PBKDF2-params>PRF"`
	} `xml:"KeyDerivationMethod"`
	Name string `xml:"MasterKeyName"`
}

type xmlMACMethod struct {
	Algorithm string        `xml:"Algorithm,attr"`
	Key       *xmlEncrypted `xml:"MACKey"`
}

type xmlEncrypted struct {
	Method struct {
		Algorithm string `xml:"Algorithm,attr"`
	} `xml:"EncryptionMethod"`
	Cipher string `xml:"CipherData>CipherValue"`
}

// readHead takes an element that comes before the KeyPackages; one that says nothing here is passed over.
func (c *container) readHead(in *reader, start xml.StartElement) error {
	var err error
	switch start.Name.Local {
	case "EncryptionKey":
		c.key = &xmlEncryptionKey{}
		err = in.DecodeElement(c.key, &start)
	case "MACMethod":
		c.method = &xmlMACMethod{}
		err = in.DecodeElement(c.method, &start)
	default:
		err = in.Skip()
	}
	if err != nil {
		return notXML(in, err)
	}
	return nil
}

// value returns a value's octets; plain ones are text. What is encrypted is checked before it is decrypted.
func (c *container) value(v xmlValue) (octets []byte, plain bool, words string, err error) {
	if v.Plain != nil {
		return []byte(*v.Plain), true, "", nil
	}
	if v.Encrypted == nil {
		return nil, false, "The secret is not in the file.", nil
	}
	if err := c.open(); err != nil {
		return nil, false, "", err
	}
	if !isCBC(v.Encrypted.Method.Algorithm) {
		return nil, false, "", unsupported("The secrets are encrypted in another way than AES-CBC.")
	}
	box, err := base64.StdEncoding.DecodeString(squeeze(v.Encrypted.Cipher))
	mac, merr := base64.StdEncoding.DecodeString(squeeze(v.MAC))
	if err != nil || merr != nil || len(mac) == 0 {
		return nil, false, "The encrypted secret, or the MAC that vouches for it, is missing or not in base64.", nil
	}
	if !hmac.Equal(mac, c.mac(box)) {
		return nil, false, "", errWrongKey()
	}
	octets, ok := decrypt(c.encKey, box)
	if !ok {
		return nil, false, "The secret cannot be decrypted: the file is damaged.", nil
	}
	return octets, false, "", nil
}

// open makes the keys, once.
func (c *container) open() (err error) {
	if c.opened {
		return nil
	}
	switch {
	case c.key == nil:
		return invalid("The secrets are encrypted, and the file does not say under what key.", nil)
	case c.method == nil:
		return invalid("The secrets are encrypted, and nothing vouches for them: the file has no MACMethod. Ask the maker of the tokens for one that has.", nil)
	case c.key.Derived != nil:
		c.encKey, err = c.key.Derived.derive(c.unlock.Passphrase)
	case c.key.X509 != nil:
		err = unsupported("The secrets are encrypted for a certificate.")
	default: // some makers give the key no name
		c.encKey, err = preShared(c.key.Name, c.unlock.Key)
	}
	if err != nil {
		return err
	}
	if macHash(c.method.Algorithm) == nil {
		return unsupported("The secrets have a MAC of another kind than HMAC with SHA-1 or SHA-2.")
	}
	if c.macKey, err = c.openMACKey(); err != nil {
		return err
	}
	c.opened = true
	return nil
}

// openMACKey decrypts the key of the MACs; without one they are made with the encryption key.
func (c *container) openMACKey() ([]byte, error) {
	if c.method.Key == nil {
		return c.encKey, nil
	}
	if !isCBC(c.method.Key.Method.Algorithm) {
		return nil, unsupported("The key of the MACs is encrypted in another way than AES-CBC.")
	}
	box, err := base64.StdEncoding.DecodeString(squeeze(c.method.Key.Cipher))
	if err != nil {
		return nil, invalid("The key of the MACs is not in base64: the file is damaged.", nil)
	}
	key, ok := decrypt(c.encKey, box)
	if !ok || len(key) == 0 {
		return nil, errWrongKey()
	}
	return key, nil
}

func preShared(name string, key sallyport.Key) ([]byte, error) {
	switch len(key) {
	case 0:
		words := "The secrets are encrypted under a key. Give that key as well."
		if name != "" {
			words = fmt.Sprintf("The secrets are encrypted under the key that the file calls %q. Give that key as well.", clip(name, 64))
		}
		return nil, sallyport.Errorf(sallyport.CodeDenied, words, nil)
	case 16, 24, 32:
		return key, nil
	}
	return nil, invalid("The key of the file must have 16, 24 or 32 octets.", nil)
}

// derive makes the key of a passphrase (RFC 8018, PBKDF2).
func (d *xmlDerivedKey) derive(passphrase sallyport.Secret) ([]byte, error) {
	if !strings.HasSuffix(strings.ToLower(d.Method.Algorithm), "#pbkdf2") {
		return nil, unsupported("The key is made of the passphrase in another way than PBKDF2.")
	}
	prf := sha1.New
	if d.Method.PRF.Algorithm != "" {
		if prf = macHash(d.Method.PRF.Algorithm); prf == nil {
			return nil, unsupported("The key is made of the passphrase by another function than HMAC with SHA-1 or SHA-2.")
		}
	}
	salt, err := base64.StdEncoding.DecodeString(squeeze(d.Method.Salt))
	iterations, ierr := strconv.Atoi(strings.TrimSpace(d.Method.Iterations))
	length, lerr := strconv.Atoi(strings.TrimSpace(d.Method.Length))
	switch {
	case err != nil || len(salt) == 0 || len(salt) > maxSalt, ierr != nil || iterations < 1, lerr != nil || length != 16 && length != 24 && length != 32:
		return nil, invalid("How the key is made of the passphrase is not right in the file: salt, iterations or key length.", nil)
	case iterations > maxIterations:
		return nil, unsupported(fmt.Sprintf("The key is made of the passphrase by more than %d iterations.", maxIterations))
	case passphrase == "":
		words := "The secrets are encrypted under a passphrase. Give it as well."
		if d.Name != "" {
			words = fmt.Sprintf("The secrets are encrypted under a passphrase that the file calls %q. Give it as well.", clip(d.Name, 64))
		}
		return nil, sallyport.Errorf(sallyport.CodeDenied, words, nil)
	}
	key, err := pbkdf2.Key(prf, string(passphrase), salt, iterations, length)
	if err != nil {
		return nil, invalid("How the key is made of the passphrase is not right in the file.", nil)
	}
	return key, nil
}

func (c *container) mac(box []byte) []byte {
	m := hmac.New(macHash(c.method.Algorithm), c.macKey)
	m.Write(box)
	return m.Sum(nil)
}

// macHash is the hash function of an HMAC by its name in XML (RFC 9231) or PKCS #5; nil: unknown.
func macHash(name string) func() hash.Hash {
	_, name, _ = strings.Cut(strings.ToLower(name), "#")
	switch strings.NewReplacer("-", "", "_", "").Replace(name) {
	case "hmacsha1":
		return sha1.New
	case "hmacsha224":
		return sha256.New224
	case "hmacsha256":
		return sha256.New
	case "hmacsha384":
		return sha512.New384
	case "hmacsha512":
		return sha512.New
	}
	return nil
}

func isCBC(name string) bool {
	switch name {
	case "http://www.w3.org/2001/04/xmlenc#aes128-cbc", "http://www.w3.org/2001/04/xmlenc#aes192-cbc", "http://www.w3.org/2001/04/xmlenc#aes256-cbc":
		return true
	}
	return false
}

// decrypt undoes AES in CBC mode as XML Encryption has it (section 5.2): the initialisation vector first, at the
// end of the text the length of its padding. How long the key is decides which AES it is.
func decrypt(key, box []byte) ([]byte, bool) {
	block, err := aes.NewCipher(key)
	if err != nil || len(box) < 2*aes.BlockSize || len(box)%aes.BlockSize != 0 {
		return nil, false
	}
	text := make([]byte, len(box)-aes.BlockSize)
	cipher.NewCBCDecrypter(block, box[:aes.BlockSize]).CryptBlocks(text, box[aes.BlockSize:])
	padding := int(text[len(text)-1])
	if padding < 1 || padding > aes.BlockSize {
		return nil, false
	}
	return text[:len(text)-padding], true
}

func errWrongKey() error {
	return sallyport.Errorf(sallyport.CodeDenied, "The key or the passphrase is not that of the file, or the file was changed.", nil)
}

func unsupported(words string) error {
	return sallyport.Errorf(sallyport.CodeUnsupported, words+" Ask the maker of the tokens for a file under a pre-shared key or a passphrase (AES-CBC, with HMAC).", nil)
}
