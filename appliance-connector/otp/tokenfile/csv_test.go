package tokenfile

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
)

// seal encrypts a value as the example of RFC 6030 figure 6 does, under its keys.
func seal(t *testing.T, value []byte) (box, mac string) {
	t.Helper()
	block, err := aes.NewCipher(rfcKey(t))
	if err != nil {
		t.Fatal(err)
	}
	padding := aes.BlockSize - len(value)%aes.BlockSize
	text := append(append([]byte{}, value...), make([]byte, padding)...)
	text[len(text)-1] = byte(padding)
	out := make([]byte, aes.BlockSize+len(text))
	cipher.NewCBCEncrypter(block, out[:aes.BlockSize]).CryptBlocks(out[aes.BlockSize:], text)
	key, err := hex.DecodeString("1122334455667788990011223344556677889900")
	if err != nil {
		t.Fatal(err)
	}
	m := hmac.New(sha1.New, key)
	m.Write(out)
	return base64.StdEncoding.EncodeToString(out), base64.StdEncoding.EncodeToString(m.Sum(nil))
}

const (
	inHex    = "3132333435363738393031323334353637383930"
	inBase32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
)

func TestCSVInAllItsForms(t *testing.T) {
	totp := sallyport.OTPToken{Serial: "A-1", Kind: sallyport.TOTP, Algorithm: sallyport.SHA1, Digits: 6, Period: 30 * time.Second,
		Seed: sallyport.Key(rfcSecret), State: sallyport.OTPTokenActive}
	hotp := totp
	hotp.Serial, hotp.Kind, hotp.Period, hotp.Digits, hotp.Next = "B-2", sallyport.HOTP, 0, 8, 17
	other := totp
	other.Serial, other.Digits, other.Period, other.Algorithm = "C-3", 8, time.Minute, sallyport.SHA512
	for name, c := range map[string]struct {
		file string
		want []sallyport.OTPToken
	}{
		"two columns":     {"A-1," + inHex, []sallyport.OTPToken{totp}},
		"base32":          {"A-1," + inBase32 + "\r\n", []sallyport.OTPToken{totp}},
		"grouped":         {"A-1, gezd gnbv gy3t qojq gezd gnbv gy3t qojq ", []sallyport.OTPToken{totp}},
		"hex with groups": {"A-1,0x" + strings.ToUpper(inHex[:20]) + ":" + inHex[20:], []sallyport.OTPToken{totp}},
		"all columns": {"A-1," + inHex + ",totp,6,30,0,sha1\nB-2," + inHex + ",HOTP,8,30,17,\nC-3," + inHex + ",time,8,60,,HMAC-SHA512\n",
			[]sallyport.OTPToken{totp, hotp, other}},
		"semicolons":   {"# a comment\n\nA-1;" + inHex + "\nB-2;" + inHex + ";event;8;;17\n", []sallyport.OTPToken{totp, hotp}},
		"tabs":         {"A-1\t" + inHex, []sallyport.OTPToken{totp}},
		"with a mark":  {"\ufeffserial,secret\nA-1," + inHex, []sallyport.OTPToken{totp}},
		"headings":     {"Owner,Time Step,SEED,Serial Number,Digits,algorithm\nme,60," + inHex + ",C-3,8,SHA-512\n", []sallyport.OTPToken{other}},
		"quoted":       {"\"A-1\",\"" + inHex + "\"", []sallyport.OTPToken{totp}},
		"said":         {"A-1,hex:" + inHex + "\nC-3,BASE32:" + inBase32 + ",,8,60,,sha512", []sallyport.OTPToken{totp, other}},
		"padded":       {"A-1," + inBase32 + "====", []sallyport.OTPToken{totp}},
		"spaces about": {" A-1 , " + inHex + " ", []sallyport.OTPToken{totp}},
	} {
		got, err := read(c.file, Unlock{})
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestCSVThatIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		file, words string
	}{
		"empty":              {" \n", "empty"},
		"only headings":      {"serial,secret\n", "no OTP token"},
		"a spreadsheet":      {"PK\x03\x04\x00\x00", "save it as CSV"},
		"one column":         {"A-1," + inHex + "\nB-2\n", "Line 2: A line has"},
		"many columns":       {"A-1," + inHex + ",totp,6,30,0,sha1,x", "Line 1: A line has"},
		"a quotation mark":   {"A-1," + inHex + "\nB-2,\"" + inHex + "\n", "Line 2: A quotation mark"},
		"type":               {"A-1," + inHex + ",ocra", "Line 1: The type"},
		"digits":             {"A-1," + inHex + ",totp,5", "6 to 8 digits"},
		"digits in words":    {"A-1," + inHex + ",totp,six", "whole numbers"},
		"a wide number":      {"A-1," + inHex + ",hotp,6,,99999999999999999999", "whole numbers"},
		"a negative one":     {"A-1," + inHex + ",hotp,6,,-1", "whole numbers"},
		"counter":            {"A-1," + inHex + ",hotp,6,,9223372036854775807", "counter is out of bounds"},
		"algorithm":          {"A-1," + inHex + ",totp,6,30,0,md5", "algorithm"},
		"no secret":          {"A-1,\nB-2," + inHex, "10 to 64 octets"},
		"short secret":       {"A-1,313233343536", "10 to 64 octets"},
		"odd hex":            {"B-2," + inHex + "\nA-1," + inHex[1:], "Line 2: The secret is neither"},
		"base32 among hex":   {"A-1," + inHex + "\nB-2," + inHex + "\nC-3," + inBase32, "Line 3: The secret is neither"},
		"could be either":    {"A-1,ABCDEF234567ABCDEF23", `Write "hex:" or "base32:"`},
		"the same twice":     {"A-1," + inHex + "\na-1," + inHex, "Line 2: The same serial number stands at line 1"},
		"a serial in it":     {"A 1," + inHex, "Line 1: The serial number"},
		"secret put first":   {inBase32 + "," + inHex + ",ocra", "Line 1: The type"},
		"secret for counter": {"A-1," + inHex + ",hotp,6,," + inHex, "whole numbers"},
	} {
		_, err := read(c.file, Unlock{})
		wantError(t, name, err, sallyport.CodeInvalid, c.words)
		for _, secret := range []string{inHex, inBase32, strings.ToLower(inBase32)} {
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error shows a secret", name)
			}
		}
	}
	// With headings it is sure which column is the serial number.
	_, err := read("serial,secret,type\nA-1,"+inHex+",ocra", Unlock{})
	wantError(t, "with headings", err, sallyport.CodeInvalid, `Line 2, token "A-1": The type`)
}

