package radiusattr

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
)

// Bounds of what one integration may set.
const (
	maxAttributes = 64
	maxValues     = 32
	maxGroup      = 1024 // octets of a DN
	// MaxOctets is what all attributes together take at most, should somebody be in all groups. With
	// the rest of an Access-Accept it stays below the 4,096 octets that a packet has.
	MaxOctets = 3072
)

// Check returns nil when every attribute may be set and every value can be sent, and else an error with
// the code invalid and words that name the attribute.
func Check(list []sallyport.GroupAttribute) error {
	_, err := Compile(list)
	return err
}

func checkOne(a sallyport.GroupAttribute) error {
	def, known := Standard().Find(a.Vendor, a.Attribute)
	if why := Forbidden(a.Vendor, a.Attribute); why != "" {
		return fmt.Errorf("%s", why)
	}
	switch {
	case len(a.Group) > maxGroup || !utf8.ValidString(a.Group):
		return fmt.Errorf("the group's DN is too long, or not UTF-8")
	case a.Group != "" && foldDN(a.Group) == "":
		return fmt.Errorf("%q is not the DN of a group: write it like CN=VPN users,OU=Groups,DC=hospital,DC=example", a.Group)
	case len(a.Name) > maxWord || !utf8.ValidString(a.Name):
		return fmt.Errorf("the name is too long, or not UTF-8")
	case known && a.Type != def.Type && a.Type != sallyport.AttributeOctets && !textFor(def, a):
		return fmt.Errorf("its type is %s, not %s", def.Type, a.Type)
	case len(a.Values) == 0 || len(a.Values) > maxValues:
		return fmt.Errorf("it needs 1 to %d values", maxValues)
	case def.Single && len(a.Values) > 1:
		return fmt.Errorf("it may have one value only")
	}
	return nil
}

// textFor: octets that people mostly fill with text, as Class, may be written as text.
func textFor(def Definition, a sallyport.GroupAttribute) bool {
	return def.Type == sallyport.AttributeOctets && a.Type == sallyport.AttributeText
}

// Reasons why an attribute must not be set.
const (
	whyIdentity   = "the gateway would take the user for somebody else"
	whySecret     = "it carries a password or a key"
	whyProtocol   = "it belongs to the RADIUS exchange itself, and a made-up one would break it"
	whyRequest    = "the gateway sends it and takes none"
	whyAccounting = "it belongs to accounting"
	whyForm       = "its form is another one than attributes of one number have"
)

// Forbidden says why an attribute must not be set, or "".
func Forbidden(vendor uint32, attribute uint8) string {
	if def, known := Standard().Find(vendor, attribute); known && def.Encrypted {
		return whySecret
	}
	switch vendor {
	case 0:
		return forbiddenStandard(attribute)
	case 9: // Cisco
		if attribute == 249 {
			return whySecret
		}
	case 311: // Microsoft, RFC 2548: MS-CHAP and its keys
		if slices.Contains([]uint8{1, 3, 4, 5, 6, 11, 12, 16, 17, 19, 20, 25, 27}, attribute) {
			return whySecret
		}
		if slices.Contains([]uint8{2, 10, 26}, attribute) {
			return whyProtocol
		}
	case 429, 4846, 8164, 24757: // USR, Lucent, Starent, WiMAX: longer numbers, or continued
		return whyForm
	}
	switch {
	case attribute == 0:
		return "0 is no attribute"
	case vendor > 1<<24-1:
		return "a vendor's number is 1 to 16777215"
	}
	return ""
}

func forbiddenStandard(attribute uint8) string {
	switch attribute {
	case 0:
		return "0 is no attribute"
	case 1: // User-Name
		return whyIdentity
	case 2, 3, 69, 70, 73, 74, 84, 102: // User-Password, CHAP-Password, Tunnel-Password, ARAP-…, EAP-Key-Name
		return whySecret
	case 17, 21, 24, 33, 60, 75, 76, 79, 80, 101: // State, Proxy-State, CHAP-Challenge, EAP-Message, Message-Authenticator, …
		return whyProtocol
	case 26: // Vendor-Specific
		return "give the vendor's number and the number that the attribute has there instead"
	case 4, 5, 30, 31, 32, 61, 77, 87, 95: // NAS-…, Called-Station-Id, …
		return whyRequest
	case 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 55, 68, 86:
		return whyAccounting
	}
	switch {
	case attribute >= 103 && attribute <= 122: // Digest-… (RFC 5090)
		return whyProtocol
	case attribute >= 192: // experimental, implementation-specific, and extended (RFC 6929)
		return whyForm
	}
	return ""
}

// nameOf names an attribute to people.
func nameOf(a sallyport.GroupAttribute) string {
	if def, known := Standard().Find(a.Vendor, a.Attribute); known {
		return def.Name
	}
	if a.Vendor != 0 {
		return fmt.Sprintf("attribute %d of vendor %d", a.Attribute, a.Vendor)
	}
	return fmt.Sprintf("attribute %d", a.Attribute)
}
