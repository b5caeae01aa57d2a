package conformance

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func integrationComesBack(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	want := NewIntegration("a", 1)
	want.Clients = append(want.Clients, netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32"))
	want.Origins = []string{"https://vpn.example.org:8443", "http://192.0.2.1", "https://[2001:db8::1]", "https://z.example"}
	must(t, s.PutIntegration(ctx, want))
	got, err := s.Integration(ctx, "a")
	must(t, err)
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	if got.Secret != want.Secret {
		t.Fatal("the secret came back as another one")
	}
	must(t, s.DeleteIntegration(ctx, "a"))
	_, err = s.Integration(ctx, "a")
	wantCode(t, err, sallyport.CodeNotFound)
	wantCode(t, s.DeleteIntegration(ctx, "a"), sallyport.CodeNotFound)
}

func integrationsByNickname(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	if list, err := s.Integrations(ctx); err != nil || len(list) != 0 {
		t.Fatalf("a new store lists %v, %v", list, err)
	}
	for n, nickname := range []string{"beta", "Alpha", "Ärzte", "10"} {
		i := NewIntegration(fmt.Sprint("i", n), byte(n))
		i.Nickname, i.Origins = nickname, nil
		must(t, s.PutIntegration(ctx, i))
	}
	list, err := s.Integrations(ctx)
	must(t, err)
	var names []string
	for _, i := range list {
		names = append(names, i.Nickname)
		if len(i.Clients) != 1 || i.Origins != nil || string(i.Secret) != "radius-secret-of-"+string(i.ID) {
			t.Errorf("integration %s has another's parts: %+v", i.ID, i)
		}
	}
	if got := strings.Join(names, " "); got != "10 Alpha beta Ärzte" {
		t.Fatalf("order %q", got)
	}
}

func integrationReplaced(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	i := NewIntegration("a", 1)
	must(t, s.PutIntegration(ctx, i))
	must(t, s.PutIntegration(ctx, i))
	i = NewIntegration("a", 2)
	i.Nickname, i.Secret, i.RequireMessageAuthenticator, i.Origins = "vpn A", "another", false, nil
	must(t, s.PutIntegration(ctx, i))
	got, err := s.Integration(ctx, "a")
	must(t, err)
	if !reflect.DeepEqual(got, i) || got.Secret != "another" {
		t.Fatalf("got %+v, want %+v", got, i)
	}
	// What the first version held is free again.
	must(t, s.PutIntegration(ctx, NewIntegration("b", 1)))
}

func integrationConflicts(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	must(t, s.PutIntegration(ctx, NewIntegration("a", 1)))
	for _, nickname := range []string{"VPN a", "vpn A"} {
		same := NewIntegration("b", 2)
		same.Nickname = nickname
		err := s.PutIntegration(ctx, same)
		wantCode(t, err, sallyport.CodeConflict)
		if !strings.Contains(sallyport.ErrorMessage(err), `"VPN a"`) {
			t.Errorf("the message %q does not name the other", sallyport.ErrorMessage(err))
		}
	}
	same := NewIntegration("b", 2)
	same.Clients = append(same.Clients, netip.MustParsePrefix("10.0.1.0/24"))
	err := s.PutIntegration(ctx, same)
	wantCode(t, err, sallyport.CodeConflict)
	if m := sallyport.ErrorMessage(err); !strings.Contains(m, `"VPN a"`) || !strings.Contains(m, "10.0.1.0/24") {
		t.Errorf("the message %q does not name the other and the network", m)
	}
	_, err = s.Integration(ctx, "b")
	wantCode(t, err, sallyport.CodeNotFound) // nothing of it was saved
	same.Clients[1] = netip.MustParsePrefix("10.0.1.0/25")
	must(t, s.PutIntegration(ctx, same)) // inside the other's network: the longest wins
}

// integrationAtOnce saves the same integration and competing ones at once through two stores: the
// parts of one save stay together, and one network stays with one integration.
func integrationAtOnce(t *testing.T, e Engine) {
	address := e.Fresh(t)
	a, b := Open(t, address), Open(t, address)
	ctx, cancel := background()
	defer cancel()
	var wg sync.WaitGroup
	for n := range 20 {
		s := a
		if n%2 == 1 {
			s = b
		}
		wg.Go(func() {
			i := NewIntegration("a", byte(n))
			i.Nickname = fmt.Sprint("version ", n)
			i.Secret = sallyport.Secret(fmt.Sprint("secret ", n))
			if err := s.PutIntegration(ctx, i); err != nil && sallyport.ErrorCode(err) != sallyport.CodeConflict {
				t.Errorf("put: %v", err)
			}
			rival := NewIntegration(fmt.Sprint("rival-", n), 200)
			if err := s.PutIntegration(ctx, rival); err != nil && sallyport.ErrorCode(err) != sallyport.CodeConflict {
				t.Errorf("put rival: %v", err)
			}
			whole(ctx, t, s)
		})
	}
	wg.Wait()
	list, err := a.Integrations(ctx)
	must(t, err)
	if len(list) != 2 {
		t.Fatalf("%d integrations; want the one and one rival: %+v", len(list), list)
	}
}

func integrationRefused(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	for name, spoil := range map[string]func(*sallyport.Integration){
		"no id":             func(i *sallyport.Integration) { i.ID = "" },
		"id with a slash":   func(i *sallyport.Integration) { i.ID = "a/b" },
		"no kind":           func(i *sallyport.Integration) { i.Kind = "" },
		"no nickname":       func(i *sallyport.Integration) { i.Nickname = "" },
		"blank nickname":    func(i *sallyport.Integration) { i.Nickname = " " },
		"long nickname":     func(i *sallyport.Integration) { i.Nickname = strings.Repeat("ä", 65) },
		"no secret":         func(i *sallyport.Integration) { i.Secret = "" },
		"long secret":       func(i *sallyport.Integration) { i.Secret = sallyport.Secret(strings.Repeat("s", 129)) },
		"no clients":        func(i *sallyport.Integration) { i.Clients = nil },
		"zero client":       func(i *sallyport.Integration) { i.Clients = make([]netip.Prefix, 1) },
		"host bits":         func(i *sallyport.Integration) { i.Clients[0] = netip.MustParsePrefix("10.0.0.1/24") },
		"mapped":            func(i *sallyport.Integration) { i.Clients[0] = netip.MustParsePrefix("::ffff:10.0.0.1/128") },
		"client twice":      func(i *sallyport.Integration) { i.Clients = append(i.Clients, i.Clients[0]) },
		"many clients":      func(i *sallyport.Integration) { i.Clients = make([]netip.Prefix, 65) },
		"origin with path":  func(i *sallyport.Integration) { i.Origins = []string{"https://vpn.example.org/"} },
		"origin twice":      func(i *sallyport.Integration) { i.Origins = []string{"https://a.example", "https://a.example"} },
		"many origins":      func(i *sallyport.Integration) { i.Origins = make([]string, 65) },
		"origin of 1 MB":    func(i *sallyport.Integration) { i.Origins = []string{"https://" + strings.Repeat("a", 1<<20)} },
		"nickname with NUL": func(i *sallyport.Integration) { i.Nickname = "a\x00b" },
	} {
		i := NewIntegration("a", 1)
		spoil(&i)
		err := s.PutIntegration(ctx, i)
		if sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: got %v", name, err)
		}
		if len(sallyport.ErrorMessage(err)) > 1000 {
			t.Errorf("%s: the message has %d octets", name, len(sallyport.ErrorMessage(err)))
		}
	}
	edge := NewIntegration("a", 1)
	edge.Nickname = strings.Repeat("ä", 64)
	edge.Secret = sallyport.Secret(strings.Repeat("\x00", 128)) // RADIUS secrets are octets
	must(t, s.PutIntegration(ctx, edge))
}

// whole checks that the nickname, secret and network that are read together were put together.
func whole(ctx context.Context, t *testing.T, s *store.Store) {
	list, err := s.Integrations(ctx)
	if err != nil {
		t.Errorf("list: %v", err)
	}
	for _, i := range list {
		n, ok := strings.CutPrefix(i.Nickname, "version ")
		if ok && (string(i.Secret) != "secret "+n || len(i.Clients) != 1 || i.Clients[0].String() != "10.0."+n+".0/24") {
			t.Errorf("half of one save and half of another: %+v", i)
		}
	}
}
