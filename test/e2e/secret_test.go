package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/test/browserclient"
	"github.com/sallyport/sallyport/test/harness"
	"github.com/sallyport/sallyport/test/stack"
)

// capture keeps what passes somewhere.
type capture struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (c *capture) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.Write(b)
}

func (c *capture) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.buf.Bytes())
}

// needle is a secret in one of the forms in which it could stand somewhere.
type needle struct{ what, text string }

// forms are the encodings in which a secret could be found.
func forms(what string, secret []byte) []needle {
	return []needle{
		{what, string(secret)},
		{what + " in hex", hex.EncodeToString(secret)},
		{what + " in base64", strings.TrimRight(base64.StdEncoding.EncodeToString(secret), "=")},
		{what + " in base64url", base64.RawURLEncoding.EncodeToString(secret)},
		{what + " in a URL", url.QueryEscape(string(secret))},
	}
}

// place is somewhere that a secret could have been left.
type place struct {
	name string
	data []byte
}

// hidesAll looks for needles in a place.
func (p place) hidesAll(t *testing.T, needles []needle) {
	t.Helper()
	for _, n := range needles {
		if i := bytes.Index(p.data, []byte(n.text)); i >= 0 {
			t.Errorf("%s holds the %s: …%q…", p.name, n.what, p.data[max(0, i-60):min(len(p.data), i+20)])
		}
	}
}

// shows is the control: what must be found, so that a search that finds nothing means something.
func (p place) shows(t *testing.T, text string) {
	t.Helper()
	if !bytes.Contains(p.data, []byte(text)) {
		t.Errorf("%s does not hold %q: the search would find nothing anywhere", p.name, text)
	}
}

// TestNothingSecretIsInRedisLogsAndOnTheWire does what a person does at the gateway, once with the phone
// and once with a code, while everything that passes is recorded: what is in Redis and what is said to
// it, every log, the HTTP of browser and phone as the cloud's own load balancer sees it, and the tunnel
// and the appliance's link to the token service from inside their encryption.
func TestNothingSecretIsInRedisLogsAndOnTheWire(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	said := s.Redis.Monitor()
	var browser, phone capture
	s.Cloud.Record(&browser)
	s.Devices.Record(&phone)
	t.Cleanup(func() { s.Cloud.Record(nil); s.Devices.Record(nil) })

	b := s.NewBranch(t)
	tunnels := []*stack.Tap{b.StartTap(t, s.TunnelAddrs()[0]), b.StartTap(t, s.TunnelAddrs()[1])}
	service := b.StartTap(t, s.Service.Addr())
	b.Tunnels(t, tunnels[0].Addr(), tunnels[1].Addr())
	b.TokenService(t, service.Addr())
	b.Start()
	u := s.NewUser(t)
	e := b.Invite(t, u.Name)
	d := b.Complete(t, e)
	link, err := deviceproto.ParseLink(string(e.Link))
	if err != nil {
		t.Fatal(err)
	}

	first := pushed(t, b.Page(), u)
	number := first.Prompt.Number
	if err := d.Approve(within(t, patience), number); err != nil {
		t.Fatal(err)
	}
	tokens := []sallyport.Secret{tokenOf(t, first)}
	second := pushed(t, b.Page(), u)
	code := withCode(t, second, d)
	tokens = append(tokens, tokenOf(t, second))
	for _, token := range tokens {
		wire, err := packet(b.RADIUSSecret, u.Name, token)
		if err != nil {
			t.Fatal(err)
		}
		if accept, err := ask(within(t, patience), b.RADIUSAddr, b.RADIUSSecret, wire, 5*time.Second, 3); !accept || err != nil {
			t.Fatalf("RADIUS: %v, %v", accept, err)
		}
	}

	logs := s.Logs() + b.Log()
	redis := append(s.Redis.Dump(), said()...)
	var tunnel []byte
	for _, tap := range tunnels {
		tunnel = append(tunnel, tap.Seen()...)
	}
	inRedis, inLogs := place{"Redis", redis}, place{"a log", []byte(logs)}
	onTunnel, onService := place{"the tunnel", tunnel}, place{"the link to the token service", service.Seen()}
	fromBrowser, fromPhone := place{"the browser's HTTP", browser.bytes()}, place{"the phone's HTTP", phone.bytes()}

	inRedis.shows(t, string(first.ID))
	inLogs.shows(t, string(first.ID))
	onTunnel.shows(t, u.Name)
	onTunnel.shows(t, string(first.ID))
	onService.shows(t, string(d.Device()))
	fromBrowser.shows(t, first.Session)
	fromBrowser.shows(t, `"userName":"`+u.Name+`"`)
	fromPhone.shows(t, string(link.Enrolment))

	nowhere := secretsOf(u, tokens, number, code, link, d)
	nowhere = append(nowhere, forms("RADIUS secret", []byte(b.RADIUSSecret))...)
	nowhere = append(nowhere, forms("service account's password", []byte(harness.ServicePass))...)
	for _, p := range []place{inRedis, inLogs, onTunnel, onService, fromBrowser, fromPhone} {
		p.hidesAll(t, nowhere)
	}
	// Codes and bearers are shown to the cloud over HTTPS, which has to check them; it keeps neither.
	var shown []needle
	for _, code := range append(s.Codes, b.Code) {
		shown = append(shown, needle{"code", string(code)}, needle{"code without dashes", string(sallyport.CanonicalCode(code))})
	}
	for _, session := range []string{first.Session, second.Session} {
		shown = append(shown, needle{"session bearer", session})
	}
	for _, p := range []place{inRedis, inLogs, onTunnel, onService, fromPhone} {
		p.hidesAll(t, shown)
	}
	// The token service's side sees nothing of who logs in where.
	onService.hidesAll(t, []needle{{"user's name", u.Name}, {"application", stack.Nickname}})
	fromPhone.hidesAll(t, []needle{{"user's name", u.Name}, {"application", stack.Nickname}})
}

