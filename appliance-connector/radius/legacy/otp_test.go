package legacy_test

import (
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/otp"
	"github.com/sallyport/sallyport/appliance-connector/passcode"
	wire "layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

// holder gives alice a token and a PIN, and returns what the token shows.
func (w *world) holder(ways ...sallyport.Combination) func(n int64) string {
	w.t.Helper()
	ctx := w.t.Context()
	k := sallyport.OTPToken{Serial: "FT-1", Kind: sallyport.HOTP, Algorithm: sallyport.SHA1, Digits: 6, Seed: sallyport.Key("12345678901234567890")}
	_, err := w.store.ImportOTPTokens(ctx, []sallyport.OTPToken{k})
	check(w.t, err)
	_, err = w.store.ClaimOTPToken(ctx, `hospital\alice`, "FT-1", "once", func(sallyport.OTPToken) (int64, int64, error) { return 0, 0, nil })
	check(w.t, err)
	check(w.t, w.store.SetOTPPIN(ctx, sallyport.OTPPIN{Account: `hospital\alice`, Hash: passcode.HashPIN("2580"), Set: w.now(), By: "Help"}))
	w.people.set(func(p *people) { p.ways = ways })
	return func(n int64) string {
		code, err := otp.Code(k, n)
		check(w.t, err)
		return string(code)
	}
}

func TestAnOTPTokenOpensTheGatewayWithPINOrPasswordOrAlone(t *testing.T) {
	w := newWorld(t)
	shows := w.holder(sallyport.PINAndOTP)
	g := w.appliance().gateway(t)
	if p := g.ask("alice", "2580"+shows(1), nil); p.Code != wire.CodeAccessAccept {
		t.Errorf("PIN and code: %v", p.Code)
	}
	elsewhere := func(p *wire.Packet) { check(t, rfc2865.CallingStationID_SetString(p, "198.51.100.9")) }
	if p := g.ask("alice", "2580"+shows(1), nil, elsewhere); p.Code != wire.CodeAccessReject {
		t.Errorf("the same from elsewhere: %v", p.Code)
	}
	for what, typed := range map[string]string{"the code alone": shows(2), "another PIN": "2581" + shows(2)} {
		if p := g.ask("alice", typed, nil); p.Code != wire.CodeAccessReject {
			t.Errorf("%s: %v", what, p.Code)
		}
	}
	if n := w.binds.Load(); n != 0 {
		t.Errorf("the directory was shown a password %d times", n)
	}
	// With the password the code is asked for.
	p := g.ask("alice", password, nil)
	want(t, p, wire.CodeAccessChallenge, "Type the code that your OTP token shows.")
	if p := g.ask("alice", shows(3), rfc2865.State_Get(p)); p.Code != wire.CodeAccessAccept {
		t.Errorf("the code after the password: %v", p.Code)
	}
	w.people.set(func(p *people) { p.ways = []sallyport.Combination{sallyport.OTPAlone} })
	if p := g.ask("alice", shows(4), nil); p.Code != wire.CodeAccessAccept {
		t.Errorf("the code alone, where that is allowed: %v", p.Code)
	}
	w.people.set(func(p *people) { p.ways = []sallyport.Combination{sallyport.PasswordAndOTP} })
	before := w.binds.Load()
	if p := g.ask("alice", shows(5), nil); p.Code != wire.CodeAccessReject || w.binds.Load() != before+1 {
		t.Errorf("where it is not allowed, digits are a password: %v, %d binds", p.Code, w.binds.Load()-before)
	}
}
