package passcode_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/passcode"
)

var (
	anyTyped = []sallyport.Method{sallyport.MethodCode, sallyport.MethodOTP, sallyport.MethodTemporary}
	otpOnly  = []sallyport.Method{sallyport.MethodOTP}
)

// try types a code for alice, with a request of its own, and says what it was taken for.
func (w *world) try(c *passcode.Checker, account sallyport.AccountName, code sallyport.Secret, methods []sallyport.Method) (sallyport.Method, string) {
	w.t.Helper()
	by, why, err := c.CheckCode(w.t.Context(), account, code, w.request(), methods, nil)
	must(w.t, err)
	if (by == "") != (why != "") {
		w.t.Errorf("taken as %q, because %q", by, why)
	}
	return by, why
}

func TestACodeOfAnyTokenIsTakenOnce(t *testing.T) {
	t.Parallel()
	for _, token := range []sallyport.OTPToken{hotp("H-6", 6), hotp("H-7", 7), hotp("H-8", 8), totp("T-6", 6), totp("T-8", 8)} {
		w := newWorld(t)
		// A second token of hers, and one that is nobody's business here.
		w.token(alice, totp("other", 6))
		token := w.token(alice, token)
		c := w.checker(w.store)
		code := w.at(token, token.Next)
		if token.Kind == sallyport.TOTP {
			code = w.shown(token)
		}
		grouped := code[:3] + " " + code[3:]
		if by, why := w.try(c, bob, code, otpOnly); by != "" {
			t.Errorf("%s: taken from bob: %s", token.Serial, why)
		}
		if by, why := w.try(c, alice, code, []sallyport.Method{sallyport.MethodCode, sallyport.MethodTemporary}); by != "" {
			t.Errorf("%s: taken although policy does not allow it: %s", token.Serial, why)
		}
		if by, why := w.try(c, alice, grouped, anyTyped); by != sallyport.MethodOTP {
			t.Errorf("%s: taken as %q: %s", token.Serial, by, why)
		}
		if by, why := w.try(c, alice, code, anyTyped); by != "" || !strings.Contains(why, "used already") {
			t.Errorf("%s: a second time: %q, %s", token.Serial, by, why)
		}
		after, err := w.store.OTPToken(t.Context(), token.ID)
		must(t, err)
		if !after.Used.Equal(w.now) || after.Next <= token.Next {
			t.Errorf("%s: after use it is %+v", token.Serial, after)
		}
	}
}

func TestTheSameRequestIsToldTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token(alice, hotp("H", 6))
	first, second := w.checker(w.store), w.checker(w.store)
	for i, c := range []*passcode.Checker{first, second, first} {
		by, why, err := c.CheckCode(t.Context(), alice, w.at(token, 3), "the-same", otpOnly, nil)
		if err != nil || by != sallyport.MethodOTP {
			t.Errorf("time %d: %q, %s, %v", i, by, why, err)
		}
	}
}

func TestATokenThatDoesNotCountLetsNobodyIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.checker(w.store)
	token := w.token(alice, hotp("H", 6))
	if by, why := w.try(c, alice, w.at(token, 11), otpOnly); by != "" || !strings.Contains(why, "resynchronise") {
		t.Errorf("too far ahead: %q, %s", by, why)
	}
	_, err := w.store.SetOTPTokenState(t.Context(), token.ID, 0, sallyport.OTPTokenDisabled)
	must(t, err)
	if by, why := w.try(c, alice, w.at(token, 0), otpOnly); by != "" || !strings.Contains(why, "no OTP token that counts") {
		t.Errorf("disabled: %q, %s", by, why)
	}
	_, err = w.store.SetOTPTokenState(t.Context(), token.ID, 0, sallyport.OTPTokenActive)
	must(t, err)
	_, err = w.store.UnassignOTPToken(t.Context(), token.ID, 0)
	must(t, err)
	if by, _ := w.try(c, alice, w.at(token, 0), otpOnly); by != "" {
		t.Error("taken of a token that is nobody's")
	}
	if by, why, err := (&passcode.Checker{Store: w.store, Temporary: w.store, Now: c.Now, Log: c.Log}).CheckCode(t.Context(), alice, w.at(token, 0), "r", otpOnly, nil); by != "" || err != nil {
		t.Errorf("without tokens: %q, %s, %v", by, why, err)
	}
}

func TestAClockThatDriftsIsFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.checker(w.store)
	token := w.token(alice, totp("T", 6))
	for range 5 { // it loses 50 s from login to login; together far more than is looked at once
		w.now = w.now.Add(24 * time.Hour)
		now, err := w.store.OTPToken(t.Context(), token.ID)
		must(t, err)
		step := w.now.Unix()/30 + now.Drift - 1
		if by, why := w.try(c, alice, w.at(token, step), otpOnly); by != sallyport.MethodOTP {
			t.Fatalf("not taken: %s", why)
		}
	}
	after, err := w.store.OTPToken(t.Context(), token.ID)
	must(t, err)
	if after.Drift != -5 {
		t.Errorf("drift %d", after.Drift)
	}
}

func TestWrongCodesOfTokensCountWithAllOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.checker(w.store)
	token := w.token(alice, hotp("H", 8))
	for n := range passcode.MaxWrong {
		methods := otpOnly
		if n%2 == 0 {
			methods = anyTyped // as an app code, or a temporary code
		}
		if by, why := w.try(c, alice, w.wrong(6+n%3, token), methods); by != "" || strings.Contains(why, "blocked") {
			t.Fatalf("try %d: %q, %s", n, by, why)
		}
	}
	if by, why := w.try(c, alice, w.at(token, 0), otpOnly); by != "" || !strings.Contains(why, "blocked") {
		t.Errorf("after them the right one: %q, %s", by, why)
	}
	w.now = w.now.Add(passcode.Window + time.Second)
	if by, why := w.try(c, alice, w.at(token, 0), otpOnly); by != sallyport.MethodOTP {
		t.Errorf("after the window: %s", why)
	}
	if n := strings.Count(w.log.String(), "passcodes blocked"); n != 1 {
		t.Errorf("said %d times:\n%s", n, w.log.String())
	}
}

func TestATokenEndsTheTemporaryCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.checker(w.store)
	token := w.token(alice, hotp("H", 6))
	must(t, w.store.IssueTemporaryCode(t.Context(), sallyport.TemporaryCode{ID: "t1", Account: alice, Issued: w.now, Expires: w.now.Add(time.Hour), By: "Help"}, "ABCDE23456"))
	if by, why := w.try(c, alice, "ABCDE-23456", anyTyped); by != sallyport.MethodTemporary {
		t.Fatalf("the temporary code: %q, %s", by, why)
	}
	if by, why := w.try(c, alice, w.at(token, 0), anyTyped); by != sallyport.MethodOTP {
		t.Fatalf("the token: %q, %s", by, why)
	}
	if by, _ := w.try(c, alice, "ABCDE-23456", anyTyped); by != "" {
		t.Error("the temporary code outlived the usual factor")
	}
}
