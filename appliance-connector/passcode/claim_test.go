package passcode_test

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/passcode"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// free imports a token that nobody has.
func (w *world) free(t sallyport.OTPToken) sallyport.OTPToken {
	w.t.Helper()
	_, err := w.store.ImportOTPTokens(w.t.Context(), []sallyport.OTPToken{t})
	must(w.t, err)
	return w.named(t.Serial)
}

func (w *world) named(serial string) sallyport.OTPToken {
	w.t.Helper()
	page, err := w.store.OTPTokens(w.t.Context(), store.OTPTokenQuery{Serial: serial})
	must(w.t, err)
	out, err := w.store.OTPToken(w.t.Context(), page.Tokens[0].ID)
	must(w.t, err)
	return out
}

func (w *world) claimer() *passcode.Checker {
	c := w.checker(w.store)
	c.Claims = w.store
	return c
}

func TestATokenInTheHandIsClaimedByTwoCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, ctx := w.claimer(), t.Context()
	k := w.free(hotp("FT-1", 6))
	taken, off := w.free(hotp("FT-2", 6)), w.free(hotp("FT-3", 6))
	_, err := w.store.AssignOTPToken(ctx, taken.ID, 0, bob)
	must(t, err)
	_, err = w.store.SetOTPTokenState(ctx, off.ID, 0, sallyport.OTPTokenDisabled)
	must(t, err)
	codes := func(k sallyport.OTPToken, a, b int64) [2]sallyport.Secret {
		return [2]sallyport.Secret{w.at(k, a), w.at(k, b)}
	}
	for name, x := range map[string]struct {
		serial string
		codes  [2]sallyport.Secret
	}{
		"no such token":   {"FT-9", codes(k, 0, 1)},
		"no serial":       {"", codes(k, 0, 1)},
		"not in a row":    {"FT-1", codes(k, 0, 2)},
		"of another":      {"FT-1", codes(taken, 0, 1)},
		"somebody has it": {"FT-2", codes(taken, 0, 1)},
		"disabled":        {"FT-3", codes(off, 0, 1)},
		"no codes":        {"FT-1", [2]sallyport.Secret{}},
	} {
		err := c.Claim(ctx, alice, x.serial, x.codes, w.request())
		if sallyport.ErrorCode(err) != sallyport.CodeDenied || !strings.Contains(sallyport.ErrorMessage(err), "serial number or the codes") {
			t.Errorf("%s: %v", name, err)
		}
		must(t, w.store.ResetFailures(ctx, alice, "otp-claim"))
	}
	for range 2 { // the same login, repeated
		if err := c.Claim(ctx, alice, " ft-1 ", codes(k, 700, 701), "one-login"); err != nil {
			t.Fatal(err)
		}
	}
	got := w.named("FT-1")
	if got.Account != alice || got.Next != 702 || !got.Assigned.Equal(w.now) || got.Version != 2 {
		t.Errorf("claimed: %+v", got)
	}
	if err := c.Claim(ctx, alice, "FT-1", codes(k, 702, 703), "another-login"); sallyport.ErrorCode(err) != sallyport.CodeDenied {
		t.Errorf("what she has already: %v", err)
	}
	if by, why := w.try(c, alice, w.at(k, 701), otpOnly); by != "" {
		t.Errorf("a code that it was claimed by is taken: %s", why)
	}
	if by, why := w.try(c, alice, w.at(k, 702), otpOnly); by != sallyport.MethodOTP {
		t.Errorf("the next code: %s", why)
	}
	records, err := w.store.AuditRecords(ctx, store.AuditQuery{Action: "OTP token.claim"})
	if err != nil || len(records.Records) != 1 || records.Records[0].Actor.Kind != sallyport.ActorUser || records.Records[0].Actor.Name != string(alice) {
		t.Errorf("recorded: %+v, %v", records.Records, err)
	}
}

func TestClaimsAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, ctx := w.claimer(), t.Context()
	k := w.free(totp("FT-1", 6))
	step := w.now.Unix() / 30
	for n := range passcode.MaxWrong {
		if err := c.Claim(ctx, alice, "FT-1", [2]sallyport.Secret{w.at(k, step), w.at(k, step+5)}, w.request()); sallyport.ErrorCode(err) != sallyport.CodeDenied {
			t.Errorf("try %d: %v", n, err)
		}
	}
	right := [2]sallyport.Secret{w.at(k, step), w.at(k, step+1)}
	if err := c.Claim(ctx, alice, "FT-1", right, w.request()); sallyport.ErrorCode(err) != sallyport.CodeLimited {
		t.Errorf("after them: %v", err)
	}
	w.now = w.now.Add(passcode.Window + time.Second)
	if err := c.Claim(ctx, alice, "FT-1", right, w.request()); err != nil {
		t.Errorf("after the window: %v", err)
	}
}

func TestATokenIsClaimedByOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, ctx := w.claimer(), t.Context()
	k := w.free(hotp("FT-1", 6))
	codes := [2]sallyport.Secret{w.at(k, 0), w.at(k, 1)}
	var got atomic.Int64
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			err := c.Claim(ctx, sallyport.AccountName(`hospital\user`+strconv.Itoa(n)), "FT-1", codes, "login-"+strconv.Itoa(n))
			switch sallyport.ErrorCode(err) {
			case "":
				got.Add(1)
			case sallyport.CodeDenied:
			default:
				t.Errorf("%d: %v", n, err)
			}
		})
	}
	wg.Wait()
	if got.Load() != 1 {
		t.Errorf("%d have it", got.Load())
	}
}
