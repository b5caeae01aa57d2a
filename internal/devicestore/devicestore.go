// Package devicestore keeps the accounts of the command-line device: one file an account, readable
// by its owner only, replaced in one step. It holds private keys and seeds; it never logs, never
// talks to a network, and never gives an account's file to a reader that others could have read
// before.
package devicestore

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
)

// ErrNotFound says that no account answers to a name; ErrAmbiguous that several do.
var (
	ErrNotFound  = errors.New("no such account")
	ErrAmbiguous = errors.New("several accounts fit")
)

// State says how far an account is.
type State string

const (
	Waiting State = "waiting" // registered, or about to be; the appliance has not said yes
	Ready   State = "ready"
)

// Account is one enrolment of this device.
type Account struct {
	Device    sallyport.DeviceID
	Base      string // the device address
	Tenant    sallyport.TenantID
	Enrolment sallyport.EnrolmentID
	Name      string // what the user calls this device
	State     State
	// User and Enterprise are known once the account is Ready.
	User       string
	Enterprise string
	Created    time.Time
	Key        *ecdsa.PrivateKey
	Details    sallyport.Key
	Seed       sallyport.Key
	// Proof is kept while the account is Waiting, to register again after a lost answer.
	Proof sallyport.Key
}

const (
	extension = ".json"
	maxFile   = 64 << 10
	// shortID is how many characters of a device id name it in lists and on the command line.
	shortID = 8
)

// Short is the beginning of the device id, as lists show it.
func (a Account) Short() string { return string(a.Device[:min(len(a.Device), shortID)]) }

// Store is a folder of accounts.
type Store struct {
	dir string
}

// Open uses the folder dir, and makes it when it is not there.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make account folder: %w", err)
	}
	return &Store{dir: dir}, nil
}

// Accounts returns all accounts, the oldest first.
func (s *Store) Accounts() ([]Account, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("read account folder: %w", err)
	}
	var all []Account
	for _, e := range entries {
		if e.IsDir() || filepath.Ext(e.Name()) != extension {
			continue
		}
		a, err := s.read(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	slices.SortStableFunc(all, func(a, b Account) int { return a.Created.Compare(b.Created) })
	return all, nil
}

// Find returns the one account that name fits: the user, "user@enterprise", the enterprise (all in
// any case), or the beginning of the device id. The error is ErrNotFound or ErrAmbiguous.
func (s *Store) Find(name string) (Account, error) {
	all, err := s.Accounts()
	if err != nil {
		return Account{}, err
	}
	var found []Account
	for _, a := range all {
		if a.fits(name) {
			found = append(found, a)
		}
	}
	switch len(found) {
	case 0:
		return Account{}, fmt.Errorf("find account %q: %w", name, ErrNotFound)
	case 1:
		return found[0], nil
	}
	return Account{}, fmt.Errorf("find account %q: %w", name, ErrAmbiguous)
}

func (a Account) fits(name string) bool {
	if name == "" {
		return false
	}
	for _, own := range []string{a.User, a.Enterprise, a.User + "@" + a.Enterprise} {
		if strings.EqualFold(own, name) {
			return true
		}
	}
	return len(name) >= shortID/2 && strings.HasPrefix(string(a.Device), name)
}

// FindEnrolment returns the account made from an invitation, or ErrNotFound.
func (s *Store) FindEnrolment(tenant sallyport.TenantID, id sallyport.EnrolmentID) (Account, error) {
	all, err := s.Accounts()
	if err != nil {
		return Account{}, err
	}
	i := slices.IndexFunc(all, func(a Account) bool { return a.Tenant == tenant && a.Enrolment == id })
	if i < 0 {
		return Account{}, ErrNotFound
	}
	return all[i], nil
}

// Save writes the account: when it returns without error the account is on the disk, whole; when the
// machine stops meanwhile the old one is.
func (s *Store) Save(a Account) error {
	text, err := marshal(a)
	if err != nil {
		return fmt.Errorf("save account: %w", err)
	}
	path, err := s.path(a.Device)
	if err != nil {
		return fmt.Errorf("save account: %w", err)
	}
	if err := writeAtomically(path, text); err != nil {
		return fmt.Errorf("save account: %w", err)
	}
	return nil
}

// Remove deletes the account with its keys. One that is not there is no error.
func (s *Store) Remove(id sallyport.DeviceID) error {
	path, err := s.path(id)
	if err != nil {
		return fmt.Errorf("remove account: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove account: %w", err)
	}
	return nil
}

func (s *Store) path(id sallyport.DeviceID) (string, error) {
	if !sallyport.ValidID(string(id)) {
		return "", errors.New("device id is not valid")
	}
	return filepath.Join(s.dir, string(id)+extension), nil
}

func (s *Store) read(name string) (Account, error) {
	path := filepath.Join(s.dir, name)
	f, err := os.Open(path)
	if err != nil {
		return Account{}, fmt.Errorf("read account: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := private(f); err != nil {
		return Account{}, fmt.Errorf("read account %s: %w", path, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return Account{}, fmt.Errorf("read account %s: %w", path, err)
	}
	a, err := parse(text)
	if err != nil {
		return Account{}, fmt.Errorf("read account %s: %w", path, err)
	}
	if string(a.Device)+extension != name {
		return Account{}, fmt.Errorf("read account %s: the key in it is another device's", path)
	}
	return a, nil
}

// private refuses a file of keys that other users of the machine may read.
func private(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("others can read it (mode %04o); set it right with chmod 600", info.Mode().Perm())
	}
	return nil
}

func writeAtomically(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".account-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the new name last. Windows has no such thing.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closing := d.Close(); err == nil {
		err = closing
	}
	return err
}
