package passcode_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/passcode"
)

var (
	alone   = []sallyport.Combination{sallyport.OTPAlone}
	withPIN = []sallyport.Combination{sallyport.PINAndOTP}
	either  = []sallyport.Combination{sallyport.PINAndOTP, sallyport.OTPAlone}
)

func (w *world) tryAlone(c *passcode.Checker, typed sallyport.Secret, ways []sallyport.Combination) (sallyport.Combination, string) {
	w.t.Helper()
	by, why, err := c.CheckWithoutPassword(w.t.Context(), alice, typed, w.request(), ways)
	must(w.t, err)
	return by, why
}

func (w *world) setPIN(pin sallyport.Secret) {
	w.t.Helper()
	must(w.t, w.store.SetOTPPIN(w.t.Context(), sallyport.OTPPIN{Account: alice, Hash: passcode.HashPIN(pin), Set: w.now, By: "Help"}))
}

func TestACodeAloneOrBehindAPIN(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.checker(w.store)
	six, eight := w.token(alice, hotp("H6", 6)), w.token(alice, hotp("H8", 8))
	w.setPIN("2580")
	for i, step := range []struct {
		what  string
		typed sallyport.Secret
		ways  []sallyport.Combination
		want  sallyport.Combination
		why   string
	}{
		{"six digits", w.at(six, 0), alone, sallyport.OTPAlone, ""},
		{"the same again", w.at(six, 0), alone, "", "used already"},
		{"eight digits", w.at(eight, 0), alone, sallyport.OTPAlone, ""},
		{"a PIN where none may be used", "2580" + w.at(six, 1), alone, "", "no code"},
		{"the PIN and six digits", "2580" + w.at(six, 1), withPIN, sallyport.PINAndOTP, ""},
		{"the PIN and eight digits", "2580" + w.at(eight, 1), either, sallyport.PINAndOTP, ""},
		{"a code alone where a PIN has to be", w.at(six, 2), withPIN, "", "no code"},
		{"another PIN", "2581" + w.at(six, 2), withPIN, "", "PIN is wrong"},
		{"the right PIN then, and the code that it used up", "2580" + w.at(six, 2), withPIN, "", "used already"},
		{"the right PIN and the next code", "2580" + w.at(six, 3), either, sallyport.PINAndOTP, ""},
		{"a short PIN", "258" + w.at(six, 4), withPIN, "", "no code"},
		{"nothing that is a code", "Correct-Horse-7", either, "", "not the digits"},
		{"too long", sallyport.Secret(strings.Repeat("1", 25)), either, "", "not the digits"},
		{"ways that are none", w.at(six, 4), []sallyport.Combination{sallyport.PasswordAndOTP}, "", "no code"},
		{"nothing allowed", w.at(six, 4), nil, "", "no code"},
	} {
		by, why := w.tryAlone(c, step.typed, step.ways)
		if by != step.want || step.want == "" && !strings.Contains(why, step.why) {
			t.Errorf("%d, %s: %q, %s", i, step.what, by, why)
		}
		if strings.Contains(why, "blocked") {
			t.Fatalf("%d, %s: blocked", i, step.what)
		}
	}
}

func TestThereIsNoPIN(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token(alice, hotp("H", 6))
	if by, why := w.tryAlone(w.checker(w.store), "2580"+w.at(token, 0), withPIN); by != "" || !strings.Contains(why, "there is none") {
		t.Errorf("%q, %s", by, why)
	}
}

// Who knows a name only can block what needs no password, for a quarter of an hour or a day, and nothing else.
func TestGuessesWithoutPasswordCountByThemselves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.checker(w.store)
	token := w.token(alice, hotp("H", 6))
	wrong := w.wrong(6, token)
	looked := 0
	for range 10 { // quarters of an hour
		for range passcode.MaxWrong + 1 {
			if _, why := w.tryAlone(c, wrong, alone); !strings.Contains(why, "blocked") {
				looked++
			}
		}
		w.now = w.now.Add(passcode.Window + time.Second)
	}
	if looked != passcode.MaxWrongADay {
		t.Errorf("%d were looked at in a day", looked)
	}
	if by, _ := w.tryAlone(c, w.at(token, 0), alone); by != "" {
		t.Error("taken after all those of a day")
	}
	if by, why := w.try(c, alice, w.at(token, 0), otpOnly); by != sallyport.MethodOTP {
		t.Errorf("behind the right password: %s", why)
	}
	w.now = w.now.Add(24 * time.Hour)
	if by, why := w.tryAlone(c, w.at(token, 1), alone); by != sallyport.OTPAlone {
		t.Errorf("a day later: %s", why)
	}
}

func TestWhatLooksLikeACodeInThePasswordsPlace(t *testing.T) {
	t.Parallel()
	for typed, want := range map[sallyport.Secret]bool{
		"123456": true, "2580123456": true, sallyport.Secret(strings.Repeat("9", 24)): true,
		"": false, "12345": false, sallyport.Secret(strings.Repeat("9", 25)): false, "12345a": false, "123 456": false, "１２３４５６": false,
	} {
		if got := new(passcode.Checker).LooksPasswordless(typed); got != want {
			t.Errorf("%q: %v", string(typed), got)
		}
	}
}
