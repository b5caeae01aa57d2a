package conformance

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// NewOTPToken returns a token for tests with a serial number.
func NewOTPToken(serial string) sallyport.OTPToken {
	return sallyport.OTPToken{
		Serial: serial, Kind: sallyport.TOTP, Algorithm: sallyport.SHA256, Digits: 8, Period: time.Minute,
		Seed: sallyport.Key("otp-seed-of-" + serial), Maker: "Token Maker", Drift: -2,
	}
}

// importTokens imports tokens and returns them by serial number, without their seeds.
func importTokens(t *testing.T, s *store.Store, tokens ...sallyport.OTPToken) map[string]sallyport.OTPToken {
	t.Helper()
	done, err := s.ImportOTPTokens(t.Context(), tokens)
	must(t, err)
	if done.Added != len(tokens) || done.Known != 0 {
		t.Fatalf("imported: %+v", done)
	}
	return tokensBySerial(t, s)
}

func tokensBySerial(t *testing.T, s *store.Store) map[string]sallyport.OTPToken {
	t.Helper()
	page, err := s.OTPTokens(t.Context(), store.OTPTokenQuery{Most: 1000})
	must(t, err)
	out := make(map[string]sallyport.OTPToken)
	for _, token := range page.Tokens {
		out[token.Serial] = token
	}
	return out
}

