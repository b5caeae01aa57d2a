package login

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/internal/browserkey"
)

// browser is one with a key, a count of uses and, when it takes them, cookies.
type browser struct {
	t       *testing.T
	n       *node
	origin  string
	key     *ecdsa.PrivateKey
	id      sallyport.RememberedID
	uses    uint32
	cookies map[string]string // nil: it takes none

	header http.Header // of the last answer
}

const theToken = "header.claims.signature"

// rememberingWorld has appliances that let in whoever is found good, and remember everybody else.
func rememberingWorld(t *testing.T, replicas int) (*appliances, redis.UniversalClient, []*node, *browser) {
	t.Helper()
	a, rdb, nodes := newWorld(t, replicas)
	b := &browser{t: t, n: nodes[0], origin: origin, cookies: map[string]string{}}
	var err error
	if b.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	b.id = "QUFBQUFBQUFBQUFBQUFBQQ"
	a.script(func(_ context.Context, s *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
		if s.GetCredentials().GetRemembered().GetFinding() == tunnelpb.RememberedFinding_REMEMBERED_GOOD {
			return aView(1, tunnelpb.Phase_PHASE_DONE, 0), nil
		}
		if s.GetCredentials() != nil {
			return aView(1, tunnelpb.Phase_PHASE_INPUT, 0), nil
		}
		v := aView(2, tunnelpb.Phase_PHASE_DONE, 0)
		v.Remembered = &tunnelpb.RememberedRecord{Id: b.octets(), Token: []byte(theToken), Key: b.point()}
		return v, nil
	})
	return a, rdb, nodes, b
}

func (b *browser) octets() []byte {
	out, ok := browserkey.Octets(b.id)
	if !ok {
		b.t.Fatalf("id %q", b.id)
	}
	return out
}

