package sallyport

import (
	"encoding/hex"
	"strings"
)

// BelowDN reports whether the directory object dn is below ancestor, at whatever depth, or is it. Both
// are distinguished names (RFC 4514), compared as a directory does: without case, without the space
// around their parts, and whatever way their characters are escaped. An empty ancestor has nothing below it.
func BelowDN(dn, ancestor string) bool {
	parts, above := splitDN(dn), splitDN(ancestor)
	if len(above) == 0 || len(above) > len(parts) {
		return false
	}
	parts = parts[len(parts)-len(above):]
	for i := range above {
		if !strings.EqualFold(parts[i], above[i]) {
			return false
		}
	}
	return true
}

// SameDN reports whether two distinguished names are one, compared as by BelowDN.
func SameDN(a, b string) bool { return BelowDN(a, b) && BelowDN(b, a) }

// DomainOf returns whose DN it is: the domain, of those with these DNS names, that the entry belongs to; "" for
// none of them. A child domain's entry is the child's, not its parent's.
func DomainOf(dn string, names map[DomainID]string) (id DomainID) {
	longest := 0
	for d, name := range names {
		if len(name) > longest && BelowDN(dn, "DC="+strings.ReplaceAll(name, ".", ",DC=")) {
			id, longest = d, len(name)
		}
	}
	return id
}

// splitDN returns the parts of a name, each without escapes; a "," that was escaped stays in its part.
func splitDN(dn string) []string {
	var parts []string
	var b strings.Builder
	kept := 0 // octets of b that are no space to trim: they were escaped
	end := func() {
		s := b.String()
		parts = append(parts, trimPart(s[:kept]+strings.TrimRight(s[kept:], " ")))
		b.Reset()
		kept = 0
	}
	for i := 0; i < len(dn); i++ {
		switch c := dn[i]; {
		case c == ',':
			end()
		case c == '\\' && i+1 < len(dn):
			c, n := unescape(dn[i+1:])
			b.WriteByte(c)
			kept = b.Len()
			i += n
		default:
			b.WriteByte(c)
		}
	}
	if b.Len() > 0 || len(parts) > 0 {
		end()
	}
	return parts
}

// unescape reads what stands after a backslash: two hexadecimal digits, or the character itself.
func unescape(s string) (c byte, n int) {
	if len(s) >= 2 {
		if b, err := hex.DecodeString(s[:2]); err == nil {
			return b[0], 2
		}
	}
	return s[0], 1
}

// trimPart takes away space before the attribute's name and around the "=".
func trimPart(s string) string {
	name, value, found := strings.Cut(s, "=")
	if !found {
		return strings.TrimSpace(s)
	}
	return strings.TrimSpace(name) + "=" + strings.TrimLeft(value, " ")
}