func TestAllMistakesAreTold(t *testing.T) {
	var file strings.Builder
	for n := range 150 {
		fmt.Fprintf(&file, "T-%d,%s,ocra\n", n, inHex)
	}
	_, err := read(file.String(), Unlock{})
	wantError(t, "150 mistakes", err, sallyport.CodeInvalid, "there are 150 mistakes")
	var told *Problems
	if !errors.As(err, &told) || len(told.List) != mostProblems || told.More != 50 || told.List[99].Line != 100 {
		t.Errorf("told: %+v", told)
	}
}

func TestFilesThatAreTooLong(t *testing.T) {
	_, err := read(strings.Repeat("#", MaxFile+1), Unlock{})
	wantError(t, "octets", err, sallyport.CodeInvalid, "16 MiB")
	var table, container strings.Builder
	const pack = `<KeyPackage><Key Id="T-1" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp"><Data><Secret><PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</PlainValue></Secret></Data></Key></KeyPackage>`
	container.WriteString(hard[:strings.Index(hard, "<KeyPackage")])
	for n := range sallyport.OTPImportMost + 1 {
		fmt.Fprintf(&table, "T-%d,%s\n", n, inHex)
		container.WriteString(strings.Replace(pack, "T-1", fmt.Sprint("T-", n), 1))
	}
	container.WriteString("</KeyContainer>")
	for name, file := range map[string]string{"CSV": table.String(), "PSKC": container.String()} {
		_, err := read(file, Unlock{})
		wantError(t, name, err, sallyport.CodeInvalid, "more than 10000 tokens")
	}
	got, err := read(table.String()[:strings.LastIndex(table.String(), "T-")], Unlock{})
	if err != nil || len(got) != sallyport.OTPImportMost {
		t.Errorf("as many as may be: %d, %v", len(got), err)
	}
}