func (b *browser) point() []byte {
	p, err := b.key.PublicKey.Bytes()
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// post sends a request with cookies, as a page of another origin does, and keeps those it is given.
func (b *browser) post(path, bearer string, body, into any) int {
	b.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	req, err := http.NewRequest("POST", b.n.URL+path, bytes.NewReader(data))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Origin", b.origin)
	req.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	for _, name := range slices.Sorted(maps.Keys(b.cookies)) {
		req.AddCookie(&http.Cookie{Name: name, Value: b.cookies[name]})
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.n.spec.Check(b.t, req, data, resp.StatusCode, resp.Header, got)
	b.header = resp.Header
	if b.cookies != nil && resp.Header.Get("Access-Control-Allow-Credentials") == "true" {
		for _, c := range resp.Cookies() {
			b.cookies[c.Name] = c.Value
		}
	}
	if into != nil && len(got) > 0 {
		if err := json.Unmarshal(got, into); err != nil {
			b.t.Fatalf("%s: %d %q", path, resp.StatusCode, got)
		}
	}
	return resp.StatusCode
}

// claim signs the use as n of the login.
func (b *browser) claim(login string, uses uint32) map[string]any {
	b.t.Helper()
	c := browserkey.Claim{Tenant: tenant, Integration: "gate-1", Login: sallyport.LoginID(login), UserName: "alice", ID: b.id, Uses: uses}
	sum := sha256.Sum256(c.Text())
	r, s, err := ecdsa.Sign(rand.Reader, b.key, sum[:])
	if err != nil {
		b.t.Fatal(err)
	}
	signature := make([]byte, browserkey.SignatureSize)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return map[string]any{"id": octets(b.octets()), "n": uses, "signature": octets(signature)}
}

// remember logs in with the box ticked.
func (b *browser) remember() answer {
	b.t.Helper()
	id := b.n.begin(b.t)
	var a answer
	if status := b.post("/v1/logins/"+id+"/credentials", "", credentialsBody("alice"), &a); status != 200 {
		b.t.Fatalf("credentials: %d %+v", status, a)
	}
	if got := b.header; got.Get("Access-Control-Allow-Origin") != "*" || got.Get("Access-Control-Allow-Credentials") != "" || len(got.Values("Set-Cookie")) > 0 {
		b.t.Errorf("headers %v of a browser that was not remembered", got)
	}
	if status := b.n.call(b.t, "POST", "/v1/logins/"+id+"/messages", a.Session, message{Version: 1, Sealed: octets("tick")}, &a.View); status != 200 || a.View.Phase != phaseDone {
		b.t.Fatalf("message: %d %+v", status, a)
	}
	if b.cookies != nil {
		if status := b.post("/v1/logins/"+id+"/remembered", a.Session, struct{}{}, nil); status != 204 {
			b.t.Fatalf("cookie: %d", status)
		}
	}
	return a
}

// logIn logs in as one that was remembered, and says what the appliance was told.
func (b *browser) logIn(a *appliances) *tunnelpb.RememberedClaim {
	b.t.Helper()
	b.uses++
	return b.logInAs(a, b.uses)
}

func (b *browser) logInAs(a *appliances, uses uint32) *tunnelpb.RememberedClaim {
	b.t.Helper()
	id := b.n.begin(b.t)
	body := credentialsBody("alice")
	body["remembered"] = b.claim(id, uses)
	if status := b.post("/v1/logins/"+id+"/credentials", "", body, nil); status != 200 {
		b.t.Fatalf("credentials: %d", status)
	}
	return a.lastClaim()
}

func (a *appliances) lastClaim() *tunnelpb.RememberedClaim {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked[len(a.asked)-1].GetCredentials().GetRemembered()
}

func (b *browser) wants(c *tunnelpb.RememberedClaim, finding tunnelpb.RememberedFinding) {
	b.t.Helper()
	good := finding == tunnelpb.RememberedFinding_REMEMBERED_GOOD
	if c.GetFinding() != finding || (string(c.GetToken()) == theToken) != good || !good && len(c.GetToken()) > 0 {
		b.t.Errorf("the appliance was told %v, token %q; want %v", c.GetFinding(), c.GetToken(), finding)
	}
}

const (
	found    = tunnelpb.RememberedFinding_REMEMBERED_GOOD
	gone     = tunnelpb.RememberedFinding_REMEMBERED_GONE
	copied   = tunnelpb.RememberedFinding_REMEMBERED_COPIED
	noCookie = tunnelpb.RememberedFinding_REMEMBERED_NO_COOKIE
	unsigned = tunnelpb.RememberedFinding_REMEMBERED_UNSIGNED
)

func TestARememberedBrowserHasItsRecordHandedToTheAppliance(t *testing.T) {
	a, rdb, nodes, b := rememberingWorld(t, 2)
	b.remember()
	b.n = nodes[1]
	c := b.logIn(a)
	b.wants(c, found)
	if !bytes.Equal(c.GetId(), b.octets()) || c.GetUses() != 1 || len(c.GetSignature()) != browserkey.SignatureSize {
		t.Errorf("told %+v", c)
	}
	if got := b.header; got.Get("Access-Control-Allow-Origin") != origin || got.Get("Access-Control-Allow-Credentials") != "true" || !slices.Contains(got.Values("Vary"), "Origin") {
		t.Errorf("headers %v", got)
	}
	for range 3 {
		b.wants(b.logIn(a), found)
	}
	ttl := rdb.PTTL(t.Context(), rememberedKey(tenant, b.id)).Val()
	if ttl > rememberedLife || ttl < rememberedLife-time.Minute {
		t.Errorf("the record ends in %v", ttl)
	}
}

func TestTheCookieIsRotatedAndRequiredOnceItWasSeen(t *testing.T) {
	a, _, _, b := rememberingWorld(t, 1)
	b.remember()
	set := b.header.Get("Set-Cookie")
	for _, part := range []string{"__Host-sallyport-" + string(b.id) + "=", "Path=/", "Max-Age=10368000", "HttpOnly", "Secure", "SameSite=None", "Partitioned"} {
		if !strings.Contains(set, part) {
			t.Errorf("cookie %q lacks %q", set, part)
		}
	}
	if strings.Contains(set, "Domain") {
		t.Errorf("cookie %q is for a whole domain", set)
	}
	first := maps.Clone(b.cookies)
	b.wants(b.logIn(a), found)
	second := maps.Clone(b.cookies)
	if maps.Equal(first, second) {
		t.Error("the cookie stayed")
	}
	b.cookies = maps.Clone(first) // the answer with the second one was lost
	b.wants(b.logIn(a), found)
	b.wants(b.logIn(a), found)
	for name, jar := range map[string]map[string]string{"none": nil, "an old one": first, "an invented one": {cookieName(b.id): "x"}, "another's": {"other": "x"}} {
		b.cookies = maps.Clone(jar)
		b.wants(b.logIn(a), noCookie)
		if len(b.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: whoever has no cookie is given one", name)
		}
	}
}

func TestWithoutCookiesTheKeyIsEnough(t *testing.T) {
	a, _, _, b := rememberingWorld(t, 1)
	b.cookies = nil
	b.remember()
	for range 3 {
		b.wants(b.logIn(a), found)
	}
}

func TestAStolenCookieIsWorthNothing(t *testing.T) {
	a, _, _, b := rememberingWorld(t, 1)
	b.remember()
	b.wants(b.logIn(a), found)
	thief := *b
	var err error
	if thief.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	b.wants(thief.logInAs(a, 99), unsigned)
	b.wants(b.logIn(a), found) // and he has not counted anything
}

func TestCopiedStorageIsFoundOutByWhoeverComesSecond(t *testing.T) {
	for name, thiefFirst := range map[string]bool{"the thief": false, "the owner": true} {
		t.Run(name, func(t *testing.T) {
			a, rdb, _, b := rememberingWorld(t, 1)
			b.remember()
			b.wants(b.logIn(a), found)
			thief := *b
			thief.cookies = maps.Clone(b.cookies)
			first, second := b, &thief
			if thiefFirst {
				first, second = &thief, b
			}
			b.wants(first.logIn(a), found)
			b.wants(second.logIn(a), copied)
			b.wants(first.logIn(a), gone)
			b.wants(second.logIn(a), gone)
			all := rdb.HGetAll(t.Context(), rememberedKey(tenant, b.id)).Val()
			if _, there := all["t"]; there || rdb.PTTL(t.Context(), rememberedKey(tenant, b.id)).Val() > copiedLife {
				t.Errorf("kept: %v", all)
			}
		})
	}
}

func TestACountThatGoesBackIsACopyToo(t *testing.T) {
	a, _, _, b := rememberingWorld(t, 1)
	b.remember()
	b.wants(b.logInAs(a, 7), found)
	b.wants(b.logInAs(a, 3), copied)
	b.wants(b.logInAs(a, 8), gone)
}

func TestTheSameRequestAgainIsTheSameUse(t *testing.T) {
	a, _, nodes, b := rememberingWorld(t, 2)
	b.remember()
	id := b.n.begin(t)
	body := credentialsBody("alice")
	body["remembered"] = b.claim(id, 1)
	for i := range 4 {
		b.n = nodes[i%2]
		if status := b.post("/v1/logins/"+id+"/credentials", "", body, nil); status != 200 {
			t.Fatalf("status %d", status)
		}
	}
	without := credentialsBody("alice")
	if status := b.post("/v1/logins/"+id+"/credentials", "", without, nil); status != 409 {
		t.Errorf("the login was used, and goes on with other words: %d", status)
	}
	b.uses = 1
	b.wants(b.logIn(a), found)
}

// A request that was counted, and then found no appliance, comes again.
func TestAUseThatLedNowhereMayBeRepeated(t *testing.T) {
	a, _, _, b := rememberingWorld(t, 1)
	b.remember()
	works := a.do
	for _, uses := range []uint32{1, 1} { // good, then a copy: both are told again
		id := b.n.begin(t)
		body := credentialsBody("alice")
		body["remembered"] = b.claim(id, uses)
		a.script(func(context.Context, *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
			return nil, sallyport.Errorf(sallyport.CodeUnavailable, "No appliance.", nil)
		})
		if status := b.post("/v1/logins/"+id+"/credentials", "", body, nil); status != 503 {
			t.Fatalf("status %d", status)
		}
		told := a.lastClaim().GetFinding()
		a.script(works)
		if status := b.post("/v1/logins/"+id+"/credentials", "", body, nil); status != 200 || a.lastClaim().GetFinding() != told {
			t.Errorf("told %v first and then %v", told, a.lastClaim().GetFinding())
		}
	}
	b.wants(a.lastClaim(), copied)
}

func TestOtherOriginsAndEnterprisesHaveNoSuchRecord(t *testing.T) {
	a, rdb, _, b := rememberingWorld(t, 1)
	b.remember()
	second := *b // another page of the integration
	second.origin = "https://vpn2.hospital.example"
	b.wants(second.logIn(a), gone)
	if got := second.header; got.Get("Access-Control-Allow-Credentials") != "true" || got.Get("Access-Control-Allow-Origin") != second.origin {
		t.Errorf("headers %v", got)
	}
	works := a.do
	a.script(func(context.Context, *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "This origin is none of the integration's.", nil)
	})
	evil := *b
	evil.origin = "https://evil.example"
	id := b.n.begin(t)
	body := credentialsBody("alice")
	body["remembered"] = evil.claim(id, 50)
	if status := evil.post("/v1/logins/"+id+"/credentials", "", body, nil); status != 400 || evil.header.Get("Access-Control-Allow-Credentials") != "" || evil.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("status %d, headers %v", status, evil.header)
	}
	b.wants(a.lastClaim(), gone)
	a.script(works)
	if n := rdb.Exists(t.Context(), rememberedKey("clinic", b.id)).Val(); n != 0 {
		t.Error("another enterprise has it")
	}
	unknown := *b
	unknown.id = "QkJCQkJCQkJCQkJCQkJCQg"
	b.wants(unknown.logIn(a), gone)
	b.wants(b.logIn(a), found)
}

