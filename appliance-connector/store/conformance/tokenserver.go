package conformance

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
)

// NewTokenServers returns external token servers for tests: one, for everybody.
func NewTokenServers(secret sallyport.Secret) sallyport.TokenServers {
	return sallyport.TokenServers{Name: "RSA SecurID", Everyone: true, UserName: sallyport.TokenUserShort,
		Timeout: sallyport.TokenTimeoutDefault, Tries: sallyport.TokenTriesDefault,
		Servers: []sallyport.TokenServer{{ID: "rsa1", Host: "rsa1.hospital.example", Port: sallyport.TokenPort, Secret: secret}}}
}

func tokenServersComeBack(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address).As(chief), t.Context()
	if v, err := s.TokenServers(ctx); err != nil || v.Version != 0 || len(v.Servers) != 0 || v.Timeout != sallyport.TokenTimeoutDefault || v.Tries != sallyport.TokenTriesDefault || v.UserName != sallyport.TokenUserShort {
		t.Fatalf("never set: %+v, %v", v, err)
	}
	for _, name := range []string{"North", "South"} {
		must(t, second(s.PutSite(ctx, sallyport.Site{ID: sallyport.SiteID(strings.ToLower(name)), Name: name, Kind: sallyport.SiteActive})))
	}
	want := NewTokenServers("a secret of rsa1")
	want.Policies, want.Timeout, want.Tries, want.UserName = []sallyport.UserPolicyID{"default"}, 750*time.Millisecond, 5, sallyport.TokenUserAccount
	want.Servers = append(want.Servers, sallyport.TokenServer{Host: "192.0.2.7", Port: 1645, Secret: "a secret of the other", Unsigned: true, Sites: []sallyport.SiteID{"south", "north"}})
	put, err := s.PutTokenServers(ctx, want)
	must(t, err)
	want.Version, want.Servers[1].ID = 1, put.Servers[1].ID
	got, err := s.TokenServers(ctx)
	must(t, err)
	if want.Servers[1].ID == "" || !reflect.DeepEqual(put, want) || !reflect.DeepEqual(got, want) || got.Servers[1].Secret != "a secret of the other" {
		t.Fatalf("got %+v, put %+v, want %+v", got, put, want)
	}
	want.Version = 0
	wantOvertaken(t, second(s.PutTokenServers(ctx, want)))
	wantWords(t, s.DeleteSite(ctx, "north", 1), sallyport.CodeConflict, "192.0.2.7")
	want.Version, want.Servers, want.Everyone = 1, want.Servers[1:], false // the order changes, and one goes
	want.Servers[0].Sites = nil
	must(t, second(s.PutTokenServers(ctx, want)))
	want.Version = 2
	if got, err = s.TokenServers(ctx); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("replaced: %+v, %v", got, err)
	}
	must(t, s.DeleteSite(ctx, "north", 1))
	if r := lastRecord(t, s, "token servers.change"); r.Actor.Name != chief.Name || !bytes.Contains(r.Before, []byte("rsa1.hospital.example")) || bytes.Contains(append(r.Before, r.After...), []byte("a secret")) {
		t.Errorf("recorded %+v: %s %s", r, r.Before, r.After)
	}
	if dump := e.Dump(t, address); holds(dump, []byte("a secret of the other")) || !bytes.Contains(dump, []byte("192.0.2.7")) {
		t.Error("the secret stands in the database, or the address does not")
	}
}