// withCode goes on with a token code in place of the push.
func withCode(t *testing.T, l *browserclient.Login, d *stack.Device) sallyport.Secret {
	t.Helper()
	ctx := within(t, patience)
	code, err := d.CodeAt(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []browserclient.Message{{Action: "use_code"}, {Action: "code", Code: string(code)}} {
		if err := l.Say(ctx, m); err != nil {
			t.Fatalf("%s: %v", m.Action, err)
		}
	}
	return code
}

// secretsOf is what nobody between browser, appliance and phone may see.
func secretsOf(u stack.User, tokens []sallyport.Secret, number string, code sallyport.Secret, link deviceproto.Link, d *stack.Device) []needle {
	out := forms("password", []byte(u.Password))
	for _, token := range tokens {
		raw, _ := base64.RawURLEncoding.DecodeString(string(token))
		out = append(out, forms("gateway token", []byte(token))...)
		out = append(out, forms("gateway token's octets", raw)...)
	}
	out = append(out, forms("enrolment secret", link.Secret)...)
	out = append(out, forms("seed of the token codes", d.Keys.Seed)...)
	out = append(out, forms("key of the details", d.Keys.Details)...)
	out = append(out, forms("key of the proof", d.Keys.Proof)...)
	// Two and six digits stand everywhere; what would tell is their place.
	for _, pattern := range []string{`"number":%q`, `"number": %q`, `"number":%s,`, `number=%s`, `number=%q`} {
		out = append(out, needle{"number", fmt.Sprintf(pattern, number)})
	}
	for _, pattern := range []string{`"code":%q`, `"code": %q`, `code=%s`, `code=%q`, `passcode=%s`} {
		out = append(out, needle{"token code", fmt.Sprintf(pattern, string(code))})
	}
	// What seals hold, in the clear: prompts, messages, answers, what a phone shows.
	for _, text := range []string{`"kind":"push"`, `"kind":"done"`, `"action":"use_code"`, `"decision":"approve"`, `"digits":2`} {
		out = append(out, needle{"inside of a seal", text})
	}
	return out
}
