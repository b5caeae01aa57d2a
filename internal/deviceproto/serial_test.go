package deviceproto_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// newcomer is an app that shows a serial number.
type newcomer struct {
	box    *ecdh.PrivateKey
	public *ecdsa.PublicKey
	serial deviceproto.Serial
}

func newNewcomer(t testing.TB) newcomer {
	t.Helper()
	sign, err := deviceproto.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	n := newcomer{}
	if n.box, err = deviceproto.NewBoxKey(); err != nil {
		t.Fatal(err)
	}
	if n.public, err = deviceproto.BoxPublicKey(n.box); err != nil {
		t.Fatal(err)
	}
	n.serial = deviceproto.SerialOf(&sign.PublicKey, n.public)
	return n
}

const goodLink = "https://t.example/authenticator/#e=hospital.e1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func invitation(t testing.TB, code sallyport.Secret) deviceproto.Invitation {
	t.Helper()
	link, err := deviceproto.ParseLink(goodLink)
	if err != nil {
		t.Fatal(err)
	}
	return deviceproto.Invitation{Link: link, Code: code, Account: deviceproto.Account{User: "alice", Enterprise: "St. Mary's"}}
}

func TestASerialNumberIsReadAsPeopleTypeIt(t *testing.T) {
	for range 50 {
		s := newNewcomer(t).serial
		for _, typed := range []string{s.Text(), strings.ToLower(s.Text()), " " + strings.ReplaceAll(s.Text(), "-", " "), string(s),
			strings.NewReplacer("0", "o", "1", "l").Replace(string(s)), strings.NewReplacer("0", "O", "1", "I").Replace(string(s))} {
			if got, err := deviceproto.ParseSerial(typed); err != nil || got != s {
				t.Fatalf("%q is read as %q, %v", typed, got, err)
			}
		}
		for i := range string(s) {
			for _, c := range "0123456789ABCDEFGHJKMNPQRSTVWXYZ" {
				if byte(c) == s[i] {
					continue
				}
				if wrong := string(s[:i]) + string(c) + string(s[i+1:]); accepted(wrong) {
					t.Fatalf("%s is taken for %s", wrong, s)
				}
			}
			for j := i + 1; j < len(s); j++ {
				swapped := []byte(s)
				swapped[i], swapped[j] = swapped[j], swapped[i]
				if s[i] != s[j] && accepted(string(swapped)) {
					t.Fatalf("%s is taken for %s", swapped, s)
				}
			}
		}
		for _, wrong := range []string{"", string(s[:17]), string(s) + "0", string(s) + strings.Repeat("-", 64), "U" + string(s[1:])} {
			if accepted(wrong) {
				t.Fatalf("%q is taken for a serial number", wrong)
			}
		}
	}
}

func accepted(typed string) bool { _, err := deviceproto.ParseSerial(typed); return err == nil }

// The example of docs/protocol/device.md, which was worked out without this package.
func TestTheSerialNumberOfTheDocumentation(t *testing.T) {
	key, err := deviceproto.JWK{KeyType: "EC", Curve: "P-256", X: "i6rSm-OlSa3nO1b0fT55cMpb58OxO55lU9aguZ7djV4", Y: "b8uuUfH3PTJu6cygxzgoYfFhMEko1rfRW0QID5kj-SQ"}.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	if got := deviceproto.SerialOf(key, key).Text(); got != "40YBX6-WV7V1Z-NXAPBH" {
		t.Error(got)
	}
}

func TestASerialNumberNamesBothKeys(t *testing.T) {
	a, b := newPhone(t), newPhone(t)
	box, other := newNewcomer(t), newNewcomer(t)
	s := deviceproto.SerialOf(&a.key.PublicKey, box.public)
	for what, got := range map[string]deviceproto.Serial{
		"another signing key": deviceproto.SerialOf(&b.key.PublicKey, box.public), "another key for invitations": deviceproto.SerialOf(&a.key.PublicKey, other.public),
		"the keys in each other's place": deviceproto.SerialOf(box.public, &a.key.PublicKey),
	} {
		if got == s || got == "" {
			t.Errorf("%s gives %q as well", what, got)
		}
	}
	if got := deviceproto.SerialOf(&a.key.PublicKey, nil); got != "" {
		t.Errorf("without a key: %q", got)
	}
}

