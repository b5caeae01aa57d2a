package devicestore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/deviceproto"
)

func newAccount(t testing.TB, user, enterprise string) Account {
	t.Helper()
	key, err := deviceproto.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	id := deviceproto.Thumbprint(&key.PublicKey)
	keys := deviceproto.DeriveKeys(bytes.Repeat([]byte{7}, deviceproto.SecretSize), id)
	return Account{
		Device: id, Base: "https://tokens.example", Tenant: "tenant1", Enrolment: "enrol1", Name: "laptop", State: Ready,
		User: user, Enterprise: enterprise, Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Key: key, Details: keys.Details, Seed: keys.Seed, Proof: keys.Proof,
	}
}

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "deep", "store"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func save(t *testing.T, s *Store, a Account) {
	t.Helper()
	if err := s.Save(a); err != nil {
		t.Fatal(err)
	}
}

func TestAccountComesBackWhole(t *testing.T) {
	s := open(t)
	want := newAccount(t, "alice", "St. Mary's")
	save(t, s, want)
	all, err := s.Accounts()
	if err != nil || len(all) != 1 {
		t.Fatalf("accounts: %d, %v", len(all), err)
	}
	got := all[0]
	if !got.Key.Equal(want.Key) || !bytes.Equal(got.Seed, want.Seed) || !bytes.Equal(got.Details, want.Details) || !bytes.Equal(got.Proof, want.Proof) {
		t.Error("keys differ")
	}
	if got.Device != want.Device || got.User != want.User || got.Enterprise != want.Enterprise || !got.Created.Equal(want.Created) || got.State != Ready {
		t.Errorf("got %v/%v/%v/%v/%v", got.Device, got.User, got.Enterprise, got.Created, got.State)
	}
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	s := open(t)
	a := newAccount(t, "alice", "St. Mary's")
	save(t, s, a)
	path, _ := s.path(a.Device)
	for name, want := range map[string]os.FileMode{s.dir: 0o700, path: 0o600} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Accounts(); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others can read: %v", err)
	}
}

func TestFindByWhatPeopleType(t *testing.T) {
	s := open(t)
	mary, general := newAccount(t, "alice", "St. Mary's"), newAccount(t, "alice", "General")
	bob := newAccount(t, "bob", "General")
	for _, a := range []Account{mary, general, bob} {
		save(t, s, a)
	}
	for _, c := range []struct {
		name string
		want Account
		err  error
	}{
		{"Alice@General", general, nil},
		{"st. mary's", mary, nil},
		{"BOB", bob, nil},
		{bob.Short(), bob, nil},
		{string(mary.Device), mary, nil},
		{"alice", Account{}, ErrAmbiguous},
		{"general", Account{}, ErrAmbiguous},
		{"carol", Account{}, ErrNotFound},
		{"", Account{}, ErrNotFound},
		{bob.Short()[:2], Account{}, ErrNotFound},
	} {
		got, err := s.Find(c.name)
		if !errors.Is(err, c.err) || got.Device != c.want.Device {
			t.Errorf("%q: %q, %v; want %q, %v", c.name, got.Device, err, c.want.Device, c.err)
		}
	}
}

func TestFindEnrolmentAndRemove(t *testing.T) {
	s := open(t)
	a := newAccount(t, "alice", "General")
	save(t, s, a)
	if got, err := s.FindEnrolment("tenant1", "enrol1"); err != nil || got.Device != a.Device {
		t.Errorf("own enrolment: %v, %v", got.Device, err)
	}
	if _, err := s.FindEnrolment("tenant2", "enrol1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("other tenant: %v", err)
	}
	for range 2 {
		if err := s.Remove(a.Device); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := s.Accounts(); err != nil || len(all) != 0 {
		t.Errorf("after removal: %d, %v", len(all), err)
	}
	if err := s.Remove("../outside"); err == nil {
		t.Error("a path is taken for a device id")
	}
}

func TestAFileUnderAnotherNameIsRefused(t *testing.T) {
	s := open(t)
	a := newAccount(t, "alice", "General")
	save(t, s, a)
	path, _ := s.path(a.Device)
	if err := os.Rename(path, filepath.Join(s.dir, strings.Repeat("A", 43)+extension)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Accounts(); err == nil {
		t.Error("a renamed file was accepted")
	}
}

func TestWritersAndReadersAtOnceSeeWholeFiles(t *testing.T) {
	s := open(t)
	a := newAccount(t, "alice", "General")
	save(t, s, a)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				if err := s.Save(a); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 50 {
				if all, err := s.Accounts(); err != nil || len(all) != 1 {
					t.Errorf("read %d, %v", len(all), err)
				}
			}
		})
	}
	wg.Wait()
	left, err := os.ReadDir(s.dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}

func TestWaitingNeedsItsProofKey(t *testing.T) {
	a := newAccount(t, "", "")
	a.State, a.Proof = Waiting, nil
	if err := open(t).Save(a); err == nil {
		t.Error("saved an account that cannot be registered again")
	}
}

func FuzzParse(f *testing.F) {
	whole, err := marshal(newAccount(f, "alice", "General"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(`{"version":1,"privateKey":"AAAA"}`))
	f.Add([]byte(`null`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := parse(text)
		if err != nil {
			return
		}
		again, err := marshal(a)
		if err != nil {
			t.Fatalf("read but not writable: %v", err)
		}
		b, err := parse(again)
		if err != nil || b.Device != a.Device || !bytes.Equal(b.Seed, a.Seed) || b.State != a.State {
			t.Fatalf("does not come back: %v", err)
		}
	})
}
