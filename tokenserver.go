package sallyport

import (
	"slices"
	"time"
)

// TokenServers is the enterprise's external token system: the servers, asked over RADIUS, that know what a
// user's token shows. There is one kind for each enterprise.
type TokenServers struct {
	// Name is what users call their token, "RSA SecurID".
	Name string
	// Everyone in the list of users has a token of the system, or those whose user policy is in Policies.
	Everyone bool
	Policies []UserPolicyID
	// UserName is the form in which users are named to the servers.
	UserName TokenUserName
	// Timeout is how long one try waits for an answer, Tries how often a server is asked before the next one is.
	Timeout time.Duration
	Tries   int
	// Servers are in the order in which they are asked.
	Servers []TokenServer
	Version int64
}

// TokenServer is one server of the external token system.
type TokenServer struct {
	ID   TokenServerID
	Host string // name in DNS or address
	Port int
	// Secret is shared with the server (RFC 2865 section 3).
	Secret Secret
	// Unsigned takes answers without Message-Authenticator (RFC 3579 section 3.2), which somebody on the way
	// could have changed (CVE-2024-3596). One that is there is checked all the same.
	Unsigned bool
	// Sites are those whose appliances ask this server, and no server without sites; empty: it is the enterprise's.
	Sites []SiteID
}

// TokenUserName is how a user is named to the external token servers.
type TokenUserName string

const (
	TokenUserShort   TokenUserName = "name"    // alice
	TokenUserAccount TokenUserName = "account" // hospital\alice
	TokenUserTyped   TokenUserName = "typed"   // as the user typed it
)

// Defaults and bounds of how a token server is asked.
const (
	TokenPort           = 1812
	TokenTimeoutDefault = 2 * time.Second
	TokenTimeoutLeast   = 500 * time.Millisecond
	TokenTimeoutMost    = 10 * time.Second
	TokenTriesDefault   = 3
	TokenTriesMost      = 5
)

// For returns the servers that the appliances of a site ask, in their order: the site's own, else the enterprise's.
func (t TokenServers) For(site SiteID) []TokenServer {
	var own, all []TokenServer
	for _, s := range t.Servers {
		switch {
		case len(s.Sites) == 0:
			all = append(all, s)
		case site != "" && slices.Contains(s.Sites, site):
			own = append(own, s)
		}
	}
	if len(own) > 0 {
		return own
	}
	return all
}

// Users says who has a token of the system: nobody, as long as there is no server.
func (t TokenServers) Users() TokenUsers {
	if len(t.Servers) == 0 {
		return TokenUsers{}
	}
	return TokenUsers{t.Everyone, t.Policies}
}

// TokenUsers is who of the list of users has a token of the external token system.
type TokenUsers struct {
	Everyone bool
	Policies []UserPolicyID
}

// Has reports whether somebody with a user policy has one.
func (t TokenUsers) Has(policy UserPolicyID) bool {
	return t.Everyone || slices.Contains(t.Policies, policy)
}
