package radiusattr

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
)

const (
	vpnUsers = "CN=VPN users,OU=Groups,DC=hospital,DC=example"
	doctors  = "CN=Doctors,OU=Groups,DC=hospital,DC=example"
)

func TestTheDictionaryInTheProgramIsWhole(t *testing.T) {
	d, err := Parse(strings.NewReader(dictionaryText))
	if err != nil {
		t.Fatal(err)
	}
	all := d.All()
	if len(all) < 150 {
		t.Errorf("only %d attributes", len(all))
	}
	for i := 1; i < len(all); i++ {
		if compareNumbers(number{all[i-1].Vendor, all[i-1].Attribute}, number{all[i].Vendor, all[i].Attribute}) >= 0 {
			t.Errorf("%s stands before %s", all[i-1].Name, all[i].Name)
		}
	}
	for name, want := range map[string]Definition{
		"session-timeout":       {0, "", 27, "Session-Timeout", sallyport.AttributeInteger, true, false, false, nil},
		"F5-LTM-User-Info-1":    {3375, "F5", 12, "F5-LTM-User-Info-1", sallyport.AttributeText, false, false, false, nil},
		"MS-Primary-DNS-Server": {311, "Microsoft", 28, "MS-Primary-DNS-Server", sallyport.AttributeIPv4, true, false, false, nil},
		"Cisco-AVPair":          {9, "Cisco", 1, "Cisco-AVPair", sallyport.AttributeText, false, false, false, nil},
		"Citrix-User-Groups":    {3845, "Citrix", 1, "Citrix-User-Groups", sallyport.AttributeText, false, false, false, nil},
	} {
		got, found := d.ByName(name)
		if !found || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		if same, _ := d.Find(want.Vendor, want.Attribute); same.Name != want.Name {
			t.Errorf("%s is not found by its numbers", name)
		}
	}
}

