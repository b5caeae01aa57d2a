package sallyport

import (
	"net/netip"
	"time"
)

// Integration is a gateway as configured: where its RADIUS requests come from, the
// shared secret, the pages that may carry the overlay, and what it is told of its users.
type Integration struct {
	ID       IntegrationID
	Kind     string // "f5-big-ip"
	Nickname string
	Note     string
	// Clients are the source addresses of the gateway's RADIUS requests; the longest
	// prefix over all integrations wins.
	Clients []netip.Prefix
	// Hosts are the gateway's names in DNS, in lower case: the addresses that they have at
	// the time are clients too.
	Hosts []string
	// TLS is how the gateway is known when it asks over TLS; its zero value: it does not.
	TLS RADIUSTLS
	// Secret is shared with the gateway (RFC 2865 section 3).
	Secret Secret
	// PreviousSecret, while the secret is being changed, is taken as well until PreviousUntil.
	PreviousSecret Secret
	PreviousUntil  time.Time
	// MessageAuthenticator says whether requests without attribute 80 (RFC 3579 section 3.2)
	// are refused, against CVE-2024-3596.
	MessageAuthenticator MessageAuthenticator
	// MessageAuthenticatorSeen is when the gateway first sent it, under MessageAuthenticatorOnceSeen.
	MessageAuthenticatorSeen time.Time
	// Origins are the page origins ("https://vpn.example.org") from which a sealed
	// password is accepted.
	Origins []string
	// AllowNonLicensed lets users without a licence for remote access, and accounts that are not in the
	// list of users, in on the directory's word alone; else they are refused.
	AllowNonLicensed bool
	// Attributes are returned to the gateway in Access-Accept, in this order.
	Attributes []GroupAttribute
	// Language, one of Languages, is that of pages and messages when the browser names none that there is; empty:
	// the enterprise's, else English.
	Language string
	// Experience is how users log in; empty: ExperienceCloud.
	Experience Experience
	// PasswordEncoding is how the gateway writes names and passwords; empty: PasswordUTF8.
	PasswordEncoding PasswordEncoding
	// PasscodeSeparator is what may stand between a password and a passcode, or the word "push", that are
	// typed into one field; empty: they are not told apart. ExperienceCloud has no use for it.
	PasscodeSeparator string
	// AskMethod has users who have several second factors choose one before a phone is asked, where the
	// whole login is in RADIUS.
	AskMethod bool
	Version   int64
}

// RADIUSTLS is how a gateway is known that asks over TLS (RFC 6614): by one of its certificates, or by one of an
// authority's that is for one of the names.
type RADIUSTLS struct {
	// Fingerprints are the SHA-256 of certificates, 64 hexadecimal digits in lower case.
	Fingerprints []string `json:"fingerprints,omitempty"`
	// Authority holds certificates in PEM; it needs Names.
	Authority string `json:"authority,omitempty"`
	// Names are DNS names or addresses that the gateway's certificate is for (subjectAltName).
	Names []string `json:"names,omitempty"`
}

// Allowed reports whether a gateway may ask over TLS at all.
func (t RADIUSTLS) Allowed() bool { return len(t.Fingerprints) > 0 || t.Authority != "" }

// Experience is how users log in at a gateway.
type Experience string

const (
	// ExperienceCloud: in the overlay. What comes by RADIUS is a gateway token, or a passcode typed into the
	// gateway's own form; the gateway has checked the password by itself.
	ExperienceCloud Experience = "cloud"
	// ExperienceLegacy: in RADIUS as a whole. What comes is the password.
	ExperienceLegacy Experience = "legacy"
	// ExperienceBoth: a gateway token is taken as such, anything else for the password. A passcode alone is
	// not enough: nothing says that the gateway has checked the password.
	ExperienceBoth Experience = "both"
)

// PasswordEncoding is how text is written in User-Name and User-Password.
type PasswordEncoding string

const (
	PasswordUTF8        PasswordEncoding = "utf-8"
	PasswordWindows1252 PasswordEncoding = "windows-1252"
)

// MessageAuthenticator says when a gateway's requests must carry Message-Authenticator. One that is
// there is always checked.
type MessageAuthenticator string

const (
	MessageAuthenticatorAlways MessageAuthenticator = "always"
	MessageAuthenticatorNever  MessageAuthenticator = "never"
	// MessageAuthenticatorOnceSeen: as soon as the gateway has sent it once.
	MessageAuthenticatorOnceSeen MessageAuthenticator = "once_seen"
)

// GroupAttribute is a RADIUS attribute that the members of a group have in Access-Accept.
type GroupAttribute struct {
	Group     string        `json:"group,omitempty"`  // DN; empty: everybody
	Vendor    uint32        `json:"vendor,omitempty"` // enterprise number; 0: a standard attribute
	Attribute uint8         `json:"attribute"`
	Name      string        `json:"name,omitempty"` // for people
	Type      AttributeType `json:"type"`
	Values    []string      `json:"values"`
}

// AttributeType is how the value of a RADIUS attribute is written and sent (RFC 8044 section 3).
type AttributeType string

const (
	AttributeText    AttributeType = "text"     // UTF-8
	AttributeInteger AttributeType = "integer"  // 32 bits, decimal or 0x…
	AttributeIPv4    AttributeType = "ipaddr"   // 192.0.2.1
	AttributeIPv6    AttributeType = "ipv6addr" // 2001:db8::1
	AttributeOctets  AttributeType = "octets"   // hexadecimal
)
