package tokenfile

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
)

// The pre-shared key and the passphrase of RFC 6030 section 6, and the secret of all its examples.
const (
	rfcPassphrase = sallyport.Secret("qwerty")
	rfcSecret     = "12345678901234567890"
)

func rfcKey(t testing.TB) sallyport.Key {
	t.Helper()
	key, err := hex.DecodeString("12345678901234567890123456789012")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func figure(t testing.TB, n int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("testdata/rfc6030-figure%d.xml", n))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func read(text string, u Unlock) ([]sallyport.OTPToken, error) {
	return Read(strings.NewReader(text), u)
}

// wantError wants a code and words, and that no secret is shown.
func wantError(t *testing.T, name string, err error, code sallyport.Code, words string) {
	t.Helper()
	if sallyport.ErrorCode(err) != code || !strings.Contains(sallyport.ErrorMessage(err), words) {
		t.Errorf("%s: %v, want %s: %s", name, err, code, words)
	}
	for _, secret := range []string{rfcSecret, "MTIzNDU2", string(rfcPassphrase), "12345678901234567890123456789012"} {
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error shows a secret: %v", name, err)
		}
	}
}

func TestExamplesOfTheRFC(t *testing.T) {
	token := sallyport.OTPToken{Serial: "987654321", Kind: sallyport.HOTP, Algorithm: sallyport.SHA1, Digits: 8,
		Seed: sallyport.Key(rfcSecret), State: sallyport.OTPTokenActive, Maker: "Manufacturer"}
	acme := token
	acme.Maker = "TokenVendorAcme"
	for n, c := range map[int]struct {
		unlock Unlock
		want   sallyport.OTPToken
	}{
		3: {Unlock{}, token},
		5: {Unlock{}, token}, // the PIN is none of ours
		6: {Unlock{Key: rfcKey(t)}, token},
		7: {Unlock{Passphrase: rfcPassphrase}, acme},
	} {
		got, err := read(figure(t, n), c.unlock)
		if err != nil || !reflect.DeepEqual(got, []sallyport.OTPToken{c.want}) {
			t.Errorf("figure %d: %+v, %v", n, got, err)
		}
	}
	_, err := read(figure(t, 2), Unlock{}) // a secret of four octets
	wantError(t, "figure 2", err, sallyport.CodeInvalid, `Line 3, token "12345678": The secret must have 10 to 64 octets.`)
	bulk := figure(t, 10)
	_, err = read(bulk, Unlock{}) // one token with two keys
	wantError(t, "figure 10", err, sallyport.CodeInvalid, `token "9999999": The same serial number stands at line`)
	at := strings.LastIndex(bulk, "9999999")
	got, err := read(bulk[:at]+"8888888"+bulk[at+7:], Unlock{})
	if err != nil || len(got) != 4 || got[0].Serial != "654321" || got[3].Serial != "8888888" {
		t.Errorf("figure 10 with four serial numbers: %+v, %v", got, err)
	}
}

