package web_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/web"
)

// The test vector of RFC 9180's authors for base mode, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
const (
	vectorInfo = "4f6465206f6e2061204772656369616e2055726e"
	vectorIkmE = "a90d3417c3da9cb6c6ae19b4b5dd6cc9529a4cc24efb7ae0ace1f31887a8cd6c"
	vectorSkR  = "317f915db7bc629c48fe765587897e01e282d3e8445f79f27f65d031a88082b2"
	vectorPkR  = "04abc7e49a4c6b3566d77d0304addc6ed0e98512ffccf505e6a8e3eb25c685136f853148544876de76c0f2ef99cdc3a05ccf5ded7860c7c021238f9e2073d2356c"
	vectorEnc  = "04c06b4f6bebc7bb495cb797ab753f911aff80aefb86fd8b6fcc35525f3ab5f03e0b21bd31a86c6048af3cb2d98e0d3bf01da5cc4c39ff5370d331a4f1f7d5a4e0"
)

// cryptoSection cuts the part of the overlay that computes, to be run by itself.
func cryptoSection(t *testing.T) string {
	t.Helper()
	src := string(web.Overlay())
	from, to := strings.Index(src, "function toBinary("), strings.Index(src, "function verifyKeys(")
	if from < 0 || to < from {
		t.Fatal("the overlay is not laid out as this test expects")
	}
	return src[from:to]
}

// hpkeInPage seals in the browser, with a given ephemeral key when one is given.
func hpkeInPage(t *testing.T, p *tab, pub []byte, info, aad, pt string, ephemeral *ecdh.PrivateKey, labels ...string) (enc, ct []byte, exports [][]byte) {
	t.Helper()
	fixed := ""
	if ephemeral != nil {
		b := ephemeral.PublicKey().Bytes()
		jwk, err := json.Marshal(map[string]any{"kty": "EC", "crv": "P-256", "x": b64u.EncodeToString(b[1:33]), "y": b64u.EncodeToString(b[33:]), "d": b64u.EncodeToString(ephemeral.Bytes())})
		must(t, err)
		fixed = fmt.Sprintf(`const jwk = %s, {d, ...open} = jwk, alg = {name: 'ECDH', namedCurve: 'P-256'};
			crypto.subtle.generateKey = async () => ({
				privateKey: await crypto.subtle.importKey('jwk', jwk, alg, false, ['deriveBits']),
				publicKey: await crypto.subtle.importKey('jwk', open, alg, true, []),
			});`, jwk)
	}
	quoted, err := json.Marshal(labels)
	must(t, err)
	p.eval(fmt.Sprintf(`(() => { %s
		const bin = s => decode(s);
		window.sealed = null;
		(async () => {
			%s
			const s = await hpkeSeal(bin(%q), bin(%q), bin(%q), bin(%q));
			const out = [encode(s.enc), encode(s.ciphertext)];
			for (const l of %s) out.push(encode(await s.exporter(bin(l))));
			delete crypto.subtle.generateKey;
			window.sealed = out;
		})().catch(e => { window.sealed = [String(e)]; });
	})()`, cryptoSection(t), fixed, b64u.EncodeToString(pub), b64u.EncodeToString([]byte(info)), b64u.EncodeToString([]byte(aad)), b64u.EncodeToString([]byte(pt)), quoted))
	p.until(`window.sealed`)
	got, _ := p.eval(`window.sealed`).([]any)
	if len(got) != 2+len(labels) {
		t.Fatalf("sealing in the page: %v", got)
	}
	var all [][]byte
	for _, g := range got {
		b, err := base64.RawURLEncoding.DecodeString(g.(string))
		must(t, err)
		all = append(all, b)
	}
	return all[0], all[1], all[2:]
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	must(t, err)
	return b
}

// With the vector's ephemeral key the page makes the vector's encapsulation, and what it seals and exports is what the
// vector's recipient opens and exports (Go's, which is held to the same vectors).
func TestHPKEGivesTheRFCsVector(t *testing.T) {
	kem := hpke.DHKEM(ecdh.P256())
	pair, err := kem.DeriveKeyPair(unhex(t, vectorIkmE))
	must(t, err)
	d, err := pair.Bytes()
	must(t, err)
	ephemeral, err := ecdh.P256().NewPrivateKey(d)
	must(t, err)
	skR, err := kem.NewPrivateKey(unhex(t, vectorSkR))
	must(t, err)
	_, _, p := onPage(t, "/")
	info := string(unhex(t, vectorInfo))
	enc, ct, exports := hpkeInPage(t, p, unhex(t, vectorPkR), info, "Count-0", "Beauty is truth, truth beauty", ephemeral, "", b64u.EncodeToString([]byte("TestContext")))
	if hex.EncodeToString(enc) != vectorEnc {
		t.Errorf("enc %x", enc)
	}
	r, err := hpke.NewRecipient(enc, skR, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(info))
	must(t, err)
	if pt, err := r.Open([]byte("Count-0"), ct); err != nil || string(pt) != "Beauty is truth, truth beauty" {
		t.Errorf("opened %q, %v", pt, err)
	}
	for i, label := range []string{"", "TestContext"} {
		want, err := r.Export(label, 32)
		must(t, err)
		if !bytes.Equal(exports[i], want) {
			t.Errorf("export %q: %x, want %x", label, exports[i], want)
		}
	}
}

