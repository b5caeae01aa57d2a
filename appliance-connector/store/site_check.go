package store

import (
	"context"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport"
)

// SiteProblems says what PutSite would refuse in a site by itself, in words for people by the name of the
// field: name, kind, ranges, primary, secondary, appliances.
func SiteProblems(x sallyport.Site) map[string]string {
	out := map[string]string{}
	for _, c := range siteChecks(x) {
		if _, noted := out[c.field]; c.err != nil && !noted {
			out[c.field] = sallyport.ErrorMessage(c.err)
		}
	}
	return out
}

func checkSite(x sallyport.Site) error {
	all := []error{checkID(siteNoun, string(x.ID))}
	for _, c := range siteChecks(x) {
		all = append(all, c.err)
	}
	return first(all...)
}

func siteChecks(x sallyport.Site) []fieldCheck {
	return []fieldCheck{
		{"name", checkText("name of the site", x.Name, maxName)},
		{"kind", checkSiteKind(x.Kind)},
		{"ranges", checkRanges(x.Ranges)},
		{"primary", checkFailover(x.Primary, x)},
		{"secondary", checkFailover(x.Secondary, x)},
		{"secondary", checkSecondary(x)},
		{"appliances", checkAppliances(x.Appliances)},
	}
}

func checkSiteKind(k sallyport.SiteKind) error {
	if k == sallyport.SiteActive || k == sallyport.SiteStandby {
		return nil
	}
	return invalidf("A site is active or a hot standby.")
}

func checkRanges(list []netip.Prefix) error {
	if len(list) > maxRanges {
		return invalidf("A site may have at most %d address ranges.", maxRanges)
	}
	seen := make(map[netip.Prefix]bool, len(list))
	for _, p := range list {
		switch {
		case !p.IsValid() || p.Addr().Is4In6():
			return invalidf("One of the address ranges is none: write it like 10.1.0.0/16.")
		case p.Masked() != p:
			return invalidf("%s is not a network: write %s.", p, p.Masked())
		case seen[p]:
			return invalidf("The address range %s stands in the list twice.", p)
		}
		seen[p] = true
	}
	return nil
}

func checkFailover(to sallyport.SiteID, x sallyport.Site) error {
	switch {
	case to == "":
		return nil
	case to == x.ID:
		return invalidf("A site cannot fail over to itself.")
	}
	return checkID(siteNoun, string(to))
}

func checkSecondary(x sallyport.Site) error {
	switch {
	case x.Secondary == "":
		return nil
	case x.Primary == "":
		return invalidf("Choose a primary failover site first.")
	case x.Primary == x.Secondary:
		return invalidf("Choose another site than the primary failover site.")
	}
	return nil
}

func checkAppliances(list []sallyport.ApplianceID) error {
	if len(list) > maxAppliances {
		return invalidf("A site may have at most %d appliances.", maxAppliances)
	}
	for i, id := range list {
		if err := checkID(applianceNoun, string(id)); err != nil {
			return err
		}
		if slices.Contains(list[:i], id) {
			return invalidf("An appliance stands in the list twice.")
		}
	}
	return nil
}

// checkAmong refuses what does not fit to the other sites.
func checkAmong(all []sallyport.Site, x sallyport.Site) error {
	if siteAt(all, x.ID) < 0 && len(all) >= maxSites {
		return conflictf("There may be at most %d sites.", maxSites)
	}
	for _, to := range []sallyport.SiteID{x.Primary, x.Secondary} {
		if to != "" && siteAt(all, to) < 0 {
			return notFound("failover site")
		}
	}
	for _, other := range all {
		for _, p := range x.Ranges {
			if other.ID != x.ID && slices.Contains(other.Ranges, p) {
				return conflictf("The address range %s belongs to the site %q already.", p, other.Name)
			}
		}
	}
	return nil
}

// checkKnown refuses appliances that never told of themselves.
func checkKnown(ctx context.Context, tx *changing, list []sallyport.ApplianceID) error {
	if len(list) == 0 {
		return nil
	}
	known, err := readAppliances(ctx, tx.Tx)
	if err != nil {
		return err
	}
	for _, id := range list {
		if !slices.ContainsFunc(known, func(a sallyport.Appliance) bool { return a.ID == id }) {
			return notFound(applianceNoun)
		}
	}
	return nil
}
