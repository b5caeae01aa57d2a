package conformance

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// NewAdministrator returns an administrator for tests.
func NewAdministrator(id string, role sallyport.Role) sallyport.Administrator {
	return sallyport.Administrator{ID: sallyport.AdministratorID(id), Name: "Admin " + id, DisplayName: "Dr. " + id,
		Mail: id + "@hospital.example", Role: role, Created: start,
		Scope: sallyport.Scope{Policies: []sallyport.UserPolicyID{"p1"}, OUs: []string{"OU=Wards,DC=hospital,DC=example"}}}
}

// putAdministrator saves a new administrator.
func putAdministrator(t testing.TB, s *store.Store, id string, role sallyport.Role) sallyport.Administrator {
	t.Helper()
	a, err := s.PutAdministrator(t.Context(), NewAdministrator(id, role))
	must(t, err)
	return a
}

func administratorComesBack(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	if list, err := s.Administrators(ctx); err != nil || len(list) != 0 {
		t.Fatalf("a new store lists %v, %v", list, err)
	}
	want := putAdministrator(t, s, "b", sallyport.RoleSuper)
	if want.Version != 1 {
		t.Errorf("the first version is %d", want.Version)
	}
	got, err := s.AdministratorByName(ctx, "ADMIN B")
	must(t, err)
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	want.DisplayName, want.Scope, want.Directory = "", sallyport.Scope{}, true
	want, err = s.PutAdministrator(ctx, want)
	must(t, err)
	must(t, s.AdministratorSeen(ctx, "b", start.Add(time.Hour)))
	must(t, s.AdministratorSeen(ctx, "b", start))
	want.LastSeen = start.Add(time.Hour)
	got, err = s.Administrator(ctx, "b")
	must(t, err)
	if !reflect.DeepEqual(got, want) || got.Version != 2 {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	putAdministrator(t, s, "a", sallyport.RoleAuditor)
	list, err := s.Administrators(ctx)
	if err != nil || len(list) != 2 || list[0].ID != "a" {
		t.Errorf("got %+v, %v", list, err)
	}
	_, err = s.Administrator(ctx, "c")
	wantCode(t, err, sallyport.CodeNotFound)
	for _, name := range []string{"nobody", "", "a\x00b", strings.Repeat("x", 3000)} {
		_, err = s.AdministratorByName(ctx, name)
		wantCode(t, err, sallyport.CodeNotFound)
	}
}

func administratorConflicts(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	a := putAdministrator(t, s, "a", sallyport.RoleSuper)
	_, err := s.PutAdministrator(ctx, NewAdministrator("a", sallyport.RoleSuper))
	wantCode(t, err, sallyport.CodeConflict)
	same := NewAdministrator("b", sallyport.RoleAdmin)
	same.Name = "aDMIN A"
	_, err = s.PutAdministrator(ctx, same)
	wantCode(t, err, sallyport.CodeConflict)
	a.Mail = "other@hospital.example"
	_, err = s.As(helpDesk).PutAdministrator(ctx, a)
	must(t, err)
	_, err = s.PutAdministrator(ctx, a) // by somebody who has not seen it
	wantCode(t, err, sallyport.CodeConflict)
	if m := sallyport.ErrorMessage(err); !strings.Contains(m, "Helen Desk") || !strings.Contains(m, "23 November 2026 at 08:00:00 UTC") {
		t.Errorf("the message %q does not say who and when", m)
	}
	wantCode(t, s.DeleteAdministrator(ctx, "a", 1), sallyport.CodeConflict)
	gone := NewAdministrator("gone", sallyport.RoleAdmin)
	gone.Version = 3
	_, err = s.PutAdministrator(ctx, gone)
	wantCode(t, err, sallyport.CodeNotFound)
	for name, spoil := range map[string]func(*sallyport.Administrator){
		"no name":        func(a *sallyport.Administrator) { a.Name = "" },
		"a role of none": func(a *sallyport.Administrator) { a.Role = "root" },
		"no mail":        func(a *sallyport.Administrator) { a.Mail = "a@b@c" },
		"two addresses":  func(a *sallyport.Administrator) { a.Mail = "a@b.example,c@d.example" },
		"a long scope":   func(a *sallyport.Administrator) { a.Scope.OUs = make([]string, 1001) },
		"no id":          func(a *sallyport.Administrator) { a.ID = "" },
	} {
		a := NewAdministrator("x", sallyport.RoleAdmin)
		spoil(&a)
		if _, err := s.PutAdministrator(ctx, a); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func lastSuper(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	a := putAdministrator(t, s, "a", sallyport.RoleSuper)
	putAdministrator(t, s, "helper", sallyport.RoleAdmin)
	b := NewAdministrator("b", sallyport.RoleSuper)
	b.Disabled = true // counts for nothing
	b, err := s.PutAdministrator(ctx, b)
	must(t, err)
	for name, spoil := range map[string]func(sallyport.Administrator) error{
		"disable": func(a sallyport.Administrator) error {
			a.Disabled = true
			_, err := s.PutAdministrator(ctx, a)
			return err
		},
		"demote": func(a sallyport.Administrator) error {
			a.Role = sallyport.RoleAdmin
			_, err := s.PutAdministrator(ctx, a)
			return err
		},
		"delete": func(a sallyport.Administrator) error { return s.DeleteAdministrator(ctx, a.ID, a.Version) },
	} {
		if err := spoil(a); sallyport.ErrorCode(err) != sallyport.CodeConflict || !strings.Contains(sallyport.ErrorMessage(err), "last super") {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.Disabled = false
	b, err = s.PutAdministrator(ctx, b)
	must(t, err)
	// Both are taken away at once, through two stores, many times: one of them stays.
	other := Open(t, address)
	for range 10 {
		done := make(chan error, 2)
		go func() { done <- s.DeleteAdministrator(ctx, "a", a.Version) }()
		go func() { b := b; b.Role = sallyport.RoleAuditor; _, err := other.PutAdministrator(ctx, b); done <- err }()
		one, two := <-done, <-done
		if (one == nil) == (two == nil) {
			t.Fatalf("both at once: %v, %v", one, two)
		}
		if _, err := s.Administrator(ctx, "a"); err != nil {
			a = putAdministrator(t, s, "a", sallyport.RoleSuper)
		}
		b, err = s.Administrator(ctx, "b")
		must(t, err)
		b.Role = sallyport.RoleSuper
		b, err = s.PutAdministrator(ctx, b)
		must(t, err)
	}
	must(t, s.DeleteAdministrator(ctx, "a", a.Version))
	wantCode(t, s.DeleteAdministrator(ctx, "a", a.Version), sallyport.CodeNotFound)
}

func administratorSecrets(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	putAdministrator(t, s, "a", sallyport.RoleSuper)
	if hash, err := s.PasswordHash(ctx, "a"); err != nil || hash != "" {
		t.Errorf("a new one has the hash %q, %v", hash, err)
	}
	if seed, err := s.TOTP(ctx, "a"); err != nil || seed != nil {
		t.Errorf("a new one has a seed: %v", err)
	}
	must(t, s.SetPassword(ctx, "a", "$argon2id$hash-of-a"))
	must(t, s.SetTOTP(ctx, "a", sallyport.Key("seed-of-administrator")))
	if hash, err := s.PasswordHash(ctx, "a"); err != nil || hash != "$argon2id$hash-of-a" {
		t.Errorf("got %q, %v", hash, err)
	}
	if seed, err := s.TOTP(ctx, "a"); err != nil || string(seed) != "seed-of-administrator" {
		t.Errorf("got another seed: %v", err)
	}
	must(t, s.SetTOTP(ctx, "a", nil))
	if seed, err := s.TOTP(ctx, "a"); err != nil || seed != nil {
		t.Errorf("the seed is still there: %v", err)
	}
	wantCode(t, s.SetPassword(ctx, "x", "hash"), sallyport.CodeNotFound)
	_, err := s.PasswordHash(ctx, "x")
	wantCode(t, err, sallyport.CodeNotFound)
	wantCode(t, s.SetPassword(ctx, "a", strings.Repeat("x", 513)), sallyport.CodeInvalid)
	must(t, s.SetTOTP(ctx, "a", sallyport.Key("seed-of-administrator")))
	passkeys(t, s)
	dump := e.Dump(t, address)
	for _, secret := range []string{"$argon2id$hash-of-a", "seed-of-administrator", `{"counter":2}`} {
		if holds(dump, []byte(secret)) {
			t.Errorf("%s stands in the dump", secret)
		}
	}
}

func passkeys(t *testing.T, s *store.Store) {
	t.Helper()
	ctx := t.Context()
	putAdministrator(t, s, "b", sallyport.RoleAdmin)
	must(t, s.PutPasskey(ctx, "a", store.Passkey{Credential: []byte("c\x00\xff1"), Kept: []byte(`{"counter":1}`)}))
	must(t, s.PutPasskey(ctx, "a", store.Passkey{Credential: []byte("c\x00\xff1"), Kept: []byte(`{"counter":2}`)}))
	must(t, s.PutPasskey(ctx, "a", store.Passkey{Credential: []byte("c0"), Kept: []byte(`{}`), Created: start.Add(time.Hour)}))
	list, err := s.Passkeys(ctx, "a")
	if err != nil || len(list) != 2 || string(list[0].Kept) != `{"counter":2}` || !list[0].Created.Equal(start) || string(list[1].Credential) != "c0" {
		t.Errorf("got %+v, %v", list, err)
	}
	wantCode(t, s.PutPasskey(ctx, "b", store.Passkey{Credential: []byte("c0"), Kept: []byte(`{}`)}), sallyport.CodeConflict)
	wantCode(t, s.DeletePasskey(ctx, "b", []byte("c0")), sallyport.CodeNotFound)
	must(t, s.DeletePasskey(ctx, "a", []byte("c0")))
	for n := range 19 {
		must(t, s.PutPasskey(ctx, "a", store.Passkey{Credential: []byte(fmt.Sprint(n)), Kept: []byte(`{}`)}))
	}
	wantCode(t, s.PutPasskey(ctx, "a", store.Passkey{Credential: []byte("more"), Kept: []byte(`{}`)}), sallyport.CodeConflict)
}

func roleGrants(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	if grants, version, err := s.RoleGrants(ctx); err != nil || len(grants) != 0 || version != 0 {
		t.Fatalf("a new store has %v, %d, %v", grants, version, err)
	}
	want := []sallyport.RoleGrant{
		{Domain: "d1", Group: "CN=Help Desk,DC=hospital,DC=example", Role: sallyport.RoleHelpDesk, Scope: sallyport.Scope{OUs: []string{"OU=Wards,DC=hospital,DC=example"}}},
		{Domain: "d1", Group: "CN=Admins,DC=hospital,DC=example", Role: sallyport.RoleSuper},
	}
	must(t, s.As(helpDesk).SetRoleGrants(ctx, want, 0))
	err := s.SetRoleGrants(ctx, nil, 0)
	wantCode(t, err, sallyport.CodeConflict)
	if !strings.Contains(sallyport.ErrorMessage(err), "Helen Desk") {
		t.Errorf("the message %q does not say who", sallyport.ErrorMessage(err))
	}
	if grants, version, err := s.RoleGrants(ctx); err != nil || version != 1 || !reflect.DeepEqual(grants, want) {
		t.Errorf("got %+v, %d, %v", grants, version, err)
	}
	must(t, s.SetRoleGrants(ctx, nil, 1))
	if grants, version, err := s.RoleGrants(ctx); err != nil || version != 2 || len(grants) != 0 {
		t.Errorf("got %+v, %d, %v", grants, version, err)
	}
	wantCode(t, s.SetRoleGrants(ctx, []sallyport.RoleGrant{{Domain: "d1", Group: "x", Role: "root"}}, 2), sallyport.CodeInvalid)
}

// setupOnce uses one link many times at once, after others that are wrong.
func setupOnce(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	right, wrong := [32]byte{1}, [32]byte{2}
	wantCode(t, s.CheckSetupLink(ctx, right, start), sallyport.CodeNotFound)
	must(t, s.PutSetupLink(ctx, wrong, start.Add(time.Hour)))
	must(t, s.PutSetupLink(ctx, right, start.Add(time.Hour))) // the newer one counts
	wantCode(t, s.CheckSetupLink(ctx, wrong, start), sallyport.CodeNotFound)
	wantCode(t, s.CheckSetupLink(ctx, right, start.Add(time.Hour)), sallyport.CodeExpired)
	must(t, s.CheckSetupLink(ctx, right, start))
	use := func(ctx context.Context, s *store.Store, hash [32]byte, now time.Time) error {
		_, err := s.UseSetupLink(ctx, hash, now, NewAdministrator(sallyport.NewID(), ""), "hash of a password")
		return err
	}
	wantCode(t, use(ctx, s, wrong, start), sallyport.CodeNotFound)
	wantCode(t, use(ctx, s, right, start.Add(time.Hour)), sallyport.CodeExpired)
	n := atOnce(t, address, func(ctx context.Context, s *store.Store) (bool, error) {
		err := use(ctx, s, right, start)
		if sallyport.ErrorCode(err) == sallyport.CodeConflict {
			return false, nil
		}
		return true, err
	})
	if n != 1 {
		t.Fatalf("%d first administrators", n)
	}
	list, err := s.Administrators(ctx)
	must(t, err)
	if len(list) != 1 || list[0].Role != sallyport.RoleSuper || !list[0].Scope.Unlimited() {
		t.Fatalf("got %+v", list)
	}
	if hash, err := s.PasswordHash(ctx, list[0].ID); err != nil || hash != "hash of a password" {
		t.Errorf("hash %q, %v", hash, err)
	}
	wantCode(t, s.PutSetupLink(ctx, right, start.Add(time.Hour)), sallyport.CodeConflict)
	wantCode(t, s.CheckSetupLink(ctx, right, start), sallyport.CodeConflict)
}

func consoleSessions(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	a := putAdministrator(t, s, "a", sallyport.RoleAdmin)
	session := func(n byte) store.ConsoleSession {
		return store.ConsoleSession{Hash: [32]byte{n}, Administrator: "a", SecondFactor: n%2 == 1, CSRF: sallyport.Key("csrf-secret-of-a-session"),
			Address: "192.0.2.1", Created: start.Add(time.Duration(n) * time.Second), Used: start.Add(time.Duration(n) * time.Second),
			Idle: 15 * time.Minute, Expires: start.Add(time.Hour)}
	}
	for n := range byte(4) {
		must(t, s.PutConsoleSession(ctx, session(n)))
	}
	wantCode(t, s.PutConsoleSession(ctx, session(1)), sallyport.CodeConflict)
	got, err := s.ConsoleSession(ctx, [32]byte{1}, start.Add(time.Minute))
	must(t, err)
	if !reflect.DeepEqual(got, session(1)) || string(got.CSRF) != "csrf-secret-of-a-session" {
		t.Fatalf("got %+v, want %+v", got, session(1))
	}
	_, err = s.ConsoleSession(ctx, [32]byte{9}, start)
	wantCode(t, err, sallyport.CodeNotFound)
	late := start.Add(20 * time.Minute)
	_, err = s.ConsoleSession(ctx, [32]byte{1}, late)
	wantCode(t, err, sallyport.CodeExpired)
	must(t, s.UseConsoleSession(ctx, [32]byte{2}, start.Add(10*time.Minute)))
	must(t, s.UseConsoleSession(ctx, [32]byte{2}, start)) // never back
	if _, err := s.ConsoleSession(ctx, [32]byte{2}, late); err != nil {
		t.Errorf("used: %v", err)
	}
	list, err := s.ConsoleSessions(ctx, "a", late)
	if err != nil || len(list) != 1 || list[0].Hash != [32]byte{2} {
		t.Errorf("open sessions: %+v, %v", list, err)
	}
	must(t, s.UseConsoleSession(ctx, [32]byte{2}, start.Add(59*time.Minute)))
	_, err = s.ConsoleSession(ctx, [32]byte{2}, start.Add(time.Hour))
	wantCode(t, err, sallyport.CodeExpired)
	for _, want := range []bool{true, false} {
		if existed, err := s.EndConsoleSession(ctx, [32]byte{1}); err != nil || existed != want {
			t.Errorf("end: %v, %v, want %v", existed, err, want)
		}
	}
	if n, err := s.EndConsoleSessions(ctx, "a"); err != nil || n != 3 {
		t.Errorf("ended %d, %v", n, err)
	}
	must(t, s.PutConsoleSession(ctx, session(5)))
	if n, err := s.Sweep(ctx, start.Add(2*time.Hour)); err != nil || n != 1 {
		t.Errorf("swept %d, %v", n, err)
	}
	must(t, s.PutConsoleSession(ctx, session(6)))
	putAdministrator(t, s, "super", sallyport.RoleSuper)
	must(t, s.DeleteAdministrator(ctx, "a", a.Version))
	_, err = s.ConsoleSession(ctx, [32]byte{6}, start)
	wantCode(t, err, sallyport.CodeNotFound)
	wantCode(t, s.PutConsoleSession(ctx, session(7)), sallyport.CodeNotFound)
}

func apiTokens(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	putAdministrator(t, s, "a", sallyport.RoleSuper)
	b := putAdministrator(t, s, "b", sallyport.RoleAdmin)
	want := sallyport.APIToken{ID: "t1", Owner: "b", Name: "monitoring", Role: sallyport.RoleAuditor, Access: sallyport.TokenReads, Created: start, Expires: start.Add(time.Hour)}
	must(t, s.PutAPIToken(ctx, want, [32]byte{1}))
	wantCode(t, s.PutAPIToken(ctx, want, [32]byte{2}), sallyport.CodeConflict)
	other := want
	other.ID, other.Access = "t2", ""
	wantCode(t, s.PutAPIToken(ctx, other, [32]byte{2}), sallyport.CodeInvalid)
	other.Access = sallyport.TokenWrites
	wantCode(t, s.PutAPIToken(ctx, other, [32]byte{1}), sallyport.CodeConflict)
	other.Owner = "a"
	must(t, s.PutAPIToken(ctx, other, [32]byte{2}))
	must(t, s.APITokenUsed(ctx, "t1", start.Add(time.Minute)))
	must(t, s.APITokenUsed(ctx, "t1", start))
	want.Used = start.Add(time.Minute)
	got, err := s.APITokenByHash(ctx, [32]byte{1})
	must(t, err)
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	_, err = s.APITokenByHash(ctx, [32]byte{9})
	wantCode(t, err, sallyport.CodeNotFound)
	for owner, n := range map[sallyport.AdministratorID]int{"a": 1, "b": 1, "": 2, "c": 0} {
		if list, err := s.APITokens(ctx, owner); err != nil || len(list) != n {
			t.Errorf("tokens of %q: %+v, %v", owner, list, err)
		}
	}
	must(t, s.DeleteAPIToken(ctx, "t2"))
	wantCode(t, s.DeleteAPIToken(ctx, "t2"), sallyport.CodeNotFound)
	must(t, s.DeleteAdministrator(ctx, "b", b.Version))
	_, err = s.APITokenByHash(ctx, [32]byte{1})
	wantCode(t, err, sallyport.CodeNotFound)
}

// administrationEdited plays somebody who can write to the database, has no key, and wants to be an
// administrator.
func administrationEdited(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	fillAdministration(t, s)
	restore := keepTables(t, e, address, "administration", "administrators", "passkeys", "console_sessions", "api_tokens")
	read := func(id sallyport.AdministratorID) func(context.Context, *store.Store) error {
		return func(ctx context.Context, s *store.Store) error { _, err := s.Administrator(ctx, id); return err }
	}
	session := func(ctx context.Context, s *store.Store) error {
		_, err := s.ConsoleSession(ctx, [32]byte{1}, start)
		return err
	}
	token := func(ctx context.Context, s *store.Store) error {
		_, err := s.APITokenByHash(ctx, [32]byte{1})
		return err
	}
	for name, c := range map[string]struct {
		statement string
		read      func(context.Context, *store.Store) error
	}{
		"a higher role":             {`UPDATE administrators SET role = 'super' WHERE id = 'b'`, read("b")},
		"a wider scope":             {`UPDATE administrators SET scope = '{}' WHERE id = 'b'`, read("b")},
		"enabled again":             {`UPDATE administrators SET disabled = 1 - disabled WHERE id = 'b'`, read("b")},
		"a password of the domain":  {`UPDATE administrators SET directory = 1 - directory WHERE id = 'b'`, read("b")},
		"another's name":            {`UPDATE administrators SET name = 'x' WHERE id = 'b'`, read("b")},
		"the password of another":   {`UPDATE administrators SET sealed_password = (SELECT sealed_password FROM administrators WHERE id = 'b') WHERE id = 'a'`, func(ctx context.Context, s *store.Store) error { _, err := s.PasswordHash(ctx, "a"); return err }},
		"the passkey of another":    {`UPDATE passkeys SET administrator_id = 'a'`, func(ctx context.Context, s *store.Store) error { _, err := s.Passkeys(ctx, "a"); return err }},
		"a session of another":      {`UPDATE console_sessions SET administrator_id = 'a'`, session},
		"a second factor not given": {`UPDATE console_sessions SET second_factor = 1`, session},
		"a session that lives on":   {`UPDATE console_sessions SET expires = expires + 1`, session},
		"a session idle for long":   {`UPDATE console_sessions SET idle = idle + 1`, session},
		"a token of another":        {`UPDATE api_tokens SET owner_id = 'a'`, token},
		"a token with a role":       {`UPDATE api_tokens SET role = 'super'`, token},
		"a token that writes":       {`UPDATE api_tokens SET access = 'write'`, token},
		"a token of before":         {`UPDATE api_tokens SET access = ''`, token},
		"a token that lives on":     {`UPDATE api_tokens SET expires = expires + 1`, token},
		"older role grants":         {`UPDATE administration SET grants_version = grants_version + 1`, func(ctx context.Context, s *store.Store) error { _, _, err := s.RoleGrants(ctx); return err }},
	} {
		e.Exec(t, address, c.statement)
		if err := c.read(ctx, s); sallyport.ErrorCode(err) != sallyport.CodeInternal {
			t.Errorf("%s: got %v", name, err)
		}
		// Whoever has the right to may put an end to it.
		if err := s.DeleteAdministrator(ctx, "b", 1); err != nil {
			t.Errorf("%s: delete: %v", name, err)
		}
		restore()
		if err := c.read(ctx, s); err != nil {
			t.Fatalf("%s: as it was: %v", name, err)
		}
	}
}

// fillAdministration puts one of everything: the super administrator "a" and the help desk's "b".
func fillAdministration(t testing.TB, s *store.Store) {
	t.Helper()
	ctx := t.Context()
	putAdministrator(t, s, "a", sallyport.RoleSuper)
	putAdministrator(t, s, "b", sallyport.RoleHelpDesk)
	must(t, s.SetPassword(ctx, "b", "hash-of-b"))
	must(t, s.SetTOTP(ctx, "b", sallyport.Key("seed-of-b")))
	must(t, s.PutPasskey(ctx, "b", store.Passkey{Credential: []byte("c1"), Kept: []byte(`{"counter":1}`)}))
	must(t, s.PutConsoleSession(ctx, store.ConsoleSession{Hash: [32]byte{1}, Administrator: "b", CSRF: sallyport.Key("csrf-secret-of-a-session"),
		Created: start, Idle: time.Hour, Expires: start.Add(time.Hour)}))
	must(t, s.PutAPIToken(ctx, sallyport.APIToken{ID: "t1", Owner: "b", Name: "monitoring", Role: sallyport.RoleAuditor, Access: sallyport.TokenReads, Created: start, Expires: start.Add(time.Hour)}, [32]byte{1}))
	must(t, s.SetRoleGrants(ctx, []sallyport.RoleGrant{{Domain: "d1", Group: "CN=x", Role: sallyport.RoleAdmin}}, 0))
}