func TestHPKEIsOpenedByGo(t *testing.T) {
	_, _, p := onPage(t, "/")
	kem := hpke.DHKEM(ecdh.P256())
	for i := range 20 {
		key, err := kem.GenerateKey()
		must(t, err)
		pt := bytes.Repeat([]byte{byte(i), 0, 255}, i*9)
		info, aad, label := fmt.Sprintf("info %d", i), strings.Repeat("a", i), fmt.Sprintf("label %d", i)
		enc, ct, exports := hpkeInPage(t, p, key.PublicKey().Bytes(), info, aad, string(pt), nil, b64u.EncodeToString([]byte(label)))
		r, err := hpke.NewRecipient(enc, key, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(info))
		must(t, err)
		got, err := r.Open([]byte(aad), ct)
		must(t, err)
		want, err := r.Export(label, 32)
		must(t, err)
		if !bytes.Equal(got, pt) || !bytes.Equal(exports[0], want) {
			t.Errorf("%d: opened %x, exported %x", i, got, exports[0])
		}
	}
}

// Nothing is sealed to a key that the root key pinned by the page has not signed for this enterprise.
func TestPasswordIsSealedToThePinnedEnterpriseOnly(t *testing.T) {
	for name, forge := range map[string]func(c *fakeCloud){
		"another root key": func(c *fakeCloud) {
			other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			must(c.t, err)
			c.root = other
		},
		"another enterprise": func(c *fakeCloud) { c.statement = func(st map[string]any) { st["tenant"] = "another" } },
		"another version":    func(c *fakeCloud) { c.statement = func(st map[string]any) { st["v"] = 2 } },
		"the root's point, another's signature": func(c *fakeCloud) {
			point, other := b64u.EncodeToString(c.rootPoint()), mustKey(c.t)
			c.statement = func(st map[string]any) { st["root"] = point }
			c.root = other
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			g := newGateway(t, c)
			forge(c)
			p := newTab(t)
			p.open(g.url("/"))
			p.untilScreen("native")
			if n := c.requests("credentials"); n != 0 {
				t.Errorf("%d requests with credentials", n)
			}
		})
	}
}

func mustKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return k
}

func TestViewThatCannotBeOpenedStopsTheLogin(t *testing.T) {
	c, g, p := onPage(t, "/")
	p.signIn("alice", password)
	l := c.next()
	l.push()
	p.untilScreen("push")
	l.showSealed("done", map[string]any{"kind": "done", "token": "forged by the cloud"}, make([]byte, 32))
	p.untilScreen("error")
	if text := p.text(`$('alert').textContent`); !strings.Contains(text, "cannot verify") {
		t.Errorf("alert %q", text)
	}
	if g.form() != nil {
		t.Errorf("posted %v", g.form())
	}
}

// A cloud that passes a view off as another phase or version is found out: both are bound into the seal.
func TestViewOfAnotherPhaseStopsTheLogin(t *testing.T) {
	_, _, p, l := atPush(t)
	l.mu.Lock()
	l.version++
	l.view = map[string]any{"version": l.version, "phase": l.view["phase"], "sealed": l.view["sealed"]}
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
	p.untilScreen("error")
}

func TestSecretsStayOutOfThePage(t *testing.T) {
	c, _, p := onPage(t, "/")
	p.until(`window.masterSubmit`)
	p.eval(`(HTMLFormElement.prototype.submit = function () { window.submitted = true; }, true)`)
	p.signIn("alice", "Geheim123")
	l := c.next()
	look := func(when string) {
		page := p.text(`document.documentElement.outerHTML + (shadow ? shadow.innerHTML : '') + location.href + document.cookie +
			JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + performance.getEntriesByType('resource').map(r => r.name).join()`)
		p.mu.Lock()
		page += strings.Join(p.console, "\n")
		p.mu.Unlock()
		for _, secret := range []string{"Geheim123", token} {
			if strings.Contains(page, secret) {
				t.Errorf("%s: %s can be read in the page", when, secret)
			}
		}
	}
	l.push()
	p.untilScreen("push")
	look("while waiting")
	l.done()
	p.until(`window.submitted`)
	look("at the end")
}
