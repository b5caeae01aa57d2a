package conformance

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// NewOTPPIN returns a PIN for tests.
func NewOTPPIN(account sallyport.AccountName) sallyport.OTPPIN {
	return sallyport.OTPPIN{Account: account, Hash: "hash-of-pin-of-" + sallyport.Secret(account.User()), Set: start, By: "Helen Desk"}
}

func otpPINKept(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	as := s.As(helpDesk)
	if p, err := s.OTPPIN(ctx, alice); err != nil || p != nil {
		t.Errorf("before: %+v, %v", p, err)
	}
	must(t, as.SetOTPPIN(ctx, NewOTPPIN(alice)))
	other := NewOTPPIN(alice)
	other.Hash, other.Set, other.By = "hash-of-another", start.Add(time.Hour), "alice"
	must(t, as.SetOTPPIN(ctx, other))
	if p, err := s.OTPPIN(ctx, alice); err != nil || p == nil || !reflect.DeepEqual(*p, other) {
		t.Errorf("set again: %+v, %v", p, err)
	}
	if p, err := s.OTPPIN(ctx, bob); err != nil || p != nil {
		t.Errorf("bob's: %+v, %v", p, err)
	}
	for name, bad := range map[string]sallyport.OTPPIN{"account": {Account: "A", Hash: "x", By: "x"}, "hash": {Account: alice, By: "x"}} {
		if err := as.SetOTPPIN(ctx, bad); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, as.DeleteOTPPIN(ctx, alice))
	wantCode(t, as.DeleteOTPPIN(ctx, alice), sallyport.CodeNotFound)
	if p, err := s.OTPPIN(ctx, alice); err != nil || p != nil {
		t.Errorf("deleted: %+v, %v", p, err)
	}
	var actions []string
	must(t, s.EachAuditRecord(ctx, store.AuditQuery{Action: "PIN of the OTP token."}, func(r sallyport.AuditRecord) error {
		actions = append(actions, strings.TrimPrefix(r.Action, "PIN of the OTP token.")+" "+r.Actor.Name)
		if text := string(r.Before) + string(r.After); strings.Contains(text, "hash") || !strings.Contains(text, "alice") {
			t.Errorf("%s: %s", r.Action, text)
		}
		return nil
	}))
	if got := strings.Join(actions, ", "); got != "set Helen Desk, set Helen Desk, delete Helen Desk" {
		t.Errorf("recorded: %q", got)
	}
}

// otpPINEdited gives somebody else's PIN to an account behind the store's back.
func otpPINEdited(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	must(t, s.SetOTPPIN(ctx, NewOTPPIN(bob)))
	e.Exec(t, address, `UPDATE otp_pins SET account = 'hospital\alice'`)
	_, err := s.OTPPIN(ctx, alice)
	wantCode(t, err, sallyport.CodeInternal)
	must(t, s.SetOTPPIN(ctx, NewOTPPIN(alice))) // which is the cure
	if p, err := s.OTPPIN(ctx, alice); err != nil || p == nil {
		t.Errorf("%+v, %v", p, err)
	}
}

// otpPINsFollow renames who has a PIN, and gives somebody else a name that was left.
func otpPINsFollow(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	_, err := s.PutDomain(ctx, NewDomain("hospital"))
	must(t, err)
	apply := func(changes ...store.UserChange) {
		t.Helper()
		_, err := s.ApplyUsers(ctx, "hospital", changes)
		must(t, err)
	}
	user := func(n int, name string) store.UserChange {
		return store.UserChange{GUID: fmt.Sprintf("%032x", n), State: sallyport.UserActive,
			Account: sallyport.NewAccountName("HOSPITAL", name), DN: "CN=" + name + ",OU=Staff,DC=hospital,DC=example", DisplayName: name}
	}
	hash := func(account sallyport.AccountName) sallyport.Secret {
		t.Helper()
		p, err := s.OTPPIN(ctx, account)
		must(t, err)
		if p == nil {
			return ""
		}
		return p.Hash
	}
	apply(user(1, "alice"), user(2, "bob"))
	must(t, s.SetOTPPIN(ctx, NewOTPPIN(`hospital\alice`)))
	must(t, s.SetOTPPIN(ctx, NewOTPPIN(`hospital\bob`)))
	apply(user(1, "bob"), user(2, "alice")) // they swap
	if a, b := hash(`hospital\alice`), hash(`hospital\bob`); a != "hash-of-pin-of-bob" || b != "hash-of-pin-of-alice" {
		t.Fatalf("swapped: %q, %q", string(a), string(b))
	}
	apply(store.UserChange{GUID: fmt.Sprintf("%032x", 1), State: sallyport.UserRemoved}, user(3, "bob"))
	if h := hash(`hospital\bob`); h != "" {
		t.Error("somebody who took the name has the PIN")
	}
}

// otpStanding holds what a login is told of tokens and PINs.
func otpStanding(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	has := func(what string, otp, pin bool) {
		t.Helper()
		standing, _, err := s.AccountStanding(ctx, alice)
		must(t, err)
		if standing.Has.OTP != otp || standing.Has.PIN != pin {
			t.Errorf("%s: %+v", what, standing.Has)
		}
	}
	has("nothing", false, false)
	ids := importTokens(t, s, NewOTPToken("FT-1"), NewOTPToken("FT-2"), NewOTPToken("FT-3"))
	_, err := s.AssignOTPToken(ctx, ids["FT-3"].ID, 1, bob)
	must(t, err)
	has("tokens that are nobody's, or bob's", false, false)
	for _, serial := range []string{"FT-1", "FT-2"} {
		_, err := s.AssignOTPToken(ctx, ids[serial].ID, 1, alice)
		must(t, err)
	}
	must(t, s.PutDevice(ctx, NewDevice("phone", alice)))
	must(t, s.PutDevice(ctx, NewDevice("tablet", alice)))
	must(t, s.SetOTPPIN(ctx, NewOTPPIN(alice)))
	has("two tokens, a PIN, two devices", true, true)
	_, err = s.SetOTPTokenState(ctx, ids["FT-1"].ID, 0, sallyport.OTPTokenDisabled)
	must(t, err)
	has("one is disabled", true, true)
	_, err = s.UnassignOTPToken(ctx, ids["FT-2"].ID, 0)
	must(t, err)
	must(t, s.DeleteOTPPIN(ctx, alice))
	has("one disabled, the other taken away", false, false)
}
