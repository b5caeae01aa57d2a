package sallyport_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
)

func TestAGeneratedSecretIsLongUnambiguousAndNotWarnedAbout(t *testing.T) {
	seen := map[sallyport.Secret]bool{}
	letters := map[rune]bool{}
	for range 2000 {
		s := sallyport.GenerateSecret()
		if len(s) != 32 || strings.ContainsAny(string(s), "0oO1lI") || seen[s] {
			t.Fatalf("%q", string(s))
		}
		if w := sallyport.WeakSecret(s, "Hospital VPN"); w != "" {
			t.Errorf("%q: %s", string(s), w)
		}
		seen[s] = true
		for _, r := range string(s) {
			letters[r] = true
		}
	}
	if len(letters) != 32 {
		t.Errorf("%d letters are used", len(letters))
	}
}

func TestASecretThatSomebodyCouldGuessIsWarnedAbout(t *testing.T) {
	for secret, want := range map[string]string{
		"":                                 "0 characters",
		"k3jw9x7rq2mv8zt5nh4py":            "21 characters",
		"Hospital VPN":                     "nickname",
		"hospital vpn":                     "nickname",
		"aaaaaaaaaaaaaaaaaaaaaaaa":         "repeats",
		"abc123xyz!abc123xyz!abc123xyz!":   "repeats",
		"k3jw9x7rq2mvk3jw9x7rq2mvk3jw":     "repeats",
		"RadiusSharedSecretForTheVPN":      "words",
		"P@ssw0rd-P4ssword-S3cret-2026!":   "words",
		"hospital-vpn-radius-secret-2026":  "words",
		"abcdefghijklmnopqrstuvwxyz123456": "words",
	} {
		warning := sallyport.WeakSecret(sallyport.Secret(secret), "Hospital VPN")
		if !strings.Contains(warning, want) || warning == "" {
			t.Errorf("%q: %q, want %q", secret, warning, want)
		}
		if len(secret) > 3 && secret != "Hospital VPN" && strings.Contains(warning, secret) {
			t.Errorf("the warning shows the secret: %s", warning)
		}
	}
	for _, good := range []string{"k3jw9x7rq2mv8zt5nh4pyd", "8FJQK-2M7TZ-XW3PD-9RGNC-V5HBE", "correct horse battery staple orbit"} {
		if w := sallyport.WeakSecret(sallyport.Secret(good), "Hospital VPN"); w != "" {
			t.Errorf("%q: %s", good, w)
		}
	}
}