func TestEncryptedFilesThatAreNotOpened(t *testing.T) {
	key, passphrase := figure(t, 6), figure(t, 7)
	right, wrong := Unlock{Key: rfcKey(t), Passphrase: rfcPassphrase}, Unlock{Key: make(sallyport.Key, 16), Passphrase: "qwertz"}
	change := func(s, old, new string) string {
		if !strings.Contains(s, old) {
			t.Fatalf("the example has no %q", old)
		}
		return strings.Replace(s, old, new, 1)
	}
	method := key[strings.Index(key, "<MACMethod"):strings.Index(key, "<KeyPackage")]
	for name, c := range map[string]struct {
		file   string
		unlock Unlock
		code   sallyport.Code
		words  string
	}{
		"no key":          {key, Unlock{Passphrase: rfcPassphrase}, sallyport.CodeDenied, `"Pre-shared-key". Give that key`},
		"another key":     {key, wrong, sallyport.CodeDenied, "not that of the file"},
		"a short key":     {key, Unlock{Key: rfcKey(t)[:15]}, sallyport.CodeInvalid, "16, 24 or 32"},
		"no passphrase":   {passphrase, Unlock{Key: rfcKey(t)}, sallyport.CodeDenied, `"My Password 1". Give it`},
		"another":         {passphrase, wrong, sallyport.CodeDenied, "not that of the file"},
		"a changed text":  {change(key, "+cIHItlB3", "+cIHItlB4"), right, sallyport.CodeDenied, "the file was changed"},
		"a changed start": {change(key, "AAECAwQF", "BAECAwQF"), right, sallyport.CodeDenied, "the file was changed"},
		"a changed MAC":   {change(key, "Su+NvtQf", "Tu+NvtQf"), right, sallyport.CodeDenied, "the file was changed"},
		"no MAC":          {change(key, "Su+NvtQfmvfJzF6bmQiJqoLRExc=", ""), right, sallyport.CodeInvalid, "the MAC that vouches for it, is missing"},
		"no MAC method":   {change(key, method, ""), right, sallyport.CodeInvalid, "no MACMethod"},
		"a certificate":   {change(key, "<ds:KeyName>Pre-shared-key</ds:KeyName>", "<ds:X509Data/>"), right, sallyport.CodeUnsupported, "for a certificate"},
		"no key's name":   {change(key, "<ds:KeyName>Pre-shared-key</ds:KeyName>", ""), Unlock{}, sallyport.CodeDenied, "under a key. Give that key"},
		"another MAC":     {change(key, "hmac-sha1", "hmac-md5"), right, sallyport.CodeUnsupported, "HMAC"},
		"another cipher":  {change(key, "<EncryptedValue>\n            <xenc:EncryptionMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#aes128-cbc", "<EncryptedValue><xenc:EncryptionMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#tripledes-cbc"), right, sallyport.CodeUnsupported, "AES-CBC"},
		"many iterations": {change(passphrase, "<IterationCount>1000<", "<IterationCount>1000001<"), right, sallyport.CodeUnsupported, "iterations"},
		"no iterations":   {change(passphrase, "<IterationCount>1000<", "<IterationCount>0<"), right, sallyport.CodeInvalid, "iterations"},
		"no salt":         {change(passphrase, "Ej7/PEpyEpw=", ""), right, sallyport.CodeInvalid, "salt"},
		"another PRF":     {change(passphrase, "<PRF/>", `<PRF Algorithm="urn:x#md5"/>`), right, sallyport.CodeUnsupported, "HMAC"},
		"a wrong PRF":     {change(passphrase, "<PRF/>", `<PRF Algorithm="http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#hmac-sha256"/>`), right, sallyport.CodeDenied, "not that of the file"},
	} {
		got, err := read(c.file, c.unlock)
		wantError(t, name, err, c.code, c.words)
		if got != nil {
			t.Errorf("%s: %d tokens all the same", name, len(got))
		}
	}
}

// hard is a container with one token, whose parts can be replaced.
const hard = `<KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc"><KeyPackage>
<DeviceInfo><Manufacturer>Hard &amp; Soft</Manufacturer><SerialNo>T-1</SerialNo></DeviceInfo>
<Key Id="k1" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:totp">
<AlgorithmParameters><Suite>HMAC-SHA256</Suite><ResponseFormat Length="6" Encoding="DECIMAL"/></AlgorithmParameters>
<Data><Secret><PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</PlainValue></Secret>
<TimeInterval><PlainValue>60</PlainValue></TimeInterval><TimeDrift><PlainValue>-4</PlainValue></TimeDrift></Data>
</Key></KeyPackage></KeyContainer>`

func TestTOTPInPSKC(t *testing.T) {
	want := sallyport.OTPToken{Serial: "T-1", Kind: sallyport.TOTP, Algorithm: sallyport.SHA256, Digits: 6, Period: time.Minute,
		Seed: sallyport.Key(rfcSecret), Drift: -4, State: sallyport.OTPTokenActive, Maker: "Hard & Soft"}
	got, err := read("\ufeff"+hard, Unlock{})
	if err != nil || !reflect.DeepEqual(got, []sallyport.OTPToken{want}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestPSKCThatIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		code     sallyport.Code
		words    string
	}{
		"not PSKC":       {hard, `<html></html>`, sallyport.CodeUnsupported, "not PSKC"},
		"a draft":        {"ns:keyprov:pskc\">", `ns:keyprov:pskc:1.0">`, sallyport.CodeUnsupported, "another version"},
		"version 2":      {`Version="1.0"`, `Version="2.0"`, sallyport.CodeUnsupported, "another version"},
		"cut":            {"</Key></KeyPackage></KeyContainer>", "", sallyport.CodeInvalid, "Line 7: this is not right in XML"},
		"an entity":      {"Hard &amp;", "Hard &secret;", sallyport.CodeInvalid, "Line 2: this is not right in XML"},
		"another code":   {"<KeyContainer", `<?xml version="1.0" encoding="ISO-8859-1"?><KeyContainer`, sallyport.CodeInvalid, "UTF-8"},
		"OCRA":           {"pskc:totp", "pskc:ocra", sallyport.CodeInvalid, `Line 1, token "T-1": This is neither`},
		"an alphabet":    {"DECIMAL", "HEXADECIMAL", sallyport.CodeInvalid, "not digits"},
		"a check digit":  {`Length="6"`, `Length="6" CheckDigits="true"`, sallyport.CodeInvalid, "check digit"},
		"five digits":    {`Length="6"`, `Length="5"`, sallyport.CodeInvalid, "6 to 8 digits"},
		"no number":      {`Length="6"`, `Length="six"`, sallyport.CodeInvalid, "whole number"},
		"MD5":            {"HMAC-SHA256", "HMAC-MD5", sallyport.CodeInvalid, "algorithm"},
		"45 s":           {">60<", ">45<", sallyport.CodeInvalid, "30 or 60 seconds"},
		"an age":         {">60<", ">9223372036854775807<", sallyport.CodeInvalid, "30 or 60 seconds"},
		"no interval":    {">60<", ">-30<", sallyport.CodeInvalid, "30 or 60 seconds"},
		"a drift":        {">-4<", ">-9223372036854775807<", sallyport.CodeInvalid, "drift"},
		"words":          {">-4<", ">MTIzNDU2<", sallyport.CodeInvalid, "whole numbers"},
		"no secret":      {"<Secret><PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</PlainValue></Secret>", "", sallyport.CodeInvalid, "not in the file"},
		"no base64":      {"MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA", sallyport.CodeInvalid, "not in base64"},
		"a serial":       {">T-1<", "> T 1<", sallyport.CodeInvalid, "serial number"},
		"encrypted":      {"<PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</PlainValue>", "<EncryptedValue/>", sallyport.CodeInvalid, "under what key"},
		"no key package": {hard[strings.Index(hard, "<KeyPackage"):], "</KeyContainer>", sallyport.CodeInvalid, "no OTP token"},
	} {
		file := strings.Replace(hard, c.old, c.new, 1)
		if file == hard {
			t.Fatalf("%s: nothing was replaced", name)
		}
		_, err := read(file, Unlock{})
		wantError(t, name, err, c.code, c.words)
	}
}

