package keyring

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newRing(t *testing.T, tenant sallyport.TenantID) *Ring {
	t.Helper()
	r, err := New(tenant)
	check(t, err)
	return r
}

func TestKeysComeBackFromTheirFilesAndFromNowhereElse(t *testing.T) {
	dir, r := t.TempDir(), newRing(t, "t1")
	if _, err := Load(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	check(t, r.Save(dir))
	back, err := Load(dir)
	check(t, err)
	if back.Fingerprint() != r.Fingerprint() || !bytes.Equal(back.Derive("x"), r.Derive("x")) || back.Tenant != "t1" {
		t.Error("other keys came back")
	}
	for _, name := range []string{masterFile, ringFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	file, err := os.ReadFile(filepath.Join(dir, ringFile))
	check(t, err)
	if bytes.Contains(file, r.secret) || bytes.Contains(file, []byte("t1")) {
		t.Error("the file can be read without the master key")
	}
	check(t, os.WriteFile(filepath.Join(dir, masterFile), make([]byte, 32), 0o600))
	if _, err := Load(dir); err == nil {
		t.Error("opened with another master key")
	}
	check(t, os.WriteFile(filepath.Join(dir, masterFile), []byte("short"), 0o600))
	if _, err := Load(dir); err == nil {
		t.Error("opened with half a master key")
	}
}

func TestStoreKeyIsReplacedOnceItWasSafe(t *testing.T) {
	dir, r := t.TempDir(), newRing(t, "t1")
	check(t, r.Save(dir))
	if _, err := NextStoreKey(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no change was begun: %v", err)
	}
	next, err := BeginStoreKey(dir)
	check(t, err)
	again, err := BeginStoreKey(dir)
	check(t, err)
	if !bytes.Equal(next, again) || bytes.Equal(next, r.StoreKey()) || !bytes.Equal(r.StoreKey(), r.Derive("store")) {
		t.Error("a change that was begun goes on with another key, or with the old one")
	}
	file, err := os.ReadFile(filepath.Join(dir, nextFile))
	check(t, err)
	if bytes.Contains(file, next) {
		t.Error("the file can be read without the master key")
	}
	check(t, r.EndStoreKey(dir, next))
	back, err := Load(dir)
	check(t, err)
	if !bytes.Equal(back.StoreKey(), next) || back.Fingerprint() != r.Fingerprint() {
		t.Error("other keys came back")
	}
	if r.EndStoreKey(dir, newRing(t, "t1").StoreKey()) == nil { // r is from before the change
		t.Error("a key was lost to a change from before")
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 2 {
		t.Errorf("%v are left, %v", names, err)
	}
	box, err := back.Seal(next, nil)
	check(t, err)
	if joined, err := Unseal(box, next, nil); err != nil || !bytes.Equal(joined.StoreKey(), next) {
		t.Errorf("an appliance that joins has another store key: %v", err)
	}
	check(t, os.WriteFile(filepath.Join(dir, nextFile), []byte("rubbish"), 0o600))
	if _, err := BeginStoreKey(dir); err == nil {
		t.Error("a next key that does not open was replaced")
	}
}

func TestDerivedKeysDifferByUseAndByEnterprise(t *testing.T) {
	a, b := newRing(t, "t1"), newRing(t, "t1")
	if bytes.Equal(a.Derive("store"), a.Derive("login")) || bytes.Equal(a.Derive("store"), b.Derive("store")) {
		t.Error("keys are the same")
	}
}

func TestStatementHoldsForItsEnterpriseAndItsRootOnly(t *testing.T) {
	r, other := newRing(t, "t1"), newRing(t, "t1")
	text, sig, err := r.Statement(time.Unix(1_800_000_000, 0))
	check(t, err)
	if _, iat, pub, err := VerifyStatement(text, sig, "t1", r.Fingerprint()); err != nil || iat != 1_800_000_000 || pub == nil {
		t.Fatalf("%d, %v", iat, err)
	}
	edited := bytes.Replace(text, []byte(`"exp":18`), []byte(`"exp":19`), 1)
	forged, forgedSig, err := other.Statement(time.Now())
	check(t, err)
	for name, c := range map[string]struct {
		text, sig   []byte
		tenant      sallyport.TenantID
		fingerprint string
	}{
		"another enterprise": {text, sig, "t2", r.Fingerprint()},
		"another pin":        {text, sig, "t1", other.Fingerprint()},
		"edited":             {edited, sig, "t1", r.Fingerprint()},
		"another root":       {forged, forgedSig, "t1", r.Fingerprint()},
		"no signature":       {text, nil, "t1", r.Fingerprint()},
		"rubbish":            {[]byte("{"), sig, "t1", r.Fingerprint()},
	} {
		if _, _, _, err := VerifyStatement(c.text, c.sig, c.tenant, c.fingerprint); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func FuzzVerifyStatement(f *testing.F) {
	r, err := New("t1")
	if err != nil {
		f.Fatal(err)
	}
	text, sig, err := r.Statement(time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, sig)
	f.Add([]byte(`{"v":1,"tenant":"t1"}`), sig)
	f.Fuzz(func(t *testing.T, b, s []byte) {
		if _, _, _, err := VerifyStatement(b, s, "t1", r.Fingerprint()); err == nil && !bytes.Equal(b, text) {
			t.Error("a statement that nobody signed was taken")
		}
	})
}

func FuzzUnseal(f *testing.F) {
	key := make([]byte, 32)
	f.Add([]byte("box"))
	f.Fuzz(func(t *testing.T, box []byte) {
		if _, err := Unseal(box, key, nil); err == nil {
			t.Error("rubbish was opened")
		}
	})
}
