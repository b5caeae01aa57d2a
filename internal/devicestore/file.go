package devicestore

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

const fileVersion = 1

// file is an account as it lies on the disk. Keys are plain octets here, since sallyport.Key would
// write [redacted].
type file struct {
	Version    int                   `json:"version"`
	Base       string                `json:"deviceAddress"`
	Tenant     sallyport.TenantID    `json:"tenantId"`
	Enrolment  sallyport.EnrolmentID `json:"enrolmentId"`
	Name       string                `json:"name"`
	State      State                 `json:"state"`
	User       string                `json:"user,omitempty"`
	Enterprise string                `json:"enterprise,omitempty"`
	Created    time.Time             `json:"created"`
	PrivateKey []byte                `json:"privateKey"` // PKCS #8
	Details    []byte                `json:"detailsKey"`
	Seed       []byte                `json:"seed"`
	Proof      []byte                `json:"proofKey,omitempty"`
}

func marshal(a Account) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(a.Key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	text, err := json.MarshalIndent(file{
		Version: fileVersion, Base: a.Base, Tenant: a.Tenant, Enrolment: a.Enrolment, Name: a.Name, State: a.State,
		User: a.User, Enterprise: a.Enterprise, Created: a.Created.UTC(),
		PrivateKey: der, Details: a.Details, Seed: a.Seed, Proof: a.Proof,
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode account: %w", err)
	}
	if _, err := parse(text); err != nil {
		return nil, err // what could not be read again is not written
	}
	return append(text, '\n'), nil
}

// parse reads an account file. Errors never repeat what stands in it.
func parse(text []byte) (Account, error) {
	if len(text) > maxFile {
		return Account{}, errors.New("file is too long")
	}
	var f file
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return Account{}, errors.New("file is not a whole account")
	}
	if f.Version != fileVersion {
		return Account{}, fmt.Errorf("file has version %d, this program reads %d", f.Version, fileVersion)
	}
	key, err := parseKey(f.PrivateKey)
	if err != nil {
		return Account{}, err
	}
	if err := f.check(); err != nil {
		return Account{}, err
	}
	return Account{
		Device: deviceproto.Thumbprint(&key.PublicKey), Base: f.Base, Tenant: f.Tenant, Enrolment: f.Enrolment,
		Name: f.Name, State: f.State, User: f.User, Enterprise: f.Enterprise, Created: f.Created,
		Key: key, Details: f.Details, Seed: f.Seed, Proof: f.Proof,
	}, nil
}

func parseKey(der []byte) (*ecdsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("private key is not a P-256 key")
	}
	return key, nil
}

func (f file) check() error {
	switch {
	case !sallyport.ValidID(string(f.Tenant)) || !sallyport.ValidID(string(f.Enrolment)):
		return errors.New("enterprise or enrolment is missing")
	case f.Base == "":
		return errors.New("device address is missing")
	case f.State != Waiting && f.State != Ready:
		return errors.New("state is not known")
	case len(f.Details) != 32 || len(f.Seed) != 20:
		return errors.New("keys have the wrong length")
	case f.State == Waiting && len(f.Proof) != 32:
		return errors.New("proof key is missing")
	}
	return nil
}