func otpTokensImported(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	h := NewOTPToken("FT-2")
	h.Kind, h.Period, h.Next, h.Drift = sallyport.HOTP, 0, 17, 0
	h.ID, h.Account, h.State, h.Version = "chosen", alice, sallyport.OTPTokenDisabled, 9 // none of which an import decides
	id := importTokens(t, s, NewOTPToken("FT-1"), h)["FT-2"].ID
	got, err := s.OTPToken(ctx, id)
	must(t, err)
	h.ID, h.Account, h.State, h.Version, h.Imported = id, "", sallyport.OTPTokenActive, 1, start
	if id == "chosen" || !reflect.DeepEqual(got, h) {
		t.Errorf("got  %+v\nwant %+v", got, h)
	}
	_, err = s.AssignOTPToken(ctx, id, 1, alice)
	must(t, err)
	again, err := s.ImportOTPTokens(ctx, []sallyport.OTPToken{h, NewOTPToken("FT-1"), NewOTPToken("FT-3")})
	if err != nil || again != (store.ImportedOTPTokens{Added: 1, Known: 2}) {
		t.Errorf("imported again: %+v, %v", again, err)
	}
	if got, err := s.OTPToken(ctx, id); err != nil || got.Account != alice {
		t.Errorf("imported again, it is %+v, %v", got, err)
	}
	other, upper, wrong := NewOTPToken("FT-1"), NewOTPToken("ft-9"), NewOTPToken("FT-9")
	other.Seed = sallyport.Key("another-seed")
	if c, err := s.CompareOTPTokens(ctx, []sallyport.OTPToken{NewOTPToken("FT-9"), h, other}); err != nil || c.New != 1 || c.Known != 1 || !reflect.DeepEqual(c.Other, []string{"FT-1"}) {
		t.Errorf("compared: %+v, %v", c, err)
	}
	_, err = s.CompareOTPTokens(ctx, nil)
	wantCode(t, err, sallyport.CodeInvalid)
	wrong.Digits = 5
	for name, c := range map[string]struct {
		tokens []sallyport.OTPToken
		code   sallyport.Code
	}{
		"another seed":   {[]sallyport.OTPToken{NewOTPToken("FT-8"), other}, sallyport.CodeConflict},
		"twice":          {[]sallyport.OTPToken{NewOTPToken("FT-9"), upper}, sallyport.CodeInvalid},
		"wrong":          {[]sallyport.OTPToken{NewOTPToken("FT-8"), wrong}, sallyport.CodeInvalid},
		"none":           {nil, sallyport.CodeInvalid},
		"too many":       {make([]sallyport.OTPToken, sallyport.OTPImportMost+1), sallyport.CodeInvalid},
		"a serial space": {[]sallyport.OTPToken{NewOTPToken("FT 9")}, sallyport.CodeInvalid},
	} {
		_, err := s.ImportOTPTokens(ctx, c.tokens)
		if sallyport.ErrorCode(err) != c.code || strings.Contains(err.Error(), "seed-of") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := tokensBySerial(t, s); len(got) != 3 {
		t.Errorf("after imports that failed there are %d", len(got))
	}
}

func otpTokensQueried(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	var tokens []sallyport.OTPToken
	for n := range 1100 { // more than a lookup of serial numbers
		token := NewOTPToken(fmt.Sprintf("Tok-%04d", n))
		if n%2 == 0 {
			token.Kind, token.Period = sallyport.HOTP, 0
		}
		tokens = append(tokens, token)
	}
	if done, err := s.ImportOTPTokens(ctx, tokens); err != nil || done.Added != 1100 {
		t.Fatalf("%+v, %v", done, err)
	}
	if done, err := s.ImportOTPTokens(ctx, tokens); err != nil || done.Known != 1100 {
		t.Fatalf("again: %+v, %v", done, err)
	}
	ids := tokensBySerial(t, s)
	for _, serial := range []string{"Tok-0007", "Tok-0100"} {
		_, err := s.AssignOTPToken(ctx, ids[serial].ID, 1, alice)
		must(t, err)
	}
	_, err := s.SetOTPTokenState(ctx, ids["Tok-0100"].ID, 2, sallyport.OTPTokenDisabled)
	must(t, err)
	yes, no := true, false
	for name, c := range map[string]struct {
		q    store.OTPTokenQuery
		want int
	}{
		"all": {store.OTPTokenQuery{}, 1100}, "a serial number": {store.OTPTokenQuery{Text: " tOK-0100 "}, 1},
		"a part": {store.OTPTokenQuery{Text: "-010"}, 10}, "an account": {store.OTPTokenQuery{Text: "ALICE"}, 2},
		"a pattern is none": {store.OTPTokenQuery{Text: "%"}, 0}, "of alice": {store.OTPTokenQuery{Account: alice}, 2},
		"assigned": {store.OTPTokenQuery{Assigned: &yes}, 2}, "not assigned": {store.OTPTokenQuery{Assigned: &no}, 1098},
		"kind": {store.OTPTokenQuery{Kind: sallyport.HOTP}, 550}, "disabled": {store.OTPTokenQuery{State: sallyport.OTPTokenDisabled}, 1},
	} {
		seen, last := 0, ""
		for q := c.q; ; {
			q.Most = 300
			page, err := s.OTPTokens(ctx, q)
			must(t, err)
			if page.Total != c.want {
				t.Errorf("%s: in all %d, want %d", name, page.Total, c.want)
			}
			for _, token := range page.Tokens {
				if seen++; token.Serial <= last || token.Seed != nil {
					t.Errorf("%s: %s after %s, seed %v", name, token.Serial, last, token.Seed != nil)
				}
				last = token.Serial
			}
			if q.After = page.Next; q.After == "" {
				break
			}
		}
		if seen != c.want {
			t.Errorf("%s: %d, want %d", name, seen, c.want)
		}
	}
	for name, q := range map[string]store.OTPTokenQuery{
		"mark": {After: "?"}, "kind": {Kind: "ocra"}, "state": {State: "lost"}, "account": {Account: "A"}, "most": {Most: 1001},
	} {
		_, err := s.OTPTokens(ctx, q)
		if sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func otpTokenOwner(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	as := s.As(helpDesk)
	id := importTokens(t, as, NewOTPToken("FT-1"))["FT-1"].ID
	got, err := as.AssignOTPToken(ctx, id, 1, alice)
	must(t, err)
	if got.Account != alice || !got.Assigned.Equal(start) || got.Version != 2 || got.Seed != nil {
		t.Errorf("assigned: %+v", got)
	}
	if list, err := s.OTPTokensOf(ctx, alice); err != nil || len(list) != 1 || string(list[0].Seed) != "otp-seed-of-FT-1" {
		t.Errorf("alice's: %+v, %v", list, err)
	}
	if list, err := s.OTPTokensOf(ctx, bob); err != nil || len(list) != 0 {
		t.Errorf("bob's: %+v, %v", list, err)
	}
	for _, c := range []struct {
		account sallyport.AccountName
		version int64
		words   string
	}{{bob, 2, "belongs to " + string(alice)}, {alice, 2, "already"}, {bob, 1, "Helen Desk"}} {
		_, err := as.AssignOTPToken(ctx, id, c.version, c.account)
		if sallyport.ErrorCode(err) != sallyport.CodeConflict || !strings.Contains(sallyport.ErrorMessage(err), c.words) {
			t.Errorf("to %s, version %d: %v", c.account, c.version, err)
		}
	}
	_, err = as.SetOTPTokenState(ctx, id, 2, "lost")
	wantCode(t, err, sallyport.CodeInvalid)
	_, err = as.SetOTPTokenState(ctx, id, 2, sallyport.OTPTokenDisabled)
	must(t, err)
	_, err = s.UseOTPCode(ctx, alice, id, 5, 0, "")
	wantCode(t, err, sallyport.CodeNotFound)
	_, err = as.SetOTPTokenState(ctx, id, 3, sallyport.OTPTokenActive)
	must(t, err)
	got, err = as.UnassignOTPToken(ctx, id, 4)
	must(t, err)
	if got.Account != "" || !got.Assigned.IsZero() {
		t.Errorf("taken away: %+v", got)
	}
	_, err = as.UnassignOTPToken(ctx, id, 5)
	wantCode(t, err, sallyport.CodeConflict)
	wantCode(t, as.DeleteOTPToken(ctx, id, 4), sallyport.CodeConflict)
	must(t, as.DeleteOTPToken(ctx, id, 5))
	wantCode(t, as.DeleteOTPToken(ctx, id, 0), sallyport.CodeNotFound)
	_, err = s.OTPToken(ctx, id)
	wantCode(t, err, sallyport.CodeNotFound)

	var actions []string
	must(t, s.EachAuditRecord(ctx, store.AuditQuery{Action: "OTP token."}, func(r sallyport.AuditRecord) error {
		actions = append(actions, strings.TrimPrefix(r.Action, "OTP token.")+" "+r.Actor.Name)
		if text := string(r.Before) + string(r.After); strings.Contains(text, "otp-seed") || !strings.Contains(text, "FT-1") {
			t.Errorf("%s: %s", r.Action, text)
		}
		return nil
	}))
	want := "import Helen Desk, assign Helen Desk, disable Helen Desk, enable Helen Desk, unassign Helen Desk, delete Helen Desk"
	if strings.Join(actions, ", ") != want {
		t.Errorf("recorded: %q", actions)
	}
}

func otpTokensBounded(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	var tokens []sallyport.OTPToken
	for n := range 11 {
		tokens = append(tokens, NewOTPToken(fmt.Sprint(n)))
	}
	ids := importTokens(t, s, tokens...)
	for n := range 10 {
		_, err := s.AssignOTPToken(ctx, ids[fmt.Sprint(n)].ID, 1, alice)
		must(t, err)
	}
	_, err := s.AssignOTPToken(ctx, ids["10"].ID, 1, alice)
	wantCode(t, err, sallyport.CodeConflict)
}

func otpCodeAtOnce(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s := Open(t, address)
	id := importTokens(t, s, NewOTPToken("FT-1"))["FT-1"].ID
	_, err := s.AssignOTPToken(t.Context(), id, 0, alice)
	must(t, err)
	n := atOnce(t, address, func(ctx context.Context, s *store.Store) (bool, error) {
		return s.UseOTPCode(ctx, alice, id, 29_000_000, 0, sallyport.NewID())
	})
	if n != 1 {
		t.Fatalf("%d of 1,000 were told to be the first", n)
	}
}

func otpCodeForward(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	id := importTokens(t, s, NewOTPToken("FT-1"))["FT-1"].ID
	_, err := s.AssignOTPToken(ctx, id, 0, alice)
	must(t, err)
	use := func(counter int64, owner string, want bool) {
		t.Helper()
		if first, err := s.UseOTPCode(ctx, alice, id, counter, counter-100, owner); err != nil || first != want {
			t.Errorf("%d by %q: %v, %v; want %v", counter, owner, first, err, want)
		}
	}
	use(0, "", true)
	use(0, "", false)
	use(7, "r1", true)
	use(7, "r1", true) // repeated
	use(7, "r2", false)
	use(7, "", false)
	use(6, "r1", false)
	const far = 1 << 40 // more than 32 bits
	use(far, "r3", true)
	got, err := s.OTPToken(ctx, id)
	must(t, err)
	if got.Next != far+1 || got.Drift != far-100 || !got.Used.Equal(start) || got.Version != 2 {
		t.Errorf("after use: %+v", got)
	}
	_, err = s.ResynchroniseOTPToken(ctx, id, far, 0)
	wantCode(t, err, sallyport.CodeConflict)
	if got, err = s.ResynchroniseOTPToken(ctx, id, far+9, -7); err != nil || got.Next != far+10 || got.Drift != -7 || got.Version != 3 {
		t.Errorf("resynchronised: %+v, %v", got, err)
	}
	use(far+9, "r3", false)
	use(far+10, "r4", true)
	_, err = s.UseOTPCode(ctx, bob, id, far+11, 0, "")
	wantCode(t, err, sallyport.CodeNotFound)
	for _, counter := range []int64{-1, sallyport.OTPPlaceMost} {
		_, err = s.UseOTPCode(ctx, alice, id, counter, 0, "")
		wantCode(t, err, sallyport.CodeInvalid)
	}
}

// otpTokensFollow renames who has a token, and gives somebody else a name that was left.
func otpTokensFollow(t *testing.T, e Engine) {
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
	apply(user(1, "alice"))
	id := importTokens(t, s, NewOTPToken("FT-1"))["FT-1"].ID
	_, err = s.AssignOTPToken(ctx, id, 1, `hospital\alice`)
	must(t, err)
	apply(user(1, "amanda"))
	if list, err := s.OTPTokensOf(ctx, `hospital\amanda`); err != nil || len(list) != 1 {
		t.Fatalf("renamed, she has %+v, %v", list, err)
	}
	apply(store.UserChange{GUID: fmt.Sprintf("%032x", 1), State: sallyport.UserRemoved}, user(2, "amanda"))
	got, err := s.OTPToken(ctx, id)
	must(t, err)
	if got.Account != "" {
		t.Errorf("somebody who took the name has the token: %+v", got)
	}
	page, err := s.AuditRecords(ctx, store.AuditQuery{Action: "user.lose account"})
	if err != nil || len(page.Records) != 1 || !strings.Contains(string(page.Records[0].Before), `"otpTokensTaken":["FT-1"]`) {
		t.Errorf("recorded: %+v, %v", page.Records, err)
	}
}

func otpTokenEdited(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	id := importTokens(t, s, NewOTPToken("FT-1"))["FT-1"].ID
	_, err := s.AssignOTPToken(ctx, id, 1, alice)
	must(t, err)
	_, err = s.SetOTPTokenState(ctx, id, 2, sallyport.OTPTokenDisabled)
	must(t, err)
	read := func() error {
		_, err := s.OTPTokensOf(ctx, alice)
		_, berr := s.OTPTokensOf(ctx, bob)
		return errors.Join(err, berr)
	}
	must(t, read())
	restore := keepTables(t, e, address, "otp_tokens")
	for _, set := range []string{`account = 'hospital\bob'`, `state = 'active'`, `digits = 6`, `period = 30000000`, `algorithm = 'sha1'`, `kind = 'hotp'`, `id = 'x'`} {
		e.Exec(t, address, `UPDATE otp_tokens SET `+set)
		if err := read(); sallyport.ErrorCode(err) != sallyport.CodeInternal {
			t.Errorf("%s: %v", set, err)
		}
		// It can still be seen and deleted.
		page, err := s.OTPTokens(ctx, store.OTPTokenQuery{})
		must(t, err)
		if err := s.DeleteOTPToken(ctx, page.Tokens[0].ID, 0); err != nil {
			t.Errorf("%s: delete: %v", set, err)
		}
		restore()
	}
}

func otpTokenClaimed(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	importTokens(t, s, NewOTPToken("FT-1"))
	found := func(sallyport.OTPToken) (int64, int64, error) { return 29_000_000, 4, nil }
	n := atOnce(t, address, func(ctx context.Context, s *store.Store) (bool, error) {
		_, err := s.ClaimOTPToken(ctx, alice, "ft-1", sallyport.NewID(), found)
		if sallyport.ErrorCode(err) == sallyport.CodeConflict {
			return false, nil
		}
		return err == nil, err
	})
	got := tokensBySerial(t, s)["FT-1"]
	if n != 1 || got.Account != alice || got.Next != 29_000_001 || got.Drift != 4 || got.Version != 2 {
		t.Errorf("%d of 1,000 claimed it: %+v", n, got)
	}
	importTokens(t, s, NewOTPToken("FT-2"))
	refusal := sallyport.Errorf(sallyport.CodeDenied, "no", nil)
	_, err := s.ClaimOTPToken(ctx, bob, "FT-2", "l1", func(sallyport.OTPToken) (int64, int64, error) { return 0, 0, refusal })
	wantCode(t, err, sallyport.CodeDenied)
	for range 2 {
		if k, err := s.ClaimOTPToken(ctx, bob, "FT-2", "l1", found); err != nil || k.Account != bob || k.Seed != nil {
			t.Errorf("claimed: %+v, %v", k, err)
		}
	}
	_, err = s.ClaimOTPToken(ctx, bob, "FT-2", "l2", found)
	wantCode(t, err, sallyport.CodeConflict)
	_, err = s.ClaimOTPToken(ctx, bob, "FT-3", "l2", found)
	wantCode(t, err, sallyport.CodeNotFound)
}
