package keyring

import (
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
)

// nextFile holds the store's next master key while it is changed, sealed as the keys are.
const nextFile = "store-next.key"

// StoreKey is the store's master key: derived as all the others, or, once it was changed, one of its own.
func (r *Ring) StoreKey() sallyport.Key {
	if r.store != nil {
		return r.store
	}
	return r.Derive("store")
}

// NextStoreKey returns the key that the store is about to be put under, as it lies in dir. The error is
// fs.ErrNotExist when the key is not being changed.
func NextStoreKey(dir string) (sallyport.Key, error) {
	box, err := os.ReadFile(filepath.Join(dir, nextFile))
	if err != nil {
		return nil, fmt.Errorf("read the store's next key: %w", err)
	}
	master, err := masterKey(dir, false)
	if err != nil {
		return nil, err
	}
	key, err := sealed.Open(master, box, []byte(nextFile))
	if err == nil && len(key) != sealed.KeySize {
		err = fmt.Errorf("it has %d octets", len(key))
	}
	if err != nil {
		return nil, fmt.Errorf("open %s with %s: %w", nextFile, masterFile, err)
	}
	return key, nil
}

// BeginStoreKey makes the store's next master key and returns once it is safe in dir, so that nothing
// is under a key that could be lost. A change that was begun and not ended goes on with its key.
func BeginStoreKey(dir string) (sallyport.Key, error) {
	next, err := NextStoreKey(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return next, err
	}
	master, err := masterKey(dir, false)
	if err != nil {
		return nil, err
	}
	key := make([]byte, sealed.KeySize)
	rand.Read(key)
	err = writeFile(filepath.Join(dir, nextFile), sealed.Seal(master, key, []byte(nextFile)), linkNew)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("keep the store's next key: %w", err)
	}
	return NextStoreKey(dir) // of two that begin at once, both go on with the first one's
}

// EndStoreKey makes next the store's master key in the files of dir: the store is under it now. Nothing
// is written when the key was changed otherwise since r was read.
func (r *Ring) EndStoreKey(dir string, next sallyport.Key) error {
	changed, err := Load(dir)
	if err != nil {
		return err
	}
	if !same(changed.StoreKey(), r.StoreKey()) && !same(changed.StoreKey(), next) {
		return sallyport.Errorf(sallyport.CodeConflict, "Somebody else changed the store's key just now. Nothing was written to enterprise.keys.", nil)
	}
	changed.store = next
	if err := changed.Save(dir); err != nil {
		return fmt.Errorf("keep the store's key: %w", err)
	}
	if left, err := NextStoreKey(dir); err != nil || !same(left, next) {
		return ignoreMissing(err)
	}
	if err := ignoreMissing(os.Remove(filepath.Join(dir, nextFile))); err != nil {
		return fmt.Errorf("remove the key that has its place now: %w", err)
	}
	return nil
}

func same(a, b sallyport.Key) bool { return hmac.Equal(a, b) }

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// linkNew puts a file in its place unless there is one.
func linkNew(from, to string) error {
	return errors.Join(os.Link(from, to), os.Remove(from))
}
