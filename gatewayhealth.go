package sallyport

import (
	"net/netip"
	"time"
)

// GatewayHealth is what one appliance last heard of an integration's gateway.
type GatewayHealth struct {
	Integration IntegrationID
	Appliance   ApplianceID
	Heard       time.Time // last request that could be read
	Accepted    time.Time // last one that was accepted
	Error       string    // last thing that went wrong, in words
	ErrorTime   time.Time
	// Cure says what an administrator can do about the error.
	Cure string
	// OldSecret is when a request last used the secret that is being replaced.
	OldSecret time.Time
}

// UnknownSource is an address that RADIUS requests come from and that no integration has.
type UnknownSource struct {
	Appliance ApplianceID
	Source    netip.Addr
	First     time.Time
	Last      time.Time
	Count     int64
}
