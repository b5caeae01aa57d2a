package sallyport

import (
	"net/netip"
	"time"
)

// UnknownSource is an address that RADIUS requests come from and that no integration has.
type UnknownSource struct {
	Appliance ApplianceID
	Source    netip.Addr
	First     time.Time
	Last      time.Time
	Count     int64
}