func TestTheCookieIsForThePageOfTheLogin(t *testing.T) {
	_, _, _, b := rememberingWorld(t, 1)
	id := b.n.begin(t)
	var a answer
	b.post("/v1/logins/"+id+"/credentials", "", credentialsBody("alice"), &a)
	if status := b.post("/v1/logins/"+id+"/remembered", a.Session, struct{}{}, nil); status != 404 || len(b.header.Values("Set-Cookie")) > 0 {
		t.Errorf("of a login that is not to be remembered: %d", status)
	}
	b.n.call(t, "POST", "/v1/logins/"+id+"/messages", a.Session, message{Version: 1, Sealed: octets("tick")}, nil)
	for name, c := range map[string]struct{ origin, bearer string }{
		"another page": {"https://evil.example", a.Session}, "no page": {"", a.Session},
		"no bearer": {origin, ""}, "another bearer": {origin, string(tenant) + ".x"},
	} {
		b.origin = c.origin
		if status := b.post("/v1/logins/"+id+"/remembered", c.bearer, struct{}{}, nil); status != 403 || len(b.header.Values("Set-Cookie")) > 0 || b.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d, %v", name, status, b.header)
		}
	}
}

func TestARememberedDeviceIsForgottenWhenItIsReplaced(t *testing.T) {
	a, rdb, _, b := rememberingWorld(t, 1)
	b.remember()
	old := *b
	b.id = "QkJCQkJCQkJCQkJCQkJCQg"
	works := a.do
	a.script(func(ctx context.Context, s *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
		v, err := works(ctx, s)
		if v.GetRemembered() != nil {
			v.Remembered.Replaces = old.octets()
		}
		return v, err
	})
	b.remember()
	b.wants(old.logIn(a), gone)
	b.wants(b.logIn(a), found)
	if n := rdb.Exists(t.Context(), rememberedKey(tenant, old.id)).Val(); n != 0 {
		t.Error("the old record is there")
	}
}

