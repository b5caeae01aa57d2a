package deviceproto_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/sealed"
)

var now = time.Unix(1_800_000_000, 0)

// phone is a device with the keys it shares with its appliance.
type phone struct {
	key    *ecdsa.PrivateKey
	id     sallyport.DeviceID
	der    []byte
	keys   deviceproto.Keys
	tenant sallyport.TenantID
}

func newPhone(t testing.TB) phone {
	t.Helper()
	key, err := deviceproto.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := deviceproto.MarshalPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	id := deviceproto.Thumbprint(&key.PublicKey)
	secret := bytes.Repeat([]byte{7}, deviceproto.SecretSize)
	return phone{key: key, id: id, der: der, keys: deviceproto.DeriveKeys(secret, id), tenant: "hospital"}
}

func TestThumbprintIsRFC7638(t *testing.T) {
	// The key of RFC 7515 appendix A.3; its thumbprint computed with Python's hashlib over the
	// canonical JSON.
	j := deviceproto.JWK{KeyType: "EC", Curve: "P-256",
		X: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", Y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
	pub, err := j.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	if got := deviceproto.Thumbprint(pub); got != "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U" {
		t.Errorf("thumbprint = %s", got)
	}
	if got, err := deviceproto.NewJWK(pub); err != nil || got != j {
		t.Errorf("JWK = %+v, %v", got, err)
	}
}

func TestKeysOnOtherCurvesAreRefused(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if id := deviceproto.Thumbprint(&other.PublicKey); id != "" {
		t.Errorf("P-384 has thumbprint %q", id)
	}
	if _, err := deviceproto.MarshalPublicKey(&other.PublicKey); err == nil {
		t.Error("P-384 is marshalled")
	}
	if _, err := deviceproto.Authorize(other, "t", deviceproto.Request{}, now); err == nil {
		t.Error("P-384 authorizes")
	}
	off := deviceproto.JWK{KeyType: "EC", Curve: "P-256", X: strings.Repeat("A", 43), Y: strings.Repeat("A", 43)}
	if _, err := off.PublicKey(); err == nil {
		t.Error("a point off the curve is accepted")
	}
}

func TestDerivedKeysDifferByDeviceAndPurpose(t *testing.T) {
	secret := make([]byte, 32)
	a, b := deviceproto.DeriveKeys(secret, "a"), deviceproto.DeriveKeys(secret, "b")
	if bytes.Equal(a.Proof, a.Details) || bytes.Equal(a.Details, b.Details) || bytes.Equal(a.Seed, b.Seed) {
		t.Error("two keys are equal")
	}
	if len(a.Proof) != 32 || len(a.Details) != 32 || len(a.Seed) != 20 {
		t.Error("a key has the wrong length")
	}
}

func TestProofCoversEveryField(t *testing.T) {
	p := newPhone(t)
	e := deviceproto.Enrolling{Tenant: "hospital", Enrolment: "e1", Device: p.id, Name: "Alice's iPhone", Platform: "ios"}
	proof := e.Proof(p.keys.Proof)
	if !e.ProofHolds(p.keys.Proof, proof) {
		t.Fatal("own proof does not hold")
	}
	for what, change := range map[string]func(*deviceproto.Enrolling){
		"tenant":    func(e *deviceproto.Enrolling) { e.Tenant = "other" },
		"enrolment": func(e *deviceproto.Enrolling) { e.Enrolment = "e2" },
		"device":    func(e *deviceproto.Enrolling) { e.Device = "x" },
		"name":      func(e *deviceproto.Enrolling) { e.Name = "Mallory's" },
		"platform":  func(e *deviceproto.Enrolling) { e.Platform = "web" },
	} {
		changed := e
		change(&changed)
		if changed.ProofHolds(p.keys.Proof, proof) {
			t.Errorf("proof holds with another %s", what)
		}
	}
	if e.ProofHolds(p.keys.Details, proof) {
		t.Error("proof holds under another key")
	}
}

func TestLinkSurvivesItsText(t *testing.T) {
	for _, base := range []string{"https://tokens.example.org", "https://x.example/tokens", "http://127.0.0.1:8080", "http://[::1]:9", "http://localhost"} {
		l := deviceproto.Link{Base: base, Tenant: "hospital", Enrolment: "e1", Secret: bytes.Repeat([]byte{9}, 32)}
		got, err := deviceproto.ParseLink(" " + string(l.Text()) + "\n")
		if err != nil {
			t.Fatal(err)
		}
		if got.Base != l.Base || got.Tenant != l.Tenant || got.Enrolment != l.Enrolment || !bytes.Equal(got.Secret, l.Secret) {
			t.Errorf("link came back as %+v", got)
		}
	}
}

func TestBadLinksAreRefusedWithoutRepeatingThem(t *testing.T) {
	secret := strings.Repeat("A", 43)
	for name, text := range map[string]string{
		"empty":         "",
		"no fragment":   "https://t.example/authenticator/",
		"plain http":    "http://t.example/authenticator/#e=a.b." + secret,
		"other page":    "https://t.example/login/#e=a.b." + secret,
		"user in it":    "https://u:p@t.example/authenticator/#e=a.b." + secret,
		"query":         "https://t.example?x/authenticator/#e=a.b." + secret,
		"short secret":  "https://t.example/authenticator/#e=a.b." + secret[:20],
		"bad id":        "https://t.example/authenticator/#e=a/b.c." + secret,
		"four parts":    "https://t.example/authenticator/#e=a.b.c." + secret,
		"script":        "javascript:alert(1)/authenticator/#e=a.b." + secret,
		"endless":       "https://t.example/authenticator/#e=a.b." + strings.Repeat("A", 4096),
		"other base 64": "https://t.example/authenticator/#e=a.b." + secret[:42] + "B",
	} {
		if _, err := deviceproto.ParseLink(text); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "AAAA") {
			t.Errorf("%s: error repeats the secret", name)
		}
	}
}

