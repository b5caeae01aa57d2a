package appliance

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/tokenserver"
	"github.com/sallyport/sallyport/test/harness"
)

// Two appliances, one store, and a real token server: a question is put to it once, and its challenge is answered by the
// other appliance.
func TestExternalTokensAreAskedOnceAndGoOnAtTheOtherAppliance(t *testing.T) {
	t.Parallel()
	r := harness.StartFreeRADIUS(t, true)
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), sallyport.Key(strings.Repeat("m", 32)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	v, err := db.PutTokenServers(t.Context(), sallyport.TokenServers{Name: "RSA SecurID", Everyone: true, UserName: sallyport.TokenUserShort, Timeout: 2 * time.Second, Tries: 3,
		Servers: []sallyport.TokenServer{{Host: "127.0.0.1", Port: r.Port, Secret: sallyport.Secret(r.Secret)}}})
	if err != nil {
		t.Fatal(err)
	}
	appliance := func() externalTokens {
		c := tokenserver.New(tokenserver.Options{Name: "a"})
		c.Set(v, "")
		return externalTokens{client: c, steps: db, key: sallyport.Key(strings.Repeat("k", 32)), now: time.Now, sleep: sleep}
	}
	one, two := appliance(), appliance()
	ask := func(x externalTokens, who, request string, code sallyport.Secret) login.ExternalAnswer {
		t.Helper()
		a, err := x.Ask(t.Context(), login.ExternalQuestion{Login: sallyport.LoginID(who), Account: sallyport.NewAccountName("hospital", who), UserName: who,
			Passcode: code, Request: request, Expires: time.Now().Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	var wg sync.WaitGroup
	for _, x := range []externalTokens{one, two, one, two} {
		wg.Go(func() {
			if a := ask(x, "nina", "q1", harness.TokenCode); !a.Challenge || a.Message != harness.NextQuestion || a.Accepted {
				t.Errorf("%+v", a)
			}
		})
	}
	wg.Wait()
	if n := one.client.Stats().Challenged + two.client.Stats().Challenged; n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
	if a := ask(two, "nina", "q2", harness.NextCode); !a.Accepted || a.Challenge {
		t.Errorf("%+v", a)
	}
	if a := ask(one, "nina", "q2", harness.NextCode); !a.Accepted {
		t.Errorf("the same again: %+v", a)
	}
	if a := ask(one, "alice", "q3", "00000000"); a.Accepted || a.Challenge {
		t.Errorf("%+v", a)
	}
	if _, err := two.Ask(t.Context(), login.ExternalQuestion{Login: "alice", Account: `hospital\alice`, Passcode: harness.TokenCode, Request: "q3", Expires: time.Now().Add(time.Minute)}); !errors.Is(err, errExternalTaken) {
		t.Errorf("another passcode in the same step: %v", err)
	}
	if a := ask(one, "nina", "q5", harness.TokenCode); !a.Challenge {
		t.Errorf("%+v", a)
	}
	r.Kill()
	if _, err := two.Ask(t.Context(), login.ExternalQuestion{Login: "nina", Account: `hospital\nina`, UserName: "nina", Passcode: harness.NextCode, Request: "q6",
		Expires: time.Now().Add(time.Minute)}); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("the server that asked is away: %v", err)
	}
	again := func() error {
		_, err := one.Ask(context.Background(), login.ExternalQuestion{Login: "alice", Account: `hospital\alice`, Passcode: harness.TokenCode, Request: "q4", Expires: time.Now().Add(time.Minute)})
		return err
	}
	if err := again(); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("with nobody there: %v", err)
	}
	r.Start()
	if err := again(); err != nil {
		t.Errorf("what nobody answered cannot be asked again: %v", err)
	}
	if a := ask(one, "nina", "q7", harness.TokenCode); !a.Challenge { // what was asked before is void: it begins with the code
		t.Errorf("%+v", a)
	}
}
