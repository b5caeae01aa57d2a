package secrethash_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/secrethash"
)

func TestASecretMatchesItsOwnHashOnly(t *testing.T) {
	t.Parallel()
	kept := secrethash.Make("2580")
	if strings.Contains(kept, "2580") || kept == secrethash.Make("2580") {
		t.Errorf("kept: %s", kept)
	}
	for typed, want := range map[sallyport.Secret]bool{"2580": true, "2581": false, "": false, "25800": false} {
		if got, err := secrethash.Match(kept, typed); err != nil || got != want {
			t.Errorf("%q: %v, %v", string(typed), got, err)
		}
	}
}

func TestWhatIsNoHashIsRefused(t *testing.T) {
	t.Parallel()
	kept := secrethash.Make("2580")
	for name, bad := range map[string]string{
		"nothing":       "",
		"a word":        "2580",
		"cut":           kept[:len(kept)-30],
		"much memory":   strings.Replace(kept, "m=19456", "m=4194304", 1),
		"no memory":     strings.Replace(kept, "m=19456", "m=0", 1),
		"many passes":   strings.Replace(kept, "t=2", "t=99", 1),
		"another kind":  strings.Replace(kept, "argon2id", "argon2i", 1),
		"not in base64": strings.Replace(kept, "p=1$", "p=1$!", 1),
	} {
		if ok, err := secrethash.Match(bad, "2580"); ok || !errors.Is(err, secrethash.ErrHash) {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}
