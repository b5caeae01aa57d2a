package appliance

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

var operator = sallyport.Actor{Kind: sallyport.ActorLocal, Name: "root@appliance", Role: sallyport.RoleSuper}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// filled is a data directory with keys, and with something secret in its store.
func filled(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	ring, err := keyring.New("hospital")
	check(t, err)
	check(t, ring.Save(dir))
	s := opened(t, dir)
	check(t, s.SetSealedSection(t.Context(), "mail-password", "smtp-password", 0))
	check(t, s.Close())
	return dir
}

func opened(t *testing.T, dir string) *store.Store {
	t.Helper()
	ring, err := keyring.Load(dir)
	check(t, err)
	s, err := OpenStore(t.Context(), dir, "", ring, slog.New(slog.DiscardHandler))
	check(t, err)
	return s
}

// reads fails unless the store opens and its secrets do.
func reads(t *testing.T, dir string) {
	t.Helper()
	s := opened(t, dir)
	if secret, _, err := s.SealedSection(t.Context(), "mail-password"); err != nil || secret != "smtp-password" {
		t.Errorf("read %q, %v", secret, err)
	}
	check(t, s.Close())
}

func changes(t *testing.T, dir string) int {
	t.Helper()
	s := opened(t, dir)
	page, err := s.AuditRecords(t.Context(), store.AuditQuery{Action: "master key.change", Actor: operator.Name})
	check(t, err)
	check(t, s.Close())
	return len(page.Records)
}

func TestStoreKeyIsChangedAndTheKeysFromBeforeOpenNothing(t *testing.T) {
	dir := filled(t)
	before, err := keyring.Load(dir)
	check(t, err)
	check(t, ChangeStoreKey(t.Context(), StoreKeyChange{DataDir: dir, Actor: operator}))
	reads(t, dir)
	_, err = OpenStore(t.Context(), dir, "", before, slog.New(slog.DiscardHandler))
	if sallyport.ErrorCode(err) != sallyport.CodeDenied || !strings.Contains(sallyport.ErrorMessage(err), "join --again") {
		t.Errorf("under the old key: %v", err)
	}
	after, err := keyring.Load(dir)
	check(t, err)
	if bytes.Equal(after.StoreKey(), before.StoreKey()) || after.Fingerprint() != before.Fingerprint() || !bytes.Equal(after.Derive("login"), before.Derive("login")) {
		t.Error("other keys than the store's were changed, or that was not")
	}
	if _, err := keyring.NextStoreKey(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a next key is left: %v", err)
	}
	check(t, ChangeStoreKey(t.Context(), StoreKeyChange{DataDir: dir, Actor: operator}))
	reads(t, dir)
	if n := changes(t, dir); n != 2 {
		t.Errorf("%d changes are recorded, want 2", n)
	}
}

// Whatever a change was interrupted after, the store opens, and the next run ends the same change.
func TestInterruptedChangeOfTheStoreKeyGoesOnWithItsKey(t *testing.T) {
	for name, interrupted := range map[string]func(*testing.T, string){
		"before the database": func(t *testing.T, dir string) {
			_, err := keyring.BeginStoreKey(dir)
			check(t, err)
		},
		"in the database": func(t *testing.T, dir string) {
			key, err := keyring.BeginStoreKey(dir)
			check(t, err)
			s := opened(t, dir)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if s.Rekey(ctx, key) == nil {
				t.Error("a call that had ended went on")
			}
			check(t, s.Close())
		},
		"after the database": func(t *testing.T, dir string) {
			key, err := keyring.BeginStoreKey(dir)
			check(t, err)
			s := opened(t, dir)
			check(t, s.As(operator).Rekey(t.Context(), key))
			check(t, s.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t)
			interrupted(t, dir)
			reads(t, dir)
			next, err := keyring.NextStoreKey(dir)
			check(t, err)
			check(t, ChangeStoreKey(t.Context(), StoreKeyChange{DataDir: dir, Actor: operator}))
			reads(t, dir)
			ring, err := keyring.Load(dir)
			check(t, err)
			if _, err := os.Stat(filepath.Join(dir, "store-next.key")); !errors.Is(err, fs.ErrNotExist) || !bytes.Equal(ring.StoreKey(), next) {
				t.Errorf("the change went on with another key, or did not end: %v", err)
			}
		})
	}
}

// A change that was interrupted at its very last step is over: the next one is another.
func TestChangeAfterOneThatLeftItsKeyBehindHasAnotherKey(t *testing.T) {
	dir := filled(t)
	key, err := keyring.BeginStoreKey(dir)
	check(t, err)
	name := filepath.Join(dir, "store-next.key")
	left, err := os.ReadFile(name)
	check(t, err)
	check(t, ChangeStoreKey(t.Context(), StoreKeyChange{DataDir: dir, Actor: operator}))
	check(t, os.WriteFile(name, left, 0o600))
	reads(t, dir)
	check(t, ChangeStoreKey(t.Context(), StoreKeyChange{DataDir: dir, Actor: operator}))
	reads(t, dir)
	if ring, err := keyring.Load(dir); err != nil || bytes.Equal(ring.StoreKey(), key) {
		t.Errorf("the key stayed the same: %v", err)
	}
}

func TestStoreKeyChangedByManyAtOnceIsNotLost(t *testing.T) {
	dir := filled(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			// Some are told that another was first; nobody may lose the key.
			_ = ChangeStoreKey(t.Context(), StoreKeyChange{DataDir: dir, Actor: operator})
		})
	}
	wg.Wait()
	reads(t, dir)
	check(t, ChangeStoreKey(t.Context(), StoreKeyChange{DataDir: dir, Actor: operator}))
	reads(t, dir)
}

func TestOtherAppliancesAreCutOffOnlyWhenThatIsMeant(t *testing.T) {
	dir := filled(t)
	ring, err := keyring.Load(dir)
	check(t, err)
	for _, id := range []string{"east", "west"} {
		s, err := OpenStore(t.Context(), dir, "", ring, slog.New(slog.DiscardHandler), store.WithChain(id))
		check(t, err)
		check(t, s.SetSetting(t.Context(), "theme", id))
		check(t, s.Close())
	}
	s := opened(t, dir)
	defer func() { check(t, s.Close()) }()
	c := StoreKeyChange{DataDir: dir, Appliance: "east", Actor: operator}
	err = c.mayCutOff(t.Context(), s, "postgres://db/sallyport")
	if m := sallyport.ErrorMessage(err); sallyport.ErrorCode(err) != sallyport.CodeConflict || !strings.Contains(m, "written to it: west.") || !strings.Contains(m, "--others-join-again") {
		t.Errorf("refused with %v", err)
	}
	check(t, c.mayCutOff(t.Context(), s, storeAddress(dir, "")))
	c.OthersJoinAgain = true
	check(t, c.mayCutOff(t.Context(), s, "postgres://db/sallyport"))
}
