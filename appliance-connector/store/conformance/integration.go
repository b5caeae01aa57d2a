package conformance

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// putIntegration saves an integration as somebody does who has just looked at it.
func putIntegration(ctx context.Context, s *store.Store, i sallyport.Integration) error {
	if old, err := s.Integration(ctx, i.ID); err == nil {
		i.Version = old.Version
	}
	_, err := s.PutIntegration(ctx, i)
	return err
}

// fingerprintOf makes up the fingerprint of a certificate.
func fingerprintOf(pair string) string { return strings.Repeat(pair, 32) }

func integrationComesBack(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	want := NewIntegration("a", 1)
	want.Clients = append(want.Clients, netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32"))
	want.Hosts = []string{"vpn2.hospital.example", "vpn1.hospital.example"}
	want.Origins = []string{"https://vpn.example.org:8443", "http://192.0.2.1", "https://[2001:db8::1]", "https://z.example"}
	want.Note, want.Language, want.AllowNonLicensed = "Pair in the cellar.\nAsk Bob.", "de", true
	want.TLS = sallyport.RADIUSTLS{Fingerprints: []string{strings.Repeat("0a", 32), strings.Repeat("0b", 32)}, Authority: authority(t), Names: []string{"vpn.example.org", "192.0.2.1"}}
	want.Experience, want.PasswordEncoding, want.PasscodeSeparator, want.AskMethod = sallyport.ExperienceBoth, sallyport.PasswordWindows1252, ",", true
	want.PreviousSecret, want.PreviousUntil = "the secret before", start.Add(time.Hour)
	want.Attributes = []sallyport.GroupAttribute{
		{Group: `CN=Ärzte\, alle,OU="Groups",DC=hospital,DC=example`, Attribute: 25, Name: "Class", Type: sallyport.AttributeText, Values: []string{"<b>&\u2028", "2"}},
		{Vendor: 3375, Attribute: 12, Type: sallyport.AttributeText, Values: []string{"x"}},
	}
	saved, err := s.PutIntegration(ctx, want)
	must(t, err)
	want.Version = 1
	got, err := s.Integration(ctx, "a")
	must(t, err)
	if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(saved, want) {
		t.Fatalf("got %+v, saved %+v, want %+v", got, saved, want)
	}
	if got.Secret != want.Secret || got.PreviousSecret != want.PreviousSecret {
		t.Fatal("a secret came back as another one")
	}
	wantCode(t, s.DeleteIntegration(ctx, "a", 2), sallyport.CodeConflict)
	must(t, s.DeleteIntegration(ctx, "a", 1))
	_, err = s.Integration(ctx, "a")
	wantCode(t, err, sallyport.CodeNotFound)
	wantCode(t, s.DeleteIntegration(ctx, "a", 0), sallyport.CodeNotFound)
}

// integrationLanguages: what could be written more widely before is brought to the languages that there are.
func integrationLanguages(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	before := map[sallyport.IntegrationID]string{"a": "de-CH", "b": "pt-BR", "c": "TR", "d": "", "e": "denglish", "f": "ar"}
	for n, id := range []sallyport.IntegrationID{"a", "b", "c", "d", "e", "f"} {
		_, err := s.PutIntegration(ctx, NewIntegration(string(id), byte(n+1)))
		must(t, err)
		e.Exec(t, address, fmt.Sprintf(`UPDATE integrations SET language = '%s' WHERE id = '%s'`, before[id], id))
	}
	files, err := filepath.Glob(filepath.Join("migrations", "*_integration_language.sql"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	text, err := os.ReadFile(files[0])
	must(t, err)
	e.Exec(t, address, string(text))
	for id, want := range map[sallyport.IntegrationID]string{"a": "de", "b": "", "c": "tr", "d": "", "e": "", "f": "ar"} {
		if i, err := s.Integration(ctx, id); err != nil || i.Language != want {
			t.Errorf("%q became %q, want %q: %v", before[id], i.Language, want, err)
		}
	}
}

// integrationVersions: of two people who edit the same integration the second is told, by name.
func integrationVersions(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	_, err := s.PutIntegration(ctx, NewIntegration("a", 1))
	must(t, err)
	_, err = s.PutIntegration(ctx, NewIntegration("a", 1))
	wantCode(t, err, sallyport.CodeConflict)
	mine, err := s.Integration(ctx, "a")
	must(t, err)
	theirs := mine
	theirs.Note = "theirs"
	saved, err := s.As(sallyport.Actor{Kind: sallyport.ActorAdministrator, Name: "bob"}).PutIntegration(ctx, theirs)
	must(t, err)
	if saved.Version != 2 {
		t.Errorf("version %d", saved.Version)
	}
	mine.Note = "mine"
	_, err = s.PutIntegration(ctx, mine)
	wantCode(t, err, sallyport.CodeConflict)
	if m := sallyport.ErrorMessage(err); !strings.Contains(m, "bob") || !strings.Contains(m, "2026") {
		t.Errorf("the message %q does not say who and when", m)
	}
	missing := NewIntegration("b", 2)
	missing.Version = 1
	_, err = s.PutIntegration(ctx, missing)
	wantCode(t, err, sallyport.CodeNotFound)
	if got, err := s.Integration(ctx, "a"); err != nil || got.Note != "theirs" {
		t.Errorf("got %q, %v", got.Note, err)
	}
}

// integrationSecrets: without a secret it stays; a replaced one goes when its time is over.
func integrationSecrets(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	i := NewIntegration("a", 1)
	i.PreviousSecret, i.PreviousUntil = "replaced-secret-of-a", start.Add(time.Hour)
	i, err := s.PutIntegration(ctx, i)
	must(t, err)
	i.Secret, i.PreviousSecret, i.PreviousUntil, i.Note = "", "", time.Time{}, "edited"
	i, err = s.PutIntegration(ctx, i)
	must(t, err)
	if i.Secret != "radius-secret-of-a" || i.PreviousSecret != "replaced-secret-of-a" || !i.PreviousUntil.Equal(start.Add(time.Hour)) {
		t.Errorf("an edit changed the secrets: until %v", i.PreviousUntil)
	}
	for _, word := range []string{"radius-secret-of-a", "replaced-secret-of-a"} {
		if holds(e.Dump(t, address), []byte(word)) {
			t.Errorf("%s stands in the database", word)
		}
	}
	_, err = s.Sweep(ctx, start.Add(time.Hour))
	must(t, err)
	if got, err := s.Integration(ctx, "a"); err != nil || got.PreviousSecret == "" {
		t.Errorf("forgotten before its time, %v", err)
	}
	_, err = s.Sweep(ctx, start.Add(time.Hour+time.Second))
	must(t, err)
	if got, err := s.Integration(ctx, "a"); err != nil || got.PreviousSecret != "" || !got.PreviousUntil.IsZero() || got.Secret == "" {
		t.Errorf("still there, or more is gone: %v, %v", got.PreviousUntil, err)
	}
	// Nobody can put the end off in the database.
	i.Secret, i.PreviousSecret, i.PreviousUntil = "new", "old", start.Add(time.Hour)
	_, err = s.PutIntegration(ctx, i)
	must(t, err)
	e.Exec(t, address, `UPDATE integrations SET previous_until = previous_until + 1`)
	_, err = s.Integration(ctx, "a")
	wantCode(t, err, sallyport.CodeInternal)
}

func messageAuthenticatorSeen(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	i := NewIntegration("a", 1)
	i.MessageAuthenticator, i.MessageAuthenticatorSeen = sallyport.MessageAuthenticatorOnceSeen, start
	i, err := s.PutIntegration(ctx, i)
	must(t, err)
	if !i.MessageAuthenticatorSeen.IsZero() {
		t.Error("a new one has been seen already")
	}
	revision := func() int64 {
		r, err := s.Revision(ctx)
		must(t, err)
		return r
	}
	before := revision()
	must(t, s.SawMessageAuthenticator(ctx, "a", start))
	if revision() == before {
		t.Error("the others are not told")
	}
	before = revision()
	must(t, s.SawMessageAuthenticator(ctx, "a", start.Add(time.Hour)))
	must(t, s.SawMessageAuthenticator(ctx, "nothing", start))
	if revision() != before {
		t.Error("the others are told twice")
	}
	i.Note = "edited" // by somebody who looked before it was seen
	i, err = s.PutIntegration(ctx, i)
	must(t, err)
	if !i.MessageAuthenticatorSeen.Equal(start) {
		t.Errorf("seen %v after an edit", i.MessageAuthenticatorSeen)
	}
	i.MessageAuthenticator = sallyport.MessageAuthenticatorNever
	i, err = s.PutIntegration(ctx, i)
	must(t, err)
	must(t, s.SawMessageAuthenticator(ctx, "a", start))
	i.MessageAuthenticator = sallyport.MessageAuthenticatorOnceSeen
	i, err = s.PutIntegration(ctx, i)
	must(t, err)
	if !i.MessageAuthenticatorSeen.IsZero() {
		t.Error("a change of the policy does not forget")
	}
}

func unknownSources(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	source := func(appliance string, n int, last time.Time, count int64) sallyport.UnknownSource {
		return sallyport.UnknownSource{Appliance: sallyport.ApplianceID(appliance), Source: netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}),
			First: start, Last: last, Count: count}
	}
	must(t, s.RecordUnknownSources(ctx, []sallyport.UnknownSource{source("one", 1, start, 1), source("one", 2, start, 4), source("one", 2, start, 5), source("two", 1, start, 7)}))
	must(t, s.RecordUnknownSources(ctx, []sallyport.UnknownSource{source("one", 1, start.Add(time.Minute), 3)}))
	list, err := s.UnknownSources(ctx, start)
	must(t, err)
	if len(list) != 3 || list[0] != source("one", 1, start.Add(time.Minute), 3) || list[1] != source("one", 2, start, 5) {
		t.Fatalf("%+v", list)
	}
	if list, err = s.UnknownSources(ctx, start.Add(time.Second)); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	for batch := range 3 {
		var many []sallyport.UnknownSource
		for n := range 200 {
			many = append(many, source("one", 200*batch+n, start.Add(time.Hour), 1))
		}
		must(t, s.RecordUnknownSources(ctx, many))
	}
	if list, err = s.UnknownSources(ctx, start); err != nil || len(list) != 256 {
		t.Errorf("%d sources are kept, %v", len(list), err)
	}
	must(t, s.RecordUnknownSources(ctx, []sallyport.UnknownSource{source("one", 9999, start.Add(26*time.Hour), 1)}))
	if list, err = s.UnknownSources(ctx, start); err != nil || len(list) != 2 { // and the other appliance's
		t.Errorf("%d sources are kept after a day, %v", len(list), err)
	}
	wantCode(t, s.RecordUnknownSources(ctx, []sallyport.UnknownSource{{Appliance: "one"}}), sallyport.CodeInvalid)
}

func integrationsByNickname(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	if list, err := s.Integrations(ctx); err != nil || len(list) != 0 {
		t.Fatalf("a new store lists %v, %v", list, err)
	}
	for n, nickname := range []string{"beta", "Alpha", "Ärzte", "10"} {
		i := NewIntegration(fmt.Sprint("i", n), byte(n))
		i.Nickname, i.Origins = nickname, nil
		must(t, putIntegration(ctx, s, i))
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
	must(t, putIntegration(ctx, s, i))
	must(t, putIntegration(ctx, s, i))
	i = NewIntegration("a", 2)
	i.Nickname, i.Secret, i.MessageAuthenticator, i.Origins = "vpn A", "another", sallyport.MessageAuthenticatorNever, nil
	must(t, putIntegration(ctx, s, i))
	got, err := s.Integration(ctx, "a")
	must(t, err)
	i.Version = 3
	if !reflect.DeepEqual(got, i) || got.Secret != "another" {
		t.Fatalf("got %+v, want %+v", got, i)
	}
	// What the first version held is free again.
	must(t, putIntegration(ctx, s, NewIntegration("b", 1)))
}

func integrationConflicts(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	must(t, putIntegration(ctx, s, NewIntegration("a", 1)))
	for _, nickname := range []string{"VPN a", "vpn A"} {
		same := NewIntegration("b", 2)
		same.Nickname = nickname
		err := putIntegration(ctx, s, same)
		wantCode(t, err, sallyport.CodeConflict)
		if !strings.Contains(sallyport.ErrorMessage(err), `"VPN a"`) {
			t.Errorf("the message %q does not name the other", sallyport.ErrorMessage(err))
		}
	}
	same := NewIntegration("b", 2)
	same.Clients = append(same.Clients, netip.MustParsePrefix("10.0.1.0/24"))
	err := putIntegration(ctx, s, same)
	wantCode(t, err, sallyport.CodeConflict)
	if m := sallyport.ErrorMessage(err); !strings.Contains(m, `"VPN a"`) || !strings.Contains(m, "10.0.1.0/24") {
		t.Errorf("the message %q does not name the other and the network", m)
	}
	_, err = s.Integration(ctx, "b")
	wantCode(t, err, sallyport.CodeNotFound) // nothing of it was saved
	secured := NewIntegration("d", 4)
	secured.Clients, secured.TLS.Fingerprints = nil, []string{strings.Repeat("0c", 32)}
	must(t, putIntegration(ctx, s, secured)) // it asks over TLS alone
	same.Clients, same.TLS = same.Clients[:1], secured.TLS
	err = putIntegration(ctx, s, same)
	wantCode(t, err, sallyport.CodeConflict)
	if m := sallyport.ErrorMessage(err); !strings.Contains(m, `"VPN d"`) {
		t.Errorf("the message %q does not name the other", m)
	}
	same.TLS = sallyport.RADIUSTLS{}
	named := NewIntegration("c", 3)
	named.Hosts = []string{"vpn.hospital.example"}
	must(t, putIntegration(ctx, s, named))
	same.Clients, same.Hosts = same.Clients[:1], named.Hosts
	err = putIntegration(ctx, s, same)
	wantCode(t, err, sallyport.CodeConflict)
	if m := sallyport.ErrorMessage(err); !strings.Contains(m, `"VPN c"`) || !strings.Contains(m, "vpn.hospital.example") {
		t.Errorf("the message %q does not name the other and the host", m)
	}
	same.Clients, same.Hosts = append(same.Clients, netip.Prefix{}), nil
	same.Clients[1] = netip.MustParsePrefix("10.0.1.0/25")
	must(t, putIntegration(ctx, s, same)) // inside the other's network: the longest wins
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
			if err := putIntegration(ctx, s, i); err != nil && sallyport.ErrorCode(err) != sallyport.CodeConflict {
				t.Errorf("put: %v", err)
			}
			rival := NewIntegration(fmt.Sprint("rival-", n), 200)
			if err := putIntegration(ctx, s, rival); err != nil && sallyport.ErrorCode(err) != sallyport.CodeConflict {
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
		"many hosts":        func(i *sallyport.Integration) { i.Hosts = make([]string, 64) },
		"host with a path":  func(i *sallyport.Integration) { i.Hosts = []string{"a/b"} },
		"host in capitals":  func(i *sallyport.Integration) { i.Hosts = []string{"VPN.example"} },
		"host twice":        func(i *sallyport.Integration) { i.Hosts = []string{"a.example", "a.example"} },
		"address as a host": func(i *sallyport.Integration) { i.Hosts = []string{"192.0.2.1"} },
		"no policy":         func(i *sallyport.Integration) { i.MessageAuthenticator = "" },
		"odd policy":        func(i *sallyport.Integration) { i.MessageAuthenticator = "sometimes" },
		"note of 1 MB":      func(i *sallyport.Integration) { i.Note = strings.Repeat("a", 1<<20) },
		"note with NUL":     func(i *sallyport.Integration) { i.Note = "a\x00" },
		"short fingerprint": func(i *sallyport.Integration) { i.TLS.Fingerprints = []string{"0a"} },
		"in capitals":       func(i *sallyport.Integration) { i.TLS.Fingerprints = []string{strings.Repeat("0A", 32)} },
		"fingerprint twice": func(i *sallyport.Integration) {
			i.TLS.Fingerprints = []string{strings.Repeat("0a", 32), strings.Repeat("0a", 32)}
		},
		"many certificates":       func(i *sallyport.Integration) { i.TLS.Fingerprints = make([]string, 17) },
		"names without authority": func(i *sallyport.Integration) { i.TLS.Names = []string{"vpn.example"} },
		"authority without names": func(i *sallyport.Integration) { i.TLS.Authority = authority(t) },
		"authority that is no": func(i *sallyport.Integration) {
			i.TLS = sallyport.RADIUSTLS{Authority: "hello", Names: []string{"vpn.example"}}
		},
		"name with a star": func(i *sallyport.Integration) {
			i.TLS = sallyport.RADIUSTLS{Authority: authority(t), Names: []string{"*.example"}}
		},
		"no such language": func(i *sallyport.Integration) { i.Language = "pt" },
		"odd language":     func(i *sallyport.Integration) { i.Language = "../de" },
		"endless secret":   func(i *sallyport.Integration) { i.PreviousSecret = "x" },
		"secret to be sent": func(i *sallyport.Integration) {
			i.Attributes = []sallyport.GroupAttribute{{Attribute: 2, Type: "text", Values: []string{"x"}}}
		},
		"nickname with NUL": func(i *sallyport.Integration) { i.Nickname = "a\x00b" },
	} {
		i := NewIntegration("a", 1)
		spoil(&i)
		err := putIntegration(ctx, s, i)
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
	must(t, putIntegration(ctx, s, edge))
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