func TestADictionaryThatIsNoneIsRefusedWithItsLine(t *testing.T) {
	for text, want := range map[string]string{
		"\nATTRIBUTE x 1":                                 "line 2",
		"ATTRIBUTE x 256 string":                          "1 to 255",
		"ATTRIBUTE x 0 string":                            "1 to 255",
		"ATTRIBUTE x 1 tlv":                               "type",
		"ATTRIBUTE x 1 string array":                      "flag",
		"ATTRIBUTE x 1 string\nATTRIBUTE y 1 string":      "twice",
		"ATTRIBUTE x 1 string\nATTRIBUTE X 2 string":      "twice",
		"$INCLUDE /etc/passwd":                            "$INCLUDE",
		"VENDOR v 0":                                      "vendor's number",
		"VENDOR v 16777216":                               "vendor's number",
		"VENDOR v 1\nVENDOR v 2":                          "twice",
		"BEGIN-VENDOR v":                                  "unknown vendor",
		"VENDOR v 1\nBEGIN-VENDOR v":                      "not ended",
		"END-VENDOR v":                                    "not begun",
		"VALUE x y 1":                                     "integer attribute",
		"ATTRIBUTE x 1 string\nVALUE x y 1":               "integer attribute",
		"ATTRIBUTE x 1 integer\nVALUE x y 4294967296":     "32 bits",
		"ATTRIBUTE x 1 integer\nVALUE x 7 1":              "must not be a number",
		"ATTRIBUTE x 1 integer\nVALUE x y 1\nVALUE x Y 2": "twice",
		"# " + strings.Repeat("x", 600):                   "too long",
		strings.Repeat("x", 65):                           "too long",
	} {
		if _, err := Parse(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
	var big strings.Builder
	for n := range maxDefinitions + 1 {
		fmt.Fprintf(&big, "VENDOR v%d %d\n", n, n+1)
	}
	if _, err := Parse(strings.NewReader(big.String())); err == nil {
		t.Error("a dictionary without end is taken")
	}
}

func TestValuesAreSentAsTheRFCsSay(t *testing.T) {
	for _, c := range []struct {
		a    sallyport.GroupAttribute
		text string
		want string // hexadecimal; empty: refused
	}{
		{attr(0, 25, "text"), "VPN", "190556504e"},
		{attr(0, 25, "octets"), "0x00ff", "190400ff"},
		{attr(0, 25, "octets"), "0x00f", ""},
		{attr(0, 11, "text"), strings.Repeat("a", 253), "0bff" + strings.Repeat("61", 253)},
		{attr(0, 11, "text"), strings.Repeat("a", 254), ""},
		{attr(0, 11, "text"), "", ""},
		{attr(0, 11, "text"), "a\nb", ""},
		{attr(0, 11, "text"), "\xff", ""},
		{attr(0, 11, "text"), "Ärzte", "0b08c384727a7465"},
		{attr(0, 27, "integer"), "3600", "1b0600000e10"},
		{attr(0, 27, "integer"), "0xE10", "1b0600000e10"},
		{attr(0, 27, "integer"), "4294967295", "1b06ffffffff"},
		{attr(0, 27, "integer"), "4294967296", ""},
		{attr(0, 27, "integer"), "-1", ""},
		{attr(0, 27, "integer"), "an hour", ""},
		{attr(0, 6, "integer"), "administrative-user", "060600000006"},
		{attr(0, 64, "integer"), "VLAN", "40060000000d"},
		{attr(0, 64, "integer"), "16777216", ""},
		{attr(0, 8, "ipaddr"), "192.0.2.1", "0806c0000201"},
		{attr(0, 8, "ipaddr"), "192.0.2.01", ""},
		{attr(0, 8, "ipaddr"), "2001:db8::1", ""},
		{attr(0, 168, "ipv6addr"), "2001:db8::1", "a81220010db8000000000000000000000001"},
		{attr(0, 168, "ipv6addr"), "fe80::1%eth0", ""},
		{attr(3375, 1, "integer"), "Guest", "1a0c00000d2f0106000002bc"},
		{attr(3375, 12, "text"), "x", "1a0900000d2f0c0378"},
		{attr(3375, 12, "text"), strings.Repeat("a", 247), "1aff00000d2f0cf9" + strings.Repeat("61", 247)},
		{attr(3375, 12, "text"), strings.Repeat("a", 248), ""},
		{attr(99999, 200, "text"), "x", "1a090001869fc80378"},
	} {
		c.a.Values = []string{c.text}
		s, err := Compile([]sallyport.GroupAttribute{c.a})
		switch {
		case c.want == "" && (err == nil || sallyport.ErrorCode(err) != sallyport.CodeInvalid):
			t.Errorf("%d/%d %.30q: taken, or %v", c.a.Vendor, c.a.Attribute, c.text, err)
		case c.want != "" && err != nil:
			t.Errorf("%d/%d %.30q: %v", c.a.Vendor, c.a.Attribute, c.text, err)
		case c.want != "" && hex.EncodeToString(s.Everybody()) != c.want:
			t.Errorf("%d/%d %.30q: %x, want %s", c.a.Vendor, c.a.Attribute, c.text, s.Everybody(), c.want)
		}
	}
}

func TestDangerousAttributesAreRefusedWithTheReason(t *testing.T) {
	for at, want := range map[number]string{
		{0, 1}: whyIdentity, {0, 2}: whySecret, {0, 3}: whySecret, {0, 69}: whySecret, {0, 24}: whyProtocol, {0, 33}: whyProtocol,
		{0, 79}: whyProtocol, {0, 80}: whyProtocol, {0, 60}: whyProtocol, {0, 26}: "vendor's number", {0, 4}: whyRequest,
		{0, 40}: whyAccounting, {0, 241}: whyForm, {311, 16}: whySecret, {311, 17}: whySecret, {311, 26}: whyProtocol,
		{9, 249}: whySecret, {24757, 1}: whyForm, {0, 0}: "no attribute", {3375, 0}: "no attribute", {1 << 24, 1}: "16777215",
	} {
		def, _ := Standard().Find(at.vendor, at.attribute)
		a := sallyport.GroupAttribute{Vendor: at.vendor, Attribute: at.attribute, Type: "octets", Values: []string{"00"}}
		err := Check([]sallyport.GroupAttribute{a})
		if err == nil || !strings.Contains(err.Error(), want) || def.Name != "" && !strings.Contains(err.Error(), def.Name) {
			t.Errorf("%v: %v, want %q", at, err, want)
		}
	}
	for _, def := range Standard().All() {
		if def.Encrypted && Forbidden(def.Vendor, def.Attribute) == "" {
			t.Errorf("%s may be set", def.Name)
		}
	}
}

func TestWhatCannotBeRightIsRefused(t *testing.T) {
	for name, list := range map[string][]sallyport.GroupAttribute{
		"no value":            {{Attribute: 25, Type: "text"}},
		"two of a single one": {{Attribute: 27, Type: "integer", Values: []string{"1", "2"}}},
		"another type":        {{Attribute: 27, Type: "text", Values: []string{"1"}}},
		"no type":             {{Vendor: 99999, Attribute: 1, Values: []string{"1"}}},
		"no DN":               {{Group: "VPN users", Attribute: 25, Type: "text", Values: []string{"x"}}},
		"long DN":             {{Group: "CN=" + strings.Repeat("x", 1100), Attribute: 25, Type: "text", Values: []string{"x"}}},
		"many values":         {{Attribute: 25, Type: "text", Values: make([]string, 33)}},
		"many attributes":     make([]sallyport.GroupAttribute, 65),
		"too much of it":      {{Attribute: 25, Type: "text", Values: many(13, 250)}},
	} {
		if err := Check(list); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Check([]sallyport.GroupAttribute{{Attribute: 25, Type: "text", Values: many(12, 250)}}); err != nil {
		t.Errorf("12 values of 250 octets: %v", err)
	}
}

func TestUsersHaveTheUnionOfTheirGroupsInTheIntegrationsOrder(t *testing.T) {
	in := sallyport.Integration{Attributes: []sallyport.GroupAttribute{
		{Group: doctors, Attribute: 25, Type: "text", Values: []string{"doctor", "staff"}},
		{Group: vpnUsers, Attribute: 25, Type: "text", Values: []string{"staff", "vpn"}},
		{Group: doctors, Attribute: 27, Type: "integer", Values: []string{"7200"}},
		{Attribute: 27, Type: "integer", Values: []string{"3600"}},
		{Group: vpnUsers, Vendor: 3375, Attribute: 12, Type: "text", Values: []string{"a"}},
	}}
	for _, c := range []struct {
		groups []string
		want   string
	}{
		{nil, "Session-Timeout=3600"},
		{[]string{"CN=Others,DC=hospital,DC=example"}, "Session-Timeout=3600"},
		{[]string{doctors}, "Class=doctor Class=staff Session-Timeout=7200"},
		{[]string{vpnUsers, doctors}, "Class=doctor Class=staff Class=vpn Session-Timeout=7200 F5-LTM-User-Info-1=a"},
		{[]string{strings.ToUpper(doctors), "cn = vpn users , ou=groups,dc=hospital,dc=example", doctors}, "Class=doctor Class=staff Class=vpn Session-Timeout=7200 F5-LTM-User-Info-1=a"},
	} {
		list, err := Preview(in, c.groups)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range list {
			got = append(got, a.Name+"="+a.Value)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v: %v, want %s", c.groups, got, c.want)
		}
	}
	var none *Set
	if none.AsksGroups() || none.Everybody() != nil || none.For([]string{doctors}) != nil {
		t.Error("an integration without attributes has some")
	}
}

func TestDNsAreTheSameHoweverTheyAreWritten(t *testing.T) {
	for _, same := range [][2]string{
		{"CN=Doe\\, Jane,DC=x", "cn=doe\\2c jane,dc=X"}, {"CN=Doe\\, Jane,DC=x", `CN = Doe\2C Jane , DC = x`},
		{"CN=Ärzte,DC=x", `CN=\C3\84rzte,DC=x`}, {"CN=a=b,DC=x", `CN=a\=b,DC=x`}, {`CN=a\ ,DC=x`, `CN=a\20,DC=x`},
	} {
		if a, b := foldDN(same[0]), foldDN(same[1]); a == "" || a != b {
			t.Errorf("%q and %q: %q and %q", same[0], same[1], a, b)
		}
	}
	for _, different := range [][2]string{
		{"CN=a,CN=b,DC=x", `CN=a\,CN=b,DC=x`}, {`CN=a\ ,DC=x`, "CN=a,DC=x"}, {`CN=a\\,DC=x`, `CN=a,DC=x`}, {"CN=a,DC=x", "OU=a,DC=x"},
	} {
		if a, b := foldDN(different[0]), foldDN(different[1]); a == "" || b == "" || a == b {
			t.Errorf("%q and %q: %q and %q", different[0], different[1], a, b)
		}
	}
	for _, none := range []string{"", "a", "=a", "CN=", `CN=a\`, "CN=a,", `CN=\ff`, "CN=a,b"} {
		if got := foldDN(none); got != "" {
			t.Errorf("%q is a DN: %q", none, got)
		}
	}
}

// A spelling that foldDN made is a DN that it leaves alone.
func FuzzFoldDN(f *testing.F) {
	for _, dn := range []string{doctors, `CN=Doe\, Jane,DC=x`, `CN=\C3\84 \20,DC=x`, `cn=a\\,b=c\=d`} {
		f.Add(dn)
	}
	f.Fuzz(func(t *testing.T, dn string) {
		once := foldDN(dn)
		if again := foldDN(once); once != "" && again == "" {
			t.Errorf("%q: %q, then %q", dn, once, again)
		}
	})
}

func FuzzParseDictionary(f *testing.F) {
	f.Add(dictionaryText)
	f.Add("VENDOR v 1\nBEGIN-VENDOR v\nATTRIBUTE x 1 integer single,has_tag # note\nVALUE x y 0x10\nEND-VENDOR v")
	f.Add("$INCLUDE x")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		all := d.All()
		if len(all) > maxDefinitions {
			t.Fatalf("%d definitions", len(all))
		}
		for _, def := range all {
			same, found := d.ByName(def.Name)
			if !found || same.Attribute != def.Attribute || same.Vendor != def.Vendor || def.Attribute == 0 || len(def.Name) > maxWord {
				t.Fatalf("%+v", def)
			}
		}
	})
}

// Whatever value is taken is one whole attribute of at most 255 octets.
func FuzzValue(f *testing.F) {
	for _, typ := range []string{"text", "integer", "ipaddr", "ipv6addr", "octets", ""} {
		f.Add(uint32(0), byte(25), typ, "0x10")
		f.Add(uint32(3375), byte(1), typ, "Guest")
		f.Add(uint32(0), byte(64), typ, "16777215")
		f.Add(uint32(0), byte(8), typ, "192.0.2.1")
	}
	f.Fuzz(func(t *testing.T, vendor uint32, n byte, typ, text string) {
		a := sallyport.GroupAttribute{Vendor: vendor, Attribute: n, Type: sallyport.AttributeType(typ), Values: []string{text}}
		s, err := Compile([]sallyport.GroupAttribute{a})
		if err != nil {
			return
		}
		b := s.Everybody()
		at := b
		if vendor != 0 {
			if b[0] != vendorSpecific || len(b) < 9 {
				t.Fatalf("%x", b)
			}
			at = b[6:]
		}
		if len(b) > 255 || int(b[1]) != len(b) || at[0] != n || int(at[1]) != len(at) || len(at) < 3 || Forbidden(vendor, n) != "" {
			t.Fatalf("%x", b)
		}
	})
}

func attr(vendor uint32, n uint8, typ sallyport.AttributeType) sallyport.GroupAttribute {
	return sallyport.GroupAttribute{Vendor: vendor, Attribute: n, Type: typ}
}

func many(n, octets int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("%0*d", octets, i))
	}
	return out
}
