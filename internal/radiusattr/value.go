package radiusattr

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
)

// What an attribute holds at most, in octets (RFC 2865 sections 5 and 5.26).
const (
	maxValue       = 253
	maxVendorValue = maxValue - 6
	vendorSpecific = 26
)

// encode appends the attribute with one value as it is sent. Errors are words for people.
func encode(out []byte, a sallyport.GroupAttribute, text string) ([]byte, error) {
	most := maxValue
	if a.Vendor != 0 {
		most = maxVendorValue
	}
	def, _ := Standard().Find(a.Vendor, a.Attribute)
	value, err := parseValue(a.Type, def, text)
	switch {
	case err != nil:
		return out, err
	case len(value) == 0:
		return out, fmt.Errorf("the value is empty")
	case len(value) > most:
		return out, fmt.Errorf("the value has %d octets; %d fit", len(value), most)
	}
	if a.Vendor != 0 {
		out = append(out, vendorSpecific, byte(2+6+len(value)))
		out = binary.BigEndian.AppendUint32(out, a.Vendor)
	}
	out = append(out, a.Attribute, byte(2+len(value)))
	return append(out, value...), nil
}

// parseValue reads a value as people write it.
func parseValue(typ sallyport.AttributeType, def Definition, text string) ([]byte, error) {
	if len(text) > 2*maxValue+2 {
		return nil, fmt.Errorf("the value is too long: %d octets fit", maxValue)
	}
	switch typ {
	case sallyport.AttributeText:
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return nil, fmt.Errorf("the value is not text: it has a control character, or is not UTF-8")
		}
		return []byte(text), nil
	case sallyport.AttributeInteger:
		return parseInteger(def, text)
	case sallyport.AttributeIPv4:
		a, err := netip.ParseAddr(text)
		if err != nil || !a.Is4() {
			return nil, fmt.Errorf("%q is not an IPv4 address: write it like 192.0.2.1", text)
		}
		return a.AsSlice(), nil
	case sallyport.AttributeIPv6:
		a, err := netip.ParseAddr(text)
		if err != nil || !a.Is6() || a.Zone() != "" {
			return nil, fmt.Errorf("%q is not an IPv6 address: write it like 2001:db8::1", text)
		}
		return a.AsSlice(), nil
	case sallyport.AttributeOctets:
		b, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
		if err != nil {
			return nil, fmt.Errorf("write octets in hexadecimal, two digits each: 0x01ff")
		}
		return b, nil
	}
	return nil, fmt.Errorf("the type %q is not known: use text, integer, ipaddr, ipv6addr or octets", typ)
}

func parseInteger(def Definition, text string) ([]byte, error) {
	n, err := uint64(0), error(nil)
	if name, found := named(def, text); found {
		n = uint64(name)
	} else if digits, isHex := strings.CutPrefix(text, "0x"); isHex {
		n, err = strconv.ParseUint(digits, 16, 32)
	} else {
		n, err = strconv.ParseUint(text, 10, 32)
	}
	switch {
	case err != nil && len(def.Values) > 0:
		return nil, fmt.Errorf("%q is neither a number of 32 bits nor a name that %s has", text, def.Name)
	case err != nil:
		return nil, fmt.Errorf("%q is not a number of 32 bits", text)
	case def.Tagged && n > 1<<24-1: // RFC 2868 section 3.1: the first octet is the tag
		return nil, fmt.Errorf("%d is too large: %s has room for 24 bits", n, def.Name)
	}
	return binary.BigEndian.AppendUint32(nil, uint32(n)), nil
}

func named(def Definition, text string) (uint32, bool) {
	for _, v := range def.Values {
		if strings.EqualFold(v.Name, text) {
			return v.Value, true
		}
	}
	return 0, false
}
