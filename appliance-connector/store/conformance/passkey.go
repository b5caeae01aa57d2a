package conformance

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// NewPasskey returns a user's passkey for tests; n makes it another one.
func NewPasskey(n int, account sallyport.AccountName) sallyport.Passkey {
	return sallyport.Passkey{ID: sallyport.PasskeyID(fmt.Sprint("k", n)), Account: account, Host: "vpn.hospital.example", Name: "Security key",
		Credential: fmt.Appendf(nil, "c\x00\xff%d", n), Kept: fmt.Appendf(nil, "kept of passkey %d", n), Enrolled: start, Version: 1}
}

func wantPasskeys(t *testing.T, s *store.Store, account sallyport.AccountName, want ...sallyport.Passkey) {
	t.Helper()
	got, err := s.UserPasskeys(t.Context(), account)
	if err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("passkeys of %s: %+v, %v; want %+v", account, got, err, want)
	}
}

func passkeyComesBack(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)).As(helpDesk), t.Context()
	older, newer, other := NewPasskey(1, alice), NewPasskey(2, alice), NewPasskey(3, bob)
	newer.Enrolled = start.Add(time.Microsecond)
	for _, p := range []sallyport.Passkey{newer, older, other} {
		must(t, s.AddUserPasskey(ctx, p))
	}
	wantPasskeys(t, s, alice, newer, older)
	// Used: by whoever has read it as it is.
	older.Kept = []byte("kept, with another counter")
	must(t, s.UseUserPasskey(ctx, older, start.Add(time.Hour)))
	wantCode(t, s.UseUserPasskey(ctx, older, start.Add(time.Hour)), sallyport.CodeConflict)
	older.Used, older.Version = start.Add(time.Hour), 2
	wantPasskeys(t, s, alice, newer, older)
	theirs := older
	theirs.Account = bob
	wantCode(t, s.UseUserPasskey(ctx, theirs, start), sallyport.CodeConflict)
	// A copy ends it; it stays on the list.
	wantCode(t, s.EndCopiedPasskey(ctx, bob, older.ID, "", start), sallyport.CodeNotFound)
	for range 2 {
		must(t, s.EndCopiedPasskey(ctx, alice, older.ID, "The counter went back.", start.Add(2*time.Hour)))
	}
	older.Copied, older.Version = start.Add(2*time.Hour), 3
	wantPasskeys(t, s, alice, newer, older)
	wantCode(t, s.UseUserPasskey(ctx, older, start), sallyport.CodeConflict)
	standing, _, err := s.AccountStanding(ctx, alice)
	must(t, err)
	if standing.Has.Passkeys != 2 || fmt.Sprint(standing.Has.PasskeyHosts) != "[vpn.hospital.example]" || !standing.Has.Enrolled() {
		t.Errorf("standing: %+v", standing.Has)
	}
	wantCode(t, s.DeleteUserPasskey(ctx, bob, older.ID), sallyport.CodeNotFound)
	must(t, s.DeleteUserPasskey(ctx, alice, older.ID))
	wantCode(t, s.DeleteUserPasskey(ctx, alice, older.ID), sallyport.CodeNotFound)
	wantPasskeys(t, s, alice, newer)
	wantPasskeys(t, s, bob, other)

	var actions []string
	must(t, s.EachAuditRecord(ctx, store.AuditQuery{Action: "user passkey."}, func(r sallyport.AuditRecord) error {
		actions = append(actions, strings.TrimPrefix(r.Action, "user passkey.")+" "+r.Object+" "+r.Reason)
		if text := string(r.Before) + string(r.After); strings.Contains(text, "kept") || !strings.Contains(text, "vpn.hospital.example") {
			t.Errorf("%s of %s: %s", r.Action, r.ObjectID, text)
		}
		return nil
	}))
	if got := fmt.Sprint(actions); strings.Count(got, "enrol ") != 3 || strings.Count(got, `copied hospital\alice The counter went back.`) != 1 || strings.Count(got, `delete hospital\alice`) != 1 {
		t.Errorf("recorded: %s", got)
	}
}

