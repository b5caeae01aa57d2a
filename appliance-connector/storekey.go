package appliance

import (
	"context"
	"crypto/hmac"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/notice"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// OpenStore opens the store of an appliance whose data directory has the enterprise's keys. After a change
// of the store's master key that was interrupted, it is open under whichever key it is under.
func OpenStore(ctx context.Context, dataDir, address string, ring *keyring.Ring, log *slog.Logger, more ...store.Option) (*store.Store, error) {
	next, err := keyring.NextStoreKey(dataDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	s, _, err := openUnder(ctx, storeAddress(dataDir, address), ring, next, append(more, store.WithLogger(log), store.WithNotices(notice.Write))...)
	return s, err
}

func storeAddress(dataDir, address string) string {
	if address == "" {
		return "sqlite:" + filepath.Join(dataDir, "appliance.db")
	}
	return address
}

// openUnder opens the store under the ring's key or, if that is not its key any more, under the next one,
// and says so.
func openUnder(ctx context.Context, address string, ring *keyring.Ring, next sallyport.Key, more ...store.Option) (s *store.Store, changed bool, err error) {
	if s, err = store.Open(ctx, address, ring.StoreKey(), more...); sallyport.ErrorCode(err) != sallyport.CodeDenied {
		return s, false, err
	}
	if next != nil {
		if s, err = store.Open(ctx, address, next, more...); sallyport.ErrorCode(err) != sallyport.CodeDenied {
			return s, true, err
		}
	}
	return nil, false, sallyport.Errorf(sallyport.CodeDenied,
		"The database is under another master key than this appliance has. If 'sallyport appliance rekey' was run on another appliance, run 'sallyport appliance invite' there and 'sallyport appliance join --again' here; if the database was put back from a backup, put enterprise.keys back from the same time.", err)
}

// StoreKeyChange is a change of the store's master key.
type StoreKeyChange struct {
	DataDir string
	Store   string // as in Config
	// Appliance is this one.
	Appliance sallyport.ApplianceID
	Actor     sallyport.Actor
	// OthersJoinAgain says that whoever asks knows that the other appliances are cut off until they do.
	OthersJoinAgain bool
}

// ChangeStoreKey encrypts everything secret in the store anew under a new master key, which is safe in the
// data directory before the first row is under it. Run again after an interruption, it goes on with the
// same key, and ends what was begun.
func ChangeStoreKey(ctx context.Context, c StoreKeyChange) (err error) {
	ring, err := keyring.Load(c.DataDir)
	if err != nil {
		return err
	}
	next, err := keyring.NextStoreKey(c.DataDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	address := storeAddress(c.DataDir, c.Store)
	s, changed, err := openUnder(ctx, address, ring, next)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if !changed {
		if err := c.mayCutOff(ctx, s, address); err != nil {
			return err
		}
		// A change before may have ended but for its last step: this one has a key of its own.
		if next != nil && hmac.Equal(next, ring.StoreKey()) {
			if err := ring.EndStoreKey(c.DataDir, next); err != nil {
				return err
			}
		}
		if next, err = keyring.BeginStoreKey(c.DataDir); err != nil {
			return err
		}
		if err := rekey(ctx, s.As(c.Actor), next); err != nil {
			return err
		}
	}
	return ring.EndStoreKey(c.DataDir, next)
}

func rekey(ctx context.Context, s *store.Store, next sallyport.Key) error {
	err := s.Rekey(ctx, next)
	if sallyport.ErrorCode(err) == sallyport.CodeUnavailable {
		return sallyport.Errorf(sallyport.CodeUnavailable, "The database went away, and may be under the new key already or not. Nothing is lost: run 'sallyport appliance rekey' again.", err)
	}
	return err
}

// mayCutOff refuses to cut other appliances off unless that is meant. A file is one appliance's own.
func (c StoreKeyChange) mayCutOff(ctx context.Context, s *store.Store, address string) error {
	if c.OthersJoinAgain || !store.Shareable(address) {
		return nil
	}
	known, err := s.AuditedAppliances(ctx)
	if err != nil {
		return err
	}
	words := ""
	for _, id := range known {
		if id != c.Appliance {
			words += " " + string(id)
		}
	}
	if words != "" {
		words = " These have written to it:" + words + "."
	}
	return sallyport.Errorf(sallyport.CodeConflict, "Nothing was changed. Several appliances can share this store."+words+
		" All but this one let nobody in until they have the new key: run 'sallyport appliance invite' here and 'sallyport appliance join --again' on each of them. If that is what you want, give --others-join-again.", nil)
}
