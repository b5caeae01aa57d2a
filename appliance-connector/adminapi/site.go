package adminapi

import (
	"fmt"
	"net/http"
	"net/netip"

	"github.com/sallyport/sallyport"
)

func siteHandlers() map[string]handler {
	return map[string]handler{"listSites": (*call).listSites, "getSite": (*call).getSite, "addSite": (*call).addSite,
		"changeSite": (*call).changeSite, "deleteSite": (*call).deleteSite}
}

// siteInput is what can be said of a site.
type siteInput struct {
	Name       string                  `json:"name"`
	Kind       sallyport.SiteKind      `json:"kind"`
	Ranges     []string                `json:"ranges"`
	Primary    sallyport.SiteID        `json:"primary,omitempty"`
	Secondary  sallyport.SiteID        `json:"secondary,omitempty"`
	Appliances []sallyport.ApplianceID `json:"appliances"`
}

type site struct {
	ID sallyport.SiteID `json:"id"`
	siteInput
	Version int64 `json:"version"`
}

func showSite(x sallyport.Site) site {
	return site{x.ID, siteInput{x.Name, x.Kind, networks(x.Ranges), x.Primary, x.Secondary, orEmpty(x.Appliances)}, x.Version}
}

func (c *call) siteBody() (sallyport.Site, error) {
	var in siteInput
	if err := c.decode(&in); err != nil {
		return sallyport.Site{}, err
	}
	x := sallyport.Site{Name: in.Name, Kind: in.Kind, Primary: in.Primary, Secondary: in.Secondary, Appliances: in.Appliances, Version: c.version}
	for n, text := range in.Ranges {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return x, unfit(fmt.Sprintf("ranges.%d", n), "This is no network: write it like 10.1.0.0/16 or 2001:db8::/64.")
		}
		x.Ranges = append(x.Ranges, p)
	}
	return x, nil
}

func (c *call) site() sallyport.SiteID { return sallyport.SiteID(c.text("site")) }

func (c *call) listSites() error {
	list, err := c.admin().Sites(c.ctx(), c.actor)
	if err != nil {
		return err
	}
	return part(c, list, func(x sallyport.Site) string { return byName(x.Name, string(x.ID)) }, showSite)
}

func (c *call) getSite() error {
	x, err := c.admin().Site(c.ctx(), c.actor, c.site())
	if err != nil {
		return err
	}
	return c.versioned(http.StatusOK, x.Version, showSite(x))
}

func (c *call) addSite() error {
	x, err := c.siteBody()
	if err != nil {
		return err
	}
	if x, err = c.admin().PutSite(c.ctx(), c.actor, x); err != nil {
		return err
	}
	return c.created("/sites/", string(x.ID), x.Version, showSite(x))
}

func (c *call) changeSite() error {
	x, err := c.siteBody()
	if err != nil {
		return err
	}
	x.ID = c.site()
	if x, err = c.admin().PutSite(c.ctx(), c.actor, x); err != nil {
		return err
	}
	return c.versioned(http.StatusOK, x.Version, showSite(x))
}

func (c *call) deleteSite() error {
	return c.empty(c.admin().DeleteSite(c.ctx(), c.actor, c.site(), c.version))
}
