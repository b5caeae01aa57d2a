package sallyport

import "net/netip"

// Integration is a gateway as configured: where its RADIUS requests come from, the
// shared secret, and the pages that may carry the overlay.
type Integration struct {
	ID       IntegrationID
	Kind     string // "f5-big-ip"
	Nickname string
	// Clients are the source addresses of the gateway's RADIUS requests; the longest
	// prefix over all integrations wins.
	Clients []netip.Prefix
	// Secret is shared with the gateway (RFC 2865 section 3).
	Secret Secret
	// RequireMessageAuthenticator refuses requests without attribute 80 (RFC 3579
	// section 3.2): for gateways that have the fix of CVE-2024-3596.
	RequireMessageAuthenticator bool
	// Origins are the page origins ("https://vpn.example.org") from which a sealed
	// password is accepted.
	Origins []string
	// AllowNonLicensed lets users without a licence for remote access, and accounts that are not in the
	// list of users, in on the directory's word alone; else they are refused.
	AllowNonLicensed bool
}