func TestSealedTextOpensForItsDeviceOnly(t *testing.T) {
	p := newPhone(t)
	box, err := deviceproto.SealAccount(p.keys.Details, p.id, deviceproto.Account{User: "alice", Enterprise: "St. Mary's <Hospital>"})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := deviceproto.OpenAccount(p.keys.Details, p.id, box); err != nil || a.Enterprise != "St. Mary's <Hospital>" {
		t.Errorf("account = %+v, %v", a, err)
	}
	if _, err := deviceproto.OpenAccount(p.keys.Details, "other", box); err == nil {
		t.Error("account opens for another device")
	}
	want := sallyport.ChallengeDetails{User: "alice", Application: "Hospital VPN", Place: "203.0.113.7", Time: now.UTC(), Digits: 2}
	box, err = deviceproto.SealDetails(p.keys.Details, p.id, "c1", want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := deviceproto.OpenDetails(p.keys.Details, p.id, "c1", box); err != nil || got != want {
		t.Errorf("details = %+v, %v", got, err)
	}
	if _, err := deviceproto.OpenDetails(p.keys.Details, p.id, "c2", box); err == nil {
		t.Error("details open for another challenge")
	}
	want.User = strings.Repeat("\x01", 600)
	if _, err := deviceproto.SealDetails(p.keys.Details, p.id, "c1", want); err == nil {
		t.Error("details beyond the limit are sealed")
	}
}

func TestLengthTellsNothing(t *testing.T) {
	p := newPhone(t)
	lengths := map[int]bool{}
	for _, a := range []deviceproto.Answer{
		{Challenge: "c1", Decision: sallyport.DecisionApprove, Number: "42", User: "alice", Application: "VPN", At: now},
		{Challenge: "c1", Decision: sallyport.DecisionDeny, User: "alice", Application: "VPN", At: now},
		{Challenge: "c1", Decision: sallyport.DecisionNotMe, User: "a-much-longer-name@hospital.example", Application: "VPN of the hospital", At: now},
	} {
		box, err := deviceproto.SealAnswer(p.key, p.keys.Details, a)
		if err != nil {
			t.Fatal(err)
		}
		lengths[len(box)] = true
	}
	if len(lengths) != 1 {
		t.Errorf("answers have lengths %v", lengths)
	}
}

func TestAnswerHoldsForItsDeviceAndChallengeOnly(t *testing.T) {
	p, other := newPhone(t), newPhone(t)
	want := deviceproto.Answer{Challenge: "c1", Decision: sallyport.DecisionApprove, Number: "42", User: "alice", Application: "VPN", At: now}
	box, err := deviceproto.SealAnswer(p.key, p.keys.Details, want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := deviceproto.OpenAnswer(p.keys.Details, p.der, p.id, "c1", box)
	if err != nil || got != want {
		t.Fatalf("answer = %+v, %v", got, err)
	}
	if _, err := deviceproto.OpenAnswer(p.keys.Details, p.der, p.id, "c2", box); err == nil {
		t.Error("answer holds for another challenge")
	}
	if _, err := deviceproto.OpenAnswer(p.keys.Details, other.der, p.id, "c1", box); err == nil {
		t.Error("answer holds with another device's key")
	}
	// Another device that somehow has the details key seals an answer in our device's place.
	forged, err := deviceproto.SealAnswer(other.key, p.keys.Details, want)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := deviceproto.OpenAnswer(p.keys.Details, p.der, p.id, "c1", forged); err == nil {
		t.Error("answer of another device holds")
	}
	for i := range box {
		edited := bytes.Clone(box)
		edited[i] ^= 1
		if _, err := deviceproto.OpenAnswer(p.keys.Details, p.der, p.id, "c1", edited); err == nil {
			t.Fatalf("answer holds with octet %d edited", i)
		}
	}
	if _, err := deviceproto.SealAnswer(p.key, p.keys.Details, deviceproto.Answer{Challenge: "c1", Decision: "maybe"}); err == nil {
		t.Error("an unknown decision is signed")
	}
}

func TestTokenCodeIsRFC6238(t *testing.T) {
	seed := sallyport.Key("12345678901234567890") // RFC 6238 appendix B, last six digits
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1234567890: "005924", 20000000000: "353130"} {
		if got, err := deviceproto.TokenCode(seed, time.Unix(at, 0)); err != nil || string(got) != want {
			t.Errorf("code at %d = %s, %v; want %s", at, string(got), err, want)
		}
	}
	code, err := deviceproto.TokenCode(seed, now)
	if err != nil {
		t.Fatal(err)
	}
	if step, ok := deviceproto.MatchTokenCode(seed, code, now.Add(30*time.Second), 1); !ok || step != deviceproto.CodeStep(now) {
		t.Errorf("code of the step before: %d, %v", step, ok)
	}
	if _, ok := deviceproto.MatchTokenCode(seed, code, now.Add(90*time.Second), 1); ok {
		t.Error("a code three steps old matches")
	}
	if _, ok := deviceproto.MatchTokenCode(seed, "", now, 1); ok {
		t.Error("an empty code matches")
	}
}

func TestPushAddressesAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		push deviceproto.Push
		ok   bool
	}{
		"none":              {deviceproto.Push{Provider: "none"}, true},
		"apns":              {deviceproto.Push{Provider: "apns", Token: "00ffAA"}, true},
		"fcm":               {deviceproto.Push{Provider: "fcm", Token: "fX9:APA91b_-x"}, true},
		"none with token":   {deviceproto.Push{Provider: "none", Token: "x"}, false},
		"no provider":       {deviceproto.Push{}, false},
		"apns path":         {deviceproto.Push{Provider: "apns", Token: "../../x"}, false},
		"fcm without token": {deviceproto.Push{Provider: "fcm"}, false},
		"fcm line break":    {deviceproto.Push{Provider: "fcm", Token: "a\r\nb"}, false},
		"fcm too long":      {deviceproto.Push{Provider: "fcm", Token: strings.Repeat("x", 4097)}, false},
	} {
		if err := c.push.Check(); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseLink(f *testing.F) {
	f.Add("https://t.example/authenticator/#e=a.b." + strings.Repeat("A", 43))
	f.Add("http://[::1]:80/authenticator/#e=..")
	f.Add("#e=a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := deviceproto.ParseLink(text)
		if err != nil {
			return
		}
		again, err := deviceproto.ParseLink(string(l.Text()))
		if err != nil || again.Base != l.Base || again.Tenant != l.Tenant || again.Enrolment != l.Enrolment || !bytes.Equal(again.Secret, l.Secret) {
			t.Fatalf("link %q does not survive its text: %v", text, err)
		}
	})
}

func FuzzOpenAnswer(f *testing.F) {
	p := newPhone(f)
	box, err := deviceproto.SealAnswer(p.key, p.keys.Details, deviceproto.Answer{Challenge: "c1", Decision: sallyport.DecisionDeny, At: now})
	if err != nil {
		f.Fatal(err)
	}
	plain, err := sealed.Open(p.keys.Details, box, sealed.Fields("answer", "c1", string(p.id)))
	if err != nil {
		f.Fatal(err)
	}
	jws := bytes.TrimRight(plain, " ")
	f.Add(jws)
	f.Add([]byte("eyJhbGciOiJub25lIn0.e30."))
	f.Add([]byte("..."))
	f.Fuzz(func(t *testing.T, inside []byte) {
		// The seal is intact; what is inside it comes from a device nobody controls.
		box := sealed.Seal(p.keys.Details, inside, sealed.Fields("answer", "c1", string(p.id)))
		a, err := deviceproto.OpenAnswer(p.keys.Details, p.der, p.id, "c1", box)
		if err == nil && !(a.Decision == sallyport.DecisionDeny && bytes.Equal(bytes.TrimRight(inside, " "), jws)) {
			t.Fatalf("accepted %q", inside)
		}
	})
}
