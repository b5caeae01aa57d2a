package sallyport

import "net/netip"

// Site is a place of the enterprise with appliances of its own.
type Site struct {
	ID   SiteID
	Name string
	Kind SiteKind
	// Ranges are the networks whose computers belong to the site; of all sites, the longest one counts.
	Ranges []netip.Prefix
	// Primary and Secondary are the sites that take over when no appliance of this one can be reached, in
	// this order; empty: none.
	Primary, Secondary SiteID
	// Appliances are those of the site. An appliance belongs to one site at most.
	Appliances []ApplianceID
	Version    int64
}

// SiteKind says whether a site works every day.
type SiteKind string

const (
	SiteActive  SiteKind = "active"
	SiteStandby SiteKind = "hot_standby" // stands idle until a site fails over to it
)