func TestAnInvitationOpensForItsAppAlone(t *testing.T) {
	app, other := newNewcomer(t), newNewcomer(t)
	box, verdicts, err := deviceproto.SealInvitation(app.public, app.serial, "hospital", "i1", invitation(t, "123456"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := deviceproto.OpenInvitation(app.box, app.serial, "hospital", "i1", box)
	if err != nil || got.Code != "123456" || got.Account.User != "alice" || got.Account.Enterprise != "St. Mary's" || string(got.Link.Text()) != goodLink {
		t.Fatalf("opened as %+v, %v", got, err)
	}
	for _, right := range []bool{true, false} {
		if said, err := verdicts.Open(got.Verdict(right)); err != nil || said != right {
			t.Errorf("%v is heard as %v, %v", right, said, err)
		}
	}
	if a, b := got.Verdict(true), got.Verdict(false); len(a) != len(b) {
		t.Errorf("lengths %d and %d tell about the code", len(a), len(b))
	}
	for what, open := range map[string]func() error{
		"another app": func() error {
			_, err := deviceproto.OpenInvitation(other.box, app.serial, "hospital", "i1", box)
			return err
		},
		"another serial number": func() error {
			_, err := deviceproto.OpenInvitation(app.box, other.serial, "hospital", "i1", box)
			return err
		},
		"another enterprise": func() error {
			_, err := deviceproto.OpenInvitation(app.box, app.serial, "clinic", "i1", box)
			return err
		},
		"another invitation": func() error {
			_, err := deviceproto.OpenInvitation(app.box, app.serial, "hospital", "i2", box)
			return err
		},
	} {
		if open() == nil {
			t.Errorf("opens for %s", what)
		}
	}
	// What the app said of one invitation is not what it said of another, and nobody in between can say it in its place.
	again, _, err := deviceproto.SealInvitation(app.public, app.serial, "hospital", "i1", invitation(t, "654321"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := deviceproto.OpenInvitation(app.box, app.serial, "hospital", "i1", again)
	if err != nil {
		t.Fatal(err)
	}
	for what, said := range map[string][]byte{"of another invitation": second.Verdict(true), "made up": make([]byte, 92), "empty": nil, "long": make([]byte, 300)} {
		if _, err := verdicts.Open(said); err == nil {
			t.Errorf("a verdict %s holds", what)
		}
	}
	// An enterprise cannot send the link of another one.
	foreign, _, err := deviceproto.SealInvitation(app.public, app.serial, "clinic", "i1", invitation(t, "123456"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := deviceproto.OpenInvitation(app.box, app.serial, "clinic", "i1", foreign); err == nil {
		t.Error("the clinic's invitation leads to the hospital")
	}
}

func TestACodeHoldsWhileItIsShownAndAMinuteLonger(t *testing.T) {
	seed := sallyport.Key("12345678901234567890")
	at := time.Unix(1_700_000_010, 0) // a step begins
	code, err := deviceproto.TokenCode(seed, at)
	if err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]bool{-time.Second: false, 0: true, 29 * time.Second: true, 89 * time.Second: true, 90 * time.Second: false} {
		if got := invitation(t, code).CodeHolds(seed, at.Add(after)); got != want {
			t.Errorf("after %v: %v", after, got)
		}
	}
	for _, wrong := range []sallyport.Secret{"", "000000", code + "0", code[:5]} {
		if wrong != code && invitation(t, wrong).CodeHolds(seed, at) {
			t.Errorf("%q holds", string(wrong))
		}
	}
}

func FuzzParseSerial(f *testing.F) {
	n := newNewcomer(f)
	f.Add(n.serial.Text())
	f.Add("7K3QXM-9TW2HC-5VBN0R")
	f.Add("ıl o-")
	f.Fuzz(func(t *testing.T, typed string) {
		s, err := deviceproto.ParseSerial(typed)
		if err != nil {
			return
		}
		if again, err := deviceproto.ParseSerial(s.Text()); err != nil || again != s || len(s) != 18 {
			t.Fatalf("%q is %q, which is %q, %v", typed, s, again, err)
		}
	})
}

func FuzzOpenInvitation(f *testing.F) {
	app := newNewcomer(f)
	box, _, err := deviceproto.SealInvitation(app.public, app.serial, "hospital", "i1", invitation(f, "123456"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(box)
	f.Add([]byte{4})
	f.Add(append(bytes.Clone(box[:65]), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := deviceproto.OpenInvitation(app.box, app.serial, "hospital", "i1", b); err == nil && !bytes.Equal(b, box) {
			t.Fatal("opens what nobody has sealed")
		}
	})
}