func tokenServersRefused(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	for name, c := range map[string]struct {
		spoil func(*sallyport.TokenServers)
		code  sallyport.Code
	}{
		"no name":             {func(v *sallyport.TokenServers) { v.Name = "" }, sallyport.CodeInvalid},
		"a form of no name":   {func(v *sallyport.TokenServers) { v.UserName = "upn" }, sallyport.CodeInvalid},
		"no patience":         {func(v *sallyport.TokenServers) { v.Timeout = 0 }, sallyport.CodeInvalid},
		"too much patience":   {func(v *sallyport.TokenServers) { v.Timeout = time.Minute }, sallyport.CodeInvalid},
		"no try":              {func(v *sallyport.TokenServers) { v.Tries = 0 }, sallyport.CodeInvalid},
		"too many tries":      {func(v *sallyport.TokenServers) { v.Tries = 6 }, sallyport.CodeInvalid},
		"a policy twice":      {func(v *sallyport.TokenServers) { v.Policies = []sallyport.UserPolicyID{"default", "default"} }, sallyport.CodeInvalid},
		"no such policy":      {func(v *sallyport.TokenServers) { v.Policies = []sallyport.UserPolicyID{"gone"} }, sallyport.CodeNotFound},
		"no host":             {func(v *sallyport.TokenServers) { v.Servers[0].Host = "" }, sallyport.CodeInvalid},
		"a host with a port":  {func(v *sallyport.TokenServers) { v.Servers[0].Host = "rsa1:1812" }, sallyport.CodeInvalid},
		"half an address":     {func(v *sallyport.TokenServers) { v.Servers[0].Host = "192.0.2" }, sallyport.CodeInvalid},
		"every address":       {func(v *sallyport.TokenServers) { v.Servers[0].Host = "0.0.0.0" }, sallyport.CodeInvalid},
		"no port":             {func(v *sallyport.TokenServers) { v.Servers[0].Port = 0 }, sallyport.CodeInvalid},
		"no secret":           {func(v *sallyport.TokenServers) { v.Servers[0].Secret = "" }, sallyport.CodeInvalid},
		"a short secret":      {func(v *sallyport.TokenServers) { v.Servers[0].Secret = "1234567" }, sallyport.CodeInvalid},
		"a long secret":       {func(v *sallyport.TokenServers) { v.Servers[0].Secret = sallyport.Secret(strings.Repeat("x", 129)) }, sallyport.CodeInvalid},
		"no such site":        {func(v *sallyport.TokenServers) { v.Servers[0].Sites = []sallyport.SiteID{"north"} }, sallyport.CodeNotFound},
		"a site twice":        {func(v *sallyport.TokenServers) { v.Servers[0].Sites = []sallyport.SiteID{"north", "north"} }, sallyport.CodeInvalid},
		"a server twice":      {func(v *sallyport.TokenServers) { v.Servers = append(v.Servers, v.Servers[0]) }, sallyport.CodeInvalid},
		"an address twice":    {func(v *sallyport.TokenServers) { v.Servers = append(v.Servers, v.Servers[0]); v.Servers[1].ID = "" }, sallyport.CodeInvalid},
		"a version of others": {func(v *sallyport.TokenServers) { v.Version = 3 }, sallyport.CodeConflict},
		"seventeen servers":   {func(v *sallyport.TokenServers) { v.Servers = make([]sallyport.TokenServer, 17) }, sallyport.CodeInvalid},
	} {
		v := NewTokenServers("a secret of rsa1")
		c.spoil(&v)
		if _, err := s.PutTokenServers(ctx, v); sallyport.ErrorCode(err) != c.code {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if v, err := s.TokenServers(ctx); err != nil || v.Version != 0 {
		t.Errorf("something was saved: %+v, %v", v, err)
	}
}

func tokenSecretStays(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	v, err := s.PutTokenServers(ctx, NewTokenServers("a secret of rsa1"))
	must(t, err)
	v.Servers[0].Secret, v.Servers[0].Unsigned = "", true
	v, err = s.PutTokenServers(ctx, v)
	if err != nil || v.Servers[0].Secret != "a secret of rsa1" {
		t.Fatalf("not kept: %v", err)
	}
	for name, move := range map[string]func(*sallyport.TokenServer){
		"host": func(x *sallyport.TokenServer) { x.Host = "rsa2.hospital.example" },
		"port": func(x *sallyport.TokenServer) { x.Port = 1645 },
		"id":   func(x *sallyport.TokenServer) { x.ID = "other" },
	} {
		moved := v
		moved.Servers = []sallyport.TokenServer{v.Servers[0]}
		moved.Servers[0].Secret = ""
		move(&moved.Servers[0])
		if _, err := s.PutTokenServers(ctx, moved); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("the secret is carried to another %s: %v", name, err)
		}
	}
}

func tokenServerEdited(t *testing.T, e Engine) {
	for _, statement := range []string{
		`UPDATE token_servers SET host = 'evil.example'`,
		`UPDATE token_servers SET port = 1645`,
		`UPDATE token_servers SET unsigned = 1`,
		`UPDATE token_servers SET id = 'other'`,
	} {
		address := e.Fresh(t)
		s := Open(t, address)
		must(t, second(s.PutTokenServers(t.Context(), NewTokenServers("a secret of rsa1"))))
		e.Exec(t, address, statement)
		if v, err := s.TokenServers(t.Context()); sallyport.ErrorCode(err) != sallyport.CodeInternal {
			t.Errorf("%s: %+v, %v", statement, v, err)
		}
	}
}

func tokenUsers(t *testing.T, e Engine) {
	s := withAlice(t, e)
	ctx := t.Context()
	has := func(want bool) {
		t.Helper()
		p, _, err := s.LoginPolicies(ctx)
		must(t, err)
		alice, _, err := s.AccountStanding(ctx, aliceName)
		must(t, err)
		nobody, _, err := s.AccountStanding(ctx, `hospital\nobody`)
		must(t, err)
		p.Apply(&alice)
		if p.Apply(&nobody); alice.Has.External != want || nobody.Has.External {
			t.Errorf("alice %v, want %v; nobody %v", alice.Has.External, want, nobody.Has.External)
		}
	}
	has(false)
	v := NewTokenServers("a secret of rsa1")
	v, err := s.PutTokenServers(ctx, v)
	must(t, err)
	has(true)
	v.Everyone = false
	v, err = s.PutTokenServers(ctx, v)
	must(t, err)
	has(false)
	other, err := s.PutUserPolicy(ctx, sallyport.UserPolicy{Name: "Others"})
	must(t, err)
	v.Policies = []sallyport.UserPolicyID{"default", other.ID}
	v, err = s.PutTokenServers(ctx, v)
	must(t, err)
	has(true)
	must(t, s.DeleteUserPolicy(ctx, other.ID, other.Version))
	if v, err = s.TokenServers(ctx); err != nil || !reflect.DeepEqual(v.Policies, []sallyport.UserPolicyID{"default"}) {
		t.Errorf("of a policy that is gone: %+v, %v", v.Policies, err)
	}
	has(true)
	v.Servers = nil
	must(t, second(s.PutTokenServers(ctx, v)))
	has(false)
}