func passkeyRefused(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	for name, spoil := range map[string]func(*sallyport.Passkey){
		"no id":                func(p *sallyport.Passkey) { p.ID = "" },
		"no account":           func(p *sallyport.Passkey) { p.Account = "" },
		"no host":              func(p *sallyport.Passkey) { p.Host = "" },
		"host of two":          func(p *sallyport.Passkey) { p.Host = "a.example b.example" },
		"host with a line":     func(p *sallyport.Passkey) { p.Host = "a.example\n" },
		"no credential":        func(p *sallyport.Passkey) { p.Credential = nil },
		"credential too long":  func(p *sallyport.Passkey) { p.Credential = make([]byte, 1024) },
		"nothing to check by":  func(p *sallyport.Passkey) { p.Kept = nil },
		"too much to check by": func(p *sallyport.Passkey) { p.Kept = make([]byte, 16<<10+1) },
		"no time":              func(p *sallyport.Passkey) { p.Enrolled = time.Time{} },
	} {
		p := NewPasskey(1, alice)
		spoil(&p)
		if err := s.AddUserPasskey(ctx, p); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for n := range sallyport.PasskeysMost {
		must(t, s.AddUserPasskey(ctx, NewPasskey(n, alice)))
	}
	err := s.AddUserPasskey(ctx, NewPasskey(20, alice))
	wantCode(t, err, sallyport.CodeConflict)
	if !strings.Contains(sallyport.ErrorMessage(err), "10 passkeys") {
		t.Errorf("said: %v", err)
	}
	must(t, s.AddUserPasskey(ctx, NewPasskey(20, bob)))
	// The credential is somebody's already.
	stolen := NewPasskey(21, bob)
	stolen.Credential = NewPasskey(1, alice).Credential
	wantCode(t, s.AddUserPasskey(ctx, stolen), sallyport.CodeConflict)
}

// passkeysFollow renames who has a passkey, swaps two, and gives somebody else a name that was left.
func passkeysFollow(t *testing.T, e Engine) {
	s, ctx := hospital(t, e), t.Context()
	apply(t, s, person("A", "alice"), person("B", "bob"))
	must(t, s.AddUserPasskey(ctx, NewPasskey(1, alice)))
	must(t, s.AddUserPasskey(ctx, NewPasskey(2, bob)))
	apply(t, s, person("A", "bob"), person("B", "alice"))
	for account, n := range map[sallyport.AccountName]int{alice: 2, bob: 1} {
		want := NewPasskey(n, account)
		want.Version = 2
		wantPasskeys(t, s, account, want)
	}
	yes := true
	if got := accounts(t, s, store.UserQuery{Enrolled: &yes}); got != "alice bob" && got != "bob alice" {
		t.Errorf("enrolled: %q", got)
	}
	apply(t, s, store.UserChange{GUID: guidOf("B"), State: sallyport.UserRemoved}, person("C", "alice"))
	wantPasskeys(t, s, alice)
	r := lastRecord(t, s, "user.lose account")
	if lost := decode[struct{ Deleted map[string]int }](t, r.Before); lost.Deleted["user_passkeys"] != 1 {
		t.Errorf("recorded: %s", r.Before)
	}
}

func passkeyEdited(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	must(t, s.AddUserPasskey(ctx, NewPasskey(1, alice)))
	must(t, s.AddUserPasskey(ctx, NewPasskey(2, bob)))
	read := func() error {
		_, err := s.UserPasskeys(ctx, alice)
		_, berr := s.UserPasskeys(ctx, bob)
		return errors.Join(err, berr)
	}
	must(t, read())
	restore := keepTables(t, e, address, "user_passkeys")
	for name, statement := range map[string]string{
		"given to another":     `UPDATE user_passkeys SET account = 'hospital\bob'`,
		"key of another":       `UPDATE user_passkeys SET sealed_passkey = (SELECT sealed_passkey FROM user_passkeys WHERE id = 'k2')`,
		"another id":           `UPDATE user_passkeys SET id = 'x' WHERE id = 'k1'`,
		"for another page":     `UPDATE user_passkeys SET host = 'evil.example' WHERE id = 'k1'`,
		"for another one's id": `UPDATE user_passkeys SET credential = sealed_passkey WHERE id = 'k1'`,
	} {
		e.Exec(t, address, statement)
		if err := read(); sallyport.ErrorCode(err) != sallyport.CodeInternal {
			t.Errorf("%s: %v", name, err)
		}
		restore()
	}
	// What cannot be read can be deleted.
	e.Exec(t, address, `UPDATE user_passkeys SET account = 'hospital\alice' WHERE id = 'k2'`)
	must(t, s.DeleteUserPasskey(ctx, alice, "k2"))
	must(t, read())
}
