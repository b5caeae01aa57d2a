package tokenfile

import (
	"encoding/base32"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/otp"
)

// tokensCSV is what csv2pskc (Debian's pskc-utils, which share no code with ours) makes files of.
const tokensCSV = `serial,secret,algorithm,response_length,time_interval,counter,manufacturer
FT-1,3132333435363738393031323334353637383930,urn:ietf:params:xml:ns:keyprov:pskc:totp,6,60,,Acme
FT-2,3132333435363738393031323334353637383930,urn:ietf:params:xml:ns:keyprov:pskc:hotp,8,,17,Acme
FT-3,30313233343536373839303132333435363738393031323334353637383930313233343536,urn:ietf:params:xml:ns:keyprov:pskc:totp,7,30,,Acme
`

func madeByCSV2PSKC(t *testing.T, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "csv2pskc", append([]string{"-e", "hex"}, args...)...)
	c.Stdin = strings.NewReader(tokensCSV)
	out, err := c.Output()
	if err != nil {
		t.Fatalf("csv2pskc: %v (test/install.sh installs it)", err)
	}
	return string(out)
}

func TestFilesOfAnotherProgram(t *testing.T) {
	t.Parallel()
	want := []sallyport.OTPToken{
		{Serial: "FT-1", Kind: sallyport.TOTP, Algorithm: sallyport.SHA1, Digits: 6, Period: time.Minute, Seed: sallyport.Key(rfcSecret)},
		{Serial: "FT-2", Kind: sallyport.HOTP, Algorithm: sallyport.SHA1, Digits: 8, Next: 17, Seed: sallyport.Key(rfcSecret)},
		{Serial: "FT-3", Kind: sallyport.TOTP, Algorithm: sallyport.SHA1, Digits: 7, Period: 30 * time.Second, Seed: sallyport.Key("0123456789012345678901234567890123456")},
	}
	for i := range want {
		want[i].Maker, want[i].State = "Acme", sallyport.OTPTokenActive
	}
	for name, c := range map[string]struct {
		args   []string
		unlock Unlock
	}{
		"plain":        {nil, Unlock{}},
		"AES-128":      {[]string{"-s", "12345678901234567890123456789012"}, Unlock{Key: rfcKey(t)}},
		"a passphrase": {[]string{"-p", string(rfcPassphrase)}, Unlock{Passphrase: rfcPassphrase}},
	} {
		file := madeByCSV2PSKC(t, c.args...)
		got, err := read(file, c.unlock)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v\n%s", name, got, err, file)
		}
		if len(c.args) == 0 {
			continue
		}
		_, err = read(file, Unlock{})
		wantError(t, name+", not unlocked", err, sallyport.CodeDenied, "Give")
		_, err = read(file, Unlock{Key: make(sallyport.Key, len(c.unlock.Key)), Passphrase: "qwertz"})
		if sallyport.ErrorCode(err) == "" {
			t.Errorf("%s: unlocked with another key", name)
		}
	}
}

var shownField = regexp.MustCompile(`(?m)^\s*(SerialNo|Manufacturer|Algorithm|Key Secret \(base64\)|Key Counter|Key TimeInterval|Response Format Length): (.*)$`)

// pskctool (OATH Toolkit) reads in plain files what we read in them, and oathtool shows the same code.
func TestPSKCToolReadsTheSame(t *testing.T) {
	t.Parallel()
	made := filepath.Join(t.TempDir(), "made.xml")
	if out, err := exec.CommandContext(t.Context(), "csv2pskc", "-e", "hex", "-o", made, writeCSV(t)).CombinedOutput(); err != nil {
		t.Fatalf("csv2pskc: %v: %s", err, out)
	}
	for _, name := range []string{"testdata/rfc6030-figure3.xml", made} {
		out, err := exec.CommandContext(t.Context(), "pskctool", "--info", name).Output()
		if err != nil {
			t.Fatalf("pskctool: %v (test/install.sh installs it)", err)
		}
		var shown []map[string]string
		for _, m := range shownField.FindAllStringSubmatch(string(out), -1) {
			if m[1] == "Manufacturer" {
				shown = append(shown, map[string]string{})
			}
			shown[len(shown)-1][m[1]] = m[2]
		}
		tokens, err := read(readFile(t, name), Unlock{})
		if err != nil || len(tokens) != len(shown) || len(tokens) == 0 {
			t.Fatalf("%s: %d tokens, pskctool shows %d, %v", name, len(tokens), len(shown), err)
		}
		for i, k := range tokens {
			s := shown[i]
			counter, interval := s["Key Counter"], s["Key TimeInterval"]
			if s["SerialNo"] != k.Serial || s["Manufacturer"] != k.Maker || !strings.HasSuffix(s["Algorithm"], string(k.Kind)) || s["Response Format Length"] != strconv.Itoa(k.Digits) ||
				s["Key Secret (base64)"] != base64.StdEncoding.EncodeToString(k.Seed) || k.Kind == sallyport.HOTP && counter != strconv.FormatInt(k.Next, 10) ||
				k.Kind == sallyport.TOTP && interval != strconv.Itoa(int(k.Period.Seconds())) {
				t.Errorf("%s: we read %+v, pskctool shows %q", name, k, s)
			}
			oathtoolAgrees(t, k)
		}
	}
}

// oathtoolAgrees asks oathtool for the code of a token that was read.
func oathtoolAgrees(t *testing.T, k sallyport.OTPToken) {
	t.Helper()
	at := int64(29_000_000)
	args := []string{"-d", strconv.Itoa(k.Digits), "--totp=sha1", "-s", strconv.Itoa(int(k.Period.Seconds())) + "s", "-N", "@" + strconv.FormatInt(at*int64(k.Period.Seconds()), 10)}
	if k.Kind == sallyport.HOTP {
		at = k.Next
		args = []string{"-d", strconv.Itoa(k.Digits), "-c", strconv.FormatInt(at, 10)}
	}
	c := exec.CommandContext(t.Context(), "oathtool", append(args, "-b", "-")...)
	c.Stdin = strings.NewReader(base32Of(k.Seed))
	out, err := c.CombinedOutput()
	code, cerr := otp.Code(k, at)
	if err != nil || cerr != nil || strings.TrimSpace(string(out)) != string(code) {
		t.Errorf("%s at %d: oathtool shows %s, we %s; %v, %v", k.Serial, at, strings.TrimSpace(string(out)), string(code), err, cerr)
	}
}

func base32Of(seed sallyport.Key) string { return base32.StdEncoding.EncodeToString(seed) }

func writeCSV(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "tokens.csv")
	if err := os.WriteFile(name, []byte(tokensCSV), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