// A number may be encrypted too, big-endian; it is checked like a secret.
func TestEncryptedCounter(t *testing.T) {
	file := figure(t, 6)
	const plain = "<PlainValue>0</PlainValue>"
	const secret = "AAECAwQFBgcICQoLDA0OD+cIHItlB3Wra1DUpxVvOx2lef1VmNPCMl8jwZqIUqGv"
	value := func(cipher, mac string) string {
		return strings.Replace(file, plain, `<EncryptedValue><EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/><CipherData><CipherValue>`+
			cipher+`</CipherValue></CipherData></EncryptedValue><ValueMAC>`+mac+`</ValueMAC>`, 1)
	}
	_, err := read(value(secret, "Su+NvtQfmvfJzF6bmQiJqoLRExc="), Unlock{Key: rfcKey(t)}) // the secret as a counter: 20 octets
	wantError(t, "long", err, sallyport.CodeInvalid, "whole numbers")
	box, mac := seal(t, []byte{1, 2})
	got, err := read(value(box, mac), Unlock{Key: rfcKey(t)})
	if err != nil || len(got) != 1 || got[0].Next != 258 {
		t.Errorf("%+v, %v", got, err)
	}
	box, mac = seal(t, []byte{255, 255, 255, 255, 255, 255, 255, 255})
	_, err = read(value(box, mac), Unlock{Key: rfcKey(t)})
	wantError(t, "negative", err, sallyport.CodeInvalid, "counter is out of bounds")
}

var iterations = regexp.MustCompile(`(IterationCount>\s*)\d+`)

// Files of any length end, and what is read of them is a token.
func FuzzRead(f *testing.F) {
	for _, n := range []int{2, 3, 5, 6, 7, 10} {
		f.Add([]byte(figure(f, n)))
	}
	f.Add([]byte(hard))
	f.Add([]byte("serial;secret;type\nA-1;3132333435363738393031323334353637383930;hotp\n"))
	f.Add([]byte("A-1,GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n# B\n\"B-1\",base32:GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ,totp,8,60,0,sha512\n"))
	f.Add([]byte("\xff\xfe<\x00"))
	f.Add([]byte("a,\"b\n"))
	key := rfcKey(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		file = iterations.ReplaceAll(file, []byte("${1}1")) // spend the time on other things
		tokens, err := Read(bytes.NewReader(file), Unlock{Key: key, Passphrase: rfcPassphrase})
		if (err == nil) != (len(tokens) > 0) {
			t.Fatalf("%d tokens, %v", len(tokens), err)
		}
		var known *sallyport.Error
		if err != nil && !errors.As(err, &known) {
			t.Errorf("an error without a code: %v", err)
		}
		serials := make(map[string]bool)
		for _, token := range tokens {
			if words := token.Problem(); words != "" || token.Account != "" || serials[strings.ToLower(token.Serial)] {
				t.Errorf("%+v: %s", token, words)
			}
			serials[strings.ToLower(token.Serial)] = true
			if encoded := base64.StdEncoding.EncodeToString(token.Seed); strings.Contains(fmt.Sprintf("%+v", token), encoded) {
				t.Errorf("a seed is shown")
			}
		}
	})
}
