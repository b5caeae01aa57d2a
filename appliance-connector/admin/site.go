package admin

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// Sites returns all sites by name.
func (s *Service) Sites(ctx context.Context, actor sallyport.Actor) ([]sallyport.Site, error) {
	db, err := s.as(actor, "Sites")
	if err != nil {
		return nil, err
	}
	return db.Sites(ctx)
}

// Site returns one site.
func (s *Service) Site(ctx context.Context, actor sallyport.Actor, id sallyport.SiteID) (sallyport.Site, error) {
	db, err := s.as(actor, "Site")
	if err != nil {
		return sallyport.Site{}, err
	}
	return db.Site(ctx, id)
}

// PutSite adds a site (Version 0) or changes one. Appliances that other sites have move over.
func (s *Service) PutSite(ctx context.Context, actor sallyport.Actor, site sallyport.Site) (sallyport.Site, error) {
	db, err := s.as(actor, "PutSite")
	if err != nil {
		return sallyport.Site{}, err
	}
	if err := FieldErrors(store.SiteProblems(site)).err(); err != nil {
		return sallyport.Site{}, err
	}
	return db.PutSite(ctx, site)
}

// DeleteSite removes a site; its appliances belong to none then.
func (s *Service) DeleteSite(ctx context.Context, actor sallyport.Actor, id sallyport.SiteID, version int64) error {
	db, err := s.as(actor, "DeleteSite")
	if err != nil {
		return err
	}
	return db.DeleteSite(ctx, id, version)
}

// ParseNetwork reads an address (192.0.2.1) or a network (192.0.2.0/24) as people write it.
func ParseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, sallyport.Errorf(sallyport.CodeInvalid, fmt.Sprintf("%.80q: use an address (192.0.2.1) or a network (192.0.2.0/24).", text), err)
	}
	return p.Masked(), nil
}

// ParseFingerprint reads the SHA-256 of a certificate as programs print it, with colons, in capitals or with a name before it.
func ParseFingerprint(text string) string {
	text = strings.ToLower(strings.TrimSpace(text))
	return strings.ReplaceAll(strings.TrimPrefix(text, "sha256 fingerprint="), ":", "")
}

// ParseSources tells addresses and networks from host names, as people write them for a gateway.
func ParseSources(list []string) (networks []netip.Prefix, hosts []string, err error) {
	for _, text := range list {
		if !strings.ContainsAny(text, "/:") && strings.Trim(text, "0123456789.") != "" {
			hosts = append(hosts, strings.TrimSuffix(strings.ToLower(text), "."))
			continue
		}
		p, err := ParseNetwork(text)
		if err != nil {
			return nil, nil, err
		}
		networks = append(networks, p)
	}
	return networks, hosts, nil
}
