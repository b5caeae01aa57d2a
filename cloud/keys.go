package cloud

import (
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/pki"
)

// Files of the key directory. Every replica has the same; Redis has none of them.
const (
	caCertFile   = "ca.crt"
	caKeyFile    = "ca.key"
	loginKeyFile = "login.key"
)

const loginKeySize = 32

// Keys are the cloud's own secrets.
type Keys struct {
	// CA signs the certificates of appliances.
	CA *pki.CA
	// Login makes login ids and the bearers of login sessions.
	Login sallyport.Key
}

// InitKeys makes the keys in dir (0700, files 0600), and leaves alone what is there already.
func InitKeys(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make key directory: %w", err)
	}
	cert, key := filepath.Join(dir, caCertFile), filepath.Join(dir, caKeyFile)
	hasCert, hasKey := exists(cert), exists(key)
	switch {
	case hasCert != hasKey:
		return fmt.Errorf("key directory %s has only one of %s and %s: put the other one back, or remove both to make a new authority, which no appliance trusts yet", dir, caCertFile, caKeyFile)
	case !hasCert:
		ca, err := pki.NewCA(time.Now())
		if err != nil {
			return err
		}
		if err := ca.Save(cert, key); err != nil {
			return fmt.Errorf("write authority: %w", err)
		}
	}
	return initLoginKey(filepath.Join(dir, loginKeyFile))
}

func initLoginKey(name string) error {
	if exists(name) {
		return nil
	}
	b := make([]byte, loginKeySize)
	rand.Read(b)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write login key: %w", err)
	}
	_, err = fmt.Fprintln(f, base64.StdEncoding.EncodeToString(b))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write login key: %w", err)
	}
	return nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// LoadKeys reads what InitKeys made. Keys that others on the host can read are refused.
func LoadKeys(dir string) (*Keys, error) {
	for _, name := range []string{caCertFile, caKeyFile, loginKeyFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		switch {
		case errors.Is(err, os.ErrNotExist):
			return nil, fmt.Errorf("key directory %s has no %s: run 'sallyport cloud init' once, and give every replica the same directory", dir, name)
		case err != nil:
			return nil, fmt.Errorf("read key directory: %w", err)
		case name != caCertFile && info.Mode().Perm()&0o007 != 0:
			return nil, fmt.Errorf("%s can be read by everybody on this host: make it mode 0600", filepath.Join(dir, name))
		}
	}
	ca, err := pki.LoadCA(filepath.Join(dir, caCertFile), filepath.Join(dir, caKeyFile))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, loginKeyFile))
	if err != nil {
		return nil, fmt.Errorf("read login key: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != loginKeySize {
		return nil, fmt.Errorf("%s does not hold %d octets in base64: put the file back that the other replicas have", filepath.Join(dir, loginKeyFile), loginKeySize)
	}
	return &Keys{CA: ca, Login: key}, nil
}

// serverTTL is how long a certificate holds that IssueServer makes.
const serverTTL = 365 * 24 * time.Hour

// IssueServer makes a certificate and key for a listener that appliances dial (the token service's,
// for one), signed by the cloud's authority, which they trust already. It never overwrites.
func (k *Keys) IssueServer(now time.Time, certFile, keyFile string, hosts ...string) error {
	if len(hosts) == 0 {
		return errors.New("issue server certificate: name at least one host")
	}
	cert, err := k.CA.ServerCertificate(now, serverTTL, hosts...)
	if err != nil {
		return err
	}
	signer, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return errors.New("issue server certificate: key cannot sign")
	}
	if err := pki.WriteKey(keyFile, signer); err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	if err := os.WriteFile(certFile, pki.CertPEM(cert.Certificate...), 0o644); err != nil {
		return fmt.Errorf("write certificate: %w", err)
	}
	return nil
}
