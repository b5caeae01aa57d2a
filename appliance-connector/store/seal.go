package store

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
)

// masterSize is the length of a master key, in octets.
const masterSize = 32

// boxIDSize is the length of the mark before each sealed value that says which key it is under.
const boxIDSize = 8

var checkWord = []byte("sallyport store")

// checkPlace is where the constant lies that opens under the right key only.
var checkPlace = place{table: "meta", column: "value", row: metaCheck}

// place says where a sealed value belongs. Binding names the columns that the value vouches for: a
// row edited behind the store's back does not open any more.
type place struct {
	table, column, row string
	binding            []string
}

func (p place) aad() []byte {
	return sealed.Fields(append([]string{"sallyport/v1 store", p.table, p.column, p.row}, p.binding...)...)
}

// boxKey is what the secret columns are encrypted under. It comes from the master key and the
// database's own salt, so no value can be carried from one database to another.
type boxKey struct {
	id  [boxIDSize]byte
	key sallyport.Key
}

func newBoxKey(master, salt []byte) *boxKey {
	k := &boxKey{key: sealed.Derive(master, salt, "sallyport/v1 store columns", sealed.KeySize)}
	copy(k.id[:], sealed.Derive(k.key, nil, "sallyport/v1 store key id", boxIDSize))
	return k
}

func (k *boxKey) seal(p place, secret []byte) []byte {
	return append(k.id[:len(k.id):len(k.id)], sealed.Seal(k.key, secret, p.aad())...)
}

func (k *boxKey) sealedUnder(box []byte) bool { return bytes.HasPrefix(box, k.id[:]) }

// sealer encrypts the secret columns. Seal only inside change or audited: these see to it that no
// value is written under a key that Rekey has replaced.
type sealer struct {
	current atomic.Pointer[boxKey]
	// other is the key before or after a Rekey of this process: what is read meanwhile is under either.
	other atomic.Pointer[boxKey]
}

func newSealer(key *boxKey) *sealer {
	s := &sealer{}
	s.current.Store(key)
	return s
}

func (s *sealer) seal(p place, secret []byte) []byte { return s.current.Load().seal(p, secret) }

func (s *sealer) open(p place, box []byte) ([]byte, error) {
	key := s.current.Load()
	if other := s.other.Load(); other != nil && other.sealedUnder(box) {
		key = other
	}
	if len(box) >= boxIDSize+sealed.Overhead && !key.sealedUnder(box) {
		return nil, rekeyed(p)
	}
	secret, err := sealed.Open(key.key, box[min(boxIDSize, len(box)):], p.aad())
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInternal,
			"A secret in the appliance's database was changed from outside and cannot be used.",
			fmt.Errorf("open %s.%s of row %q: %w", p.table, p.column, p.row, err))
	}
	return secret, nil
}

// adopt makes sure, inside a transaction that seals, that the database is under the current key: check
// is what meta holds now.
func (s *sealer) adopt(check []byte) error {
	current := s.current.Load()
	if current.sealedUnder(check) {
		return nil
	}
	if other := s.other.Load(); other != nil && other.sealedUnder(check) {
		s.replace(current, other)
		return nil
	}
	return rekeyed(checkPlace)
}

// replace makes next the current key, once; the old one still opens what was read before.
func (s *sealer) replace(current, next *boxKey) {
	if s.current.CompareAndSwap(current, next) {
		s.other.Store(current)
	}
}

func rekeyed(p place) error {
	return sallyport.Errorf(sallyport.CodeDenied,
		"The database is under another master key than this program. If the master key was changed, restart this appliance with the new one; if not, the database was changed from outside.",
		fmt.Errorf("%s.%s of row %q is under another key", p.table, p.column, p.row))
}

// spoiled reports whether a row cannot be read because it was changed from outside. It can still be
// replaced or deleted.
func spoiled(err error) bool { return errors.Is(err, sealed.ErrOpen) }
