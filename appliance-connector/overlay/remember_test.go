package overlay

import (
	"strings"
	"testing"
)

func TestBrowsersAreNamedInWords(t *testing.T) {
	for userAgent, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0":                                                               "Firefox on Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0":                  "Edge on Windows",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36":                                          "Chrome on Linux",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15":                          "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.7444.77 Mobile/15E148 Safari/604.1": "Chrome on iPhone",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36":            "Samsung Internet on Android",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36":                                "Chrome on Android",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 OPR/126.0":                       "Opera on ChromeOS",
		"curl/8.14.1": "", "": "", "Windows": "A browser on Windows", "Firefox/1": "Firefox",
		strings.Repeat("x", maxUserAgent) + "Firefox/1": "",
		"<script>alert(1)</script> Firefox/1 Windows":   "Firefox on Windows",
	} {
		if got := browserName(userAgent); got != want {
			t.Errorf("%q: %q, want %q", userAgent, got, want)
		}
	}
}

func FuzzBrowserName(f *testing.F) {
	f.Add("Mozilla/5.0 (Windows NT 10.0) Firefox/145.0")
	f.Add("\x00<img src=x>")
	f.Fuzz(func(t *testing.T, s string) {
		if got := browserName(s); len(got) > 40 || strings.ContainsFunc(got, func(r rune) bool { return r != ' ' && (r < 'A' || r > 'z') }) {
			t.Errorf("%q gives %q", s, got)
		}
	})
}
