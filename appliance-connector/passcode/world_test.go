package passcode_test

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/otp"
	"github.com/sallyport/sallyport/appliance-connector/passcode"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

const (
	alice = sallyport.AccountName(`hospital\alice`)
	bob   = sallyport.AccountName(`hospital\bob`)
)

var master = sallyport.Key("0123456789abcdef0123456789abcdef")

// world is a store with tokens, and checkers of one or more appliances on it. The clock stands still unless moved.
type world struct {
	t     testing.TB
	store *store.Store
	now   time.Time
	log   safeLog
	tries int
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 3, 1, 7, 0, 10, 0, time.UTC)}
	w.store = w.open(filepath.Join(t.TempDir(), "s.db"))
	return w
}

func (w *world) open(address string) *store.Store {
	w.t.Helper()
	s, err := store.Open(context.Background(), address, master, store.WithNow(func() time.Time { return w.now }))
	must(w.t, err)
	w.t.Cleanup(func() { must(w.t, s.Close()) })
	return s
}

func (w *world) checker(s *store.Store) *passcode.Checker {
	return &passcode.Checker{Store: s, Temporary: s, Tokens: s, PINs: s, Now: func() time.Time { return w.now },
		Log: slog.New(slog.NewTextHandler(&w.log, nil))}
}

// token imports a token and gives it to an account.
func (w *world) token(account sallyport.AccountName, t sallyport.OTPToken) sallyport.OTPToken {
	w.t.Helper()
	ctx := w.t.Context()
	_, err := w.store.ImportOTPTokens(ctx, []sallyport.OTPToken{t})
	must(w.t, err)
	page, err := w.store.OTPTokens(ctx, store.OTPTokenQuery{Text: t.Serial})
	must(w.t, err)
	_, err = w.store.AssignOTPToken(ctx, page.Tokens[0].ID, 0, account)
	must(w.t, err)
	out, err := w.store.OTPToken(ctx, page.Tokens[0].ID)
	must(w.t, err)
	return out
}

func hotp(serial string, digits int) sallyport.OTPToken {
	return sallyport.OTPToken{Serial: serial, Kind: sallyport.HOTP, Algorithm: sallyport.SHA1, Digits: digits, Seed: sallyport.Key("seed-of-hotp-" + serial)}
}

func totp(serial string, digits int) sallyport.OTPToken {
	return sallyport.OTPToken{Serial: serial, Kind: sallyport.TOTP, Algorithm: sallyport.SHA256, Digits: digits, Period: 30 * time.Second, Seed: sallyport.Key("seed-of-totp-" + serial)}
}

func (w *world) at(t sallyport.OTPToken, counter int64) sallyport.Secret {
	w.t.Helper()
	code, err := otp.Code(t, counter)
	must(w.t, err)
	return code
}

// shown is what a TOTP token shows now.
func (w *world) shown(t sallyport.OTPToken) sallyport.Secret { return w.at(t, otp.Step(t, w.now)) }

// wrong is a code of so many digits that no token of the tests shows near its place: one of the first that is none.
func (w *world) wrong(digits int, tokens ...sallyport.OTPToken) sallyport.Secret {
	w.t.Helper()
	for n := range 1000 {
		code := sallyport.Secret(strings.Repeat("0", digits-3) + string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)}))
		found := false
		for _, t := range tokens {
			_, is := otp.Find(t, code, w.now)
			found = found || is
		}
		if !found {
			return code
		}
	}
	w.t.Fatal("every code is right")
	return ""
}

// request names another try each time.
func (w *world) request() string {
	w.tries++
	return "request-" + string(rune('a'+w.tries/26%26)) + string(rune('a'+w.tries%26)) + string(rune('a'+w.tries/676))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// safeLog is a log that many write to.
type safeLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