func TestARecordThatIsNoneIsNotKept(t *testing.T) {
	for name, spoil := range map[string]func(*tunnelpb.RememberedRecord){
		"short id": func(r *tunnelpb.RememberedRecord) { r.Id = r.Id[:15] }, "no token": func(r *tunnelpb.RememberedRecord) { r.Token = nil },
		"long token": func(r *tunnelpb.RememberedRecord) { r.Token = make([]byte, maxToken+1) }, "no key": func(r *tunnelpb.RememberedRecord) { r.Key = make([]byte, 65) },
	} {
		t.Run(name, func(t *testing.T) {
			a, rdb, _, b := rememberingWorld(t, 1)
			b.cookies = nil
			works := a.do
			a.script(func(ctx context.Context, s *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
				v, err := works(ctx, s)
				if v.GetRemembered() != nil {
					spoil(v.GetRemembered())
				}
				return v, err
			})
			b.remember() // the login is done all the same
			if keys := rdb.Keys(t.Context(), "*remembered*").Val(); len(keys) > 0 {
				t.Errorf("kept %v", keys)
			}
		})
	}
}

func TestMalformedClaimsAreRefusedAndHarmNobody(t *testing.T) {
	a, _, _, b := rememberingWorld(t, 1)
	b.remember()
	for name, edit := range map[string]func(map[string]any){
		"short id": func(c map[string]any) { c["id"] = "AAAA" }, "no id": func(c map[string]any) { delete(c, "id") },
		"no count": func(c map[string]any) { delete(c, "n") }, "below nothing": func(c map[string]any) { c["n"] = -1 },
		"a broken count": func(c map[string]any) { c["n"] = 1.5 }, "beyond the end": func(c map[string]any) { c["n"] = 1 << 32 },
		"short signature": func(c map[string]any) { c["signature"] = "AAAA" },
		"not base64":      func(c map[string]any) { c["signature"] = "%" },
	} {
		id := b.n.begin(t)
		body, claim := credentialsBody("alice"), b.claim(id, 50)
		edit(claim)
		body["remembered"] = claim
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.Post(b.n.URL+"/v1/logins/"+id+"/credentials", "application/json", bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 400 {
			t.Errorf("%s: status %d", name, resp.StatusCode)
		}
	}
	b.wants(b.logIn(a), found)
}

func TestPreflightsAreTheSameForEveryPage(t *testing.T) {
	_, _, nodes := newWorld(t, 1)
	for _, path := range []string{"/v1/logins/x/credentials", "/v1/logins/x/remembered"} {
		for _, page := range []string{origin, "https://evil.example"} {
			req, err := http.NewRequest("OPTIONS", nodes[0].URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Origin", page)
			req.Header.Set("Access-Control-Request-Method", "POST")
			req.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if h := resp.Header; resp.StatusCode != 204 || h.Get("Access-Control-Allow-Origin") != page || h.Get("Access-Control-Allow-Credentials") != "true" ||
				!strings.Contains(h.Get("Access-Control-Allow-Headers"), "Content-Type") || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "POST") {
				t.Errorf("%s from %s: %d %v", path, page, resp.StatusCode, h)
			}
		}
	}
}

func TestWithRedisEmptiedTheSecondFactorIsAskedFor(t *testing.T) {
	a, rdb, _, b := rememberingWorld(t, 1)
	b.remember()
	if err := rdb.Del(t.Context(), rememberedKey(tenant, b.id)).Err(); err != nil {
		t.Fatal(err)
	}
	b.wants(b.logIn(a), gone)
}

func TestNoSecretOfARememberedDeviceIsInRedisOrInTheLog(t *testing.T) {
	a, rdb, nodes, b := rememberingWorld(t, 1)
	b.remember()
	b.wants(b.logIn(a), found)
	all := rdb.HGetAll(t.Context(), rememberedKey(tenant, b.id)).Val()
	if len(all) < 6 {
		t.Fatalf("record %v", all)
	}
	for _, cookie := range b.cookies {
		for field, v := range all {
			if strings.Contains(v, cookie) {
				t.Errorf("the cookie is in field %q", field)
			}
		}
		if strings.Contains(nodes[0].log.String(), cookie) {
			t.Error("the cookie is in the log")
		}
	}
	for field, v := range all {
		if strings.Contains(v, "alice") {
			t.Errorf("the user's name is in field %q", field)
		}
	}
	if strings.Contains(nodes[0].log.String(), theToken) {
		t.Error("the token is in the log")
	}
}

func TestTheBrowsersNameForItselfIsCut(t *testing.T) {
	for long, want := range map[string]int{"short": 5, strings.Repeat("x", 1000): maxUserAgent, strings.Repeat("é", 500): maxUserAgent, "x" + strings.Repeat("é", 500): maxUserAgent - 1} {
		if got := firstOctets(long, maxUserAgent); len(got) != want || !strings.HasPrefix(long, got) {
			t.Errorf("%d octets of %d, want %d", len(got), len(long), want)
		}
	}
}
