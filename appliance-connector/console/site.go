package console

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

func (s *Server) siteRoutes() {
	s.page("/sites", "Sites", (*request).sites)
	s.page("/sites/new", "PutSite", (*request).newSitePage)
	s.act("/sites/new", "PutSite", (*request).newSite)
	s.page("/sites/:id", "Site", (*request).site)
	s.act("/sites/:id", "PutSite", (*request).changeSite)
	s.page("/sites/:id/delete", "DeleteSite", (*request).deleteSitePage)
	s.act("/sites/:id/delete", "DeleteSite", (*request).deleteSite)
}

func (r *request) sites() error {
	list, err := r.s.admin.Sites(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	names, err := r.applianceNames()
	if err != nil {
		return err
	}
	t := Table{ID: "sites", Caption: "Sites", Total: plural(len(list), "site", "sites"),
		Columns: []Column{{Label: "Site"}, {Label: "Kind"}, {Label: "Address ranges"}, {Label: "Appliances"}, {Label: "Fails over to"}},
		Empty:   Empty{Title: "No sites yet", Text: "One place with all appliances needs no site. Add sites when appliances stand in several places."}}
	for _, x := range list {
		t.Rows = append(t.Rows, siteRow(x, siteNames(list), names))
	}
	p := Page{Title: "Sites", Lead: "The places of the enterprise, and which appliances stand there.", Content: "cardlist", Data: CardList{Table: t}}
	if r.May("PutSite") {
		p.Actions = []Action{{Label: "Add site", Path: "/sites/new"}}
	}
	return r.show(p)
}

func siteRow(x sallyport.Site, sites map[sallyport.SiteID]string, appliances map[sallyport.ApplianceID]string) []Cell {
	var over, here []string
	for _, id := range []sallyport.SiteID{x.Primary, x.Secondary} {
		if id != "" {
			over = append(over, sites[id])
		}
	}
	for _, id := range x.Appliances {
		here = append(here, appliances[id])
	}
	return []Cell{{Text: x.Name, Path: "/sites/" + string(x.ID)}, {Badge: siteBadge(x.Kind)}, {Text: orNone(some(prefixTexts(x.Ranges)))},
		{Text: orNone(some(here))}, {Text: orNone(strings.Join(over, ", then "))}}
}

func siteBadge(k sallyport.SiteKind) Badge {
	if k == sallyport.SiteStandby {
		return Badge{"info", "Hot standby"}
	}
	return Badge{"ok", "Active"}
}

func siteNames(list []sallyport.Site) map[sallyport.SiteID]string {
	out := map[sallyport.SiteID]string{}
	for _, x := range list {
		out[x.ID] = x.Name
	}
	return out
}

// some is the beginning of a list, for a table.
func some(list []string) string {
	const most = 3
	if len(list) > most {
		return strings.Join(list[:most], ", ") + " and " + strconv.Itoa(len(list)-most) + " more"
	}
	return strings.Join(list, ", ")
}

// prefixTexts writes networks as people do: one address without its length.
func prefixTexts(list []netip.Prefix) (out []string) {
	for _, p := range list {
		text := p.String()
		if p.IsSingleIP() {
			text = p.Addr().String()
		}
		out = append(out, text)
	}
	return out
}

// applianceNames are those of the appliances that told of themselves; of another one, its id stands for it.
func (r *request) applianceNames() (map[sallyport.ApplianceID]string, error) {
	c, err := r.s.admin.Appliances(r.Request().Context(), r.Actor())
	out := map[sallyport.ApplianceID]string{}
	for _, a := range c.Appliances {
		out[a.ID] = a.Name
	}
	return out, err
}

// sitePage is what the form of a site shows.
type sitePage struct {
	Form       Form
	Appliances []Node
	Facts      []Fact // instead of the form, for who may only look
}

// showSite shows a site in a form, with what is wrong in it.
func (r *request) showSite(status int, x sallyport.Site, wrong error) error {
	ctx, a := r.Request().Context(), r.Actor()
	sites, err := r.s.admin.Sites(ctx, a)
	if err != nil {
		return err
	}
	c, err := r.s.admin.Appliances(ctx, a)
	if err != nil {
		return err
	}
	submit := "Save"
	if x.ID == "" {
		submit = "Add site"
	}
	d := sitePage{Form: r.form(submit, siteFields(x, sites)...)}
	if wrong != nil {
		var ok bool
		if d.Form, ok = d.Form.with(wrong); !ok {
			return wrong
		}
	}
	d.Form.Cancel = "/sites"
	for _, p := range c.Appliances {
		hint := string(p.ID)
		if p.SiteName != "" && p.Site != x.ID {
			hint = "now at " + p.SiteName
		}
		d.Appliances = append(d.Appliances, Node{Name: "appliance", Value: string(p.ID), Label: p.Name, Hint: hint, Checked: slices.Contains(x.Appliances, p.ID)})
	}
	page := Page{Title: "Add a site", Crumbs: []Link{{"Sites", "/sites"}}, Content: "sitepage"}
	if x.ID != "" {
		page.Title = siteNames(sites)[x.ID]
		if r.May("DeleteSite") {
			page.Actions = []Action{{Label: "Delete", Path: "/sites/" + string(x.ID) + "/delete", Danger: true}}
		}
	}
	if !r.May("PutSite") {
		names, err := r.applianceNames()
		if err != nil {
			return err
		}
		row := siteRow(x, siteNames(sites), names)
		d.Facts = []Fact{{"Kind", row[1]}, fact("Address ranges", orNone(strings.Join(prefixTexts(x.Ranges), ", "))), {"Appliances", row[3]}, {"Fails over to", row[4]}}
	}
	page.Data = d
	return r.showAs(status, page)
}

func siteFields(x sallyport.Site, sites []sallyport.Site) []Field {
	others := func(chosen sallyport.SiteID) []Option {
		out := []Option{{Label: "None"}}
		for _, o := range sites {
			if o.ID != x.ID {
				out = append(out, Option{Value: string(o.ID), Label: o.Name, Chosen: o.ID == chosen})
			}
		}
		return out
	}
	return []Field{
		{Name: "name", Label: "Name", Value: x.Name, Required: true, Most: 64, Focus: x.Version == 0},
		{Kind: "radio", Name: "kind", Label: "Kind", Required: true, Options: []Option{
			{Value: "active", Label: "Active", Help: "Works every day.", Chosen: x.Kind != sallyport.SiteStandby},
			{Value: "hot_standby", Label: "Hot standby", Help: "Stands idle until another site fails over to it.", Chosen: x.Kind == sallyport.SiteStandby}}},
		{Kind: "area", Name: "ranges", Label: "Address ranges", Value: strings.Join(prefixTexts(x.Ranges), "\n"), Rows: 4, Placeholder: "10.1.0.0/16",
			Help: "Networks whose computers belong to this site, one a line. Of all sites, the one with the longest network that holds an address counts."},
		{Kind: "select", Name: "primary", Label: "Primary failover site", Options: others(x.Primary), Help: "Takes over when no appliance of this site can be reached."},
		{Kind: "select", Name: "secondary", Label: "Secondary failover site", Options: others(x.Secondary)},
		{Kind: "hidden", Name: "version", Value: strconv.FormatInt(x.Version, 10)},
	}
}

// readSite puts what the form holds into x.
func (r *request) readSite(x sallyport.Site) (sallyport.Site, error) {
	form, err := r.FormParams()
	if err != nil {
		return x, err
	}
	x.Name, x.Kind = form.Get("name"), sallyport.SiteKind(form.Get("kind"))
	x.Primary, x.Secondary = sallyport.SiteID(form.Get("primary")), sallyport.SiteID(form.Get("secondary"))
	x.Version, x.Ranges, x.Appliances = r.version(), nil, nil
	for _, id := range form["appliance"] {
		x.Appliances = append(x.Appliances, sallyport.ApplianceID(id))
	}
	for _, line := range lines(form.Get("ranges")) {
		p, err := admin.ParseNetwork(line)
		if err != nil {
			return x, admin.FieldErrors{"ranges": sallyport.ErrorMessage(err)}
		}
		x.Ranges = append(x.Ranges, p)
	}
	return x, nil
}

func (r *request) newSitePage() error {
	return r.showSite(http.StatusOK, sallyport.Site{Kind: sallyport.SiteActive}, nil)
}

func (r *request) newSite() error {
	x, err := r.readSite(sallyport.Site{})
	x.Version = 0
	if err == nil {
		_, err = r.s.admin.PutSite(r.Request().Context(), r.Actor(), x)
	}
	if err == nil {
		return r.done("/sites", "The site was added.")
	}
	return r.showSite(http.StatusUnprocessableEntity, x, err)
}

func (r *request) siteID() sallyport.SiteID { return sallyport.SiteID(r.Param("id")) }

func (r *request) site() error {
	x, err := r.s.admin.Site(r.Request().Context(), r.Actor(), r.siteID())
	if err != nil {
		return err
	}
	return r.showSite(http.StatusOK, x, nil)
}

func (r *request) changeSite() error {
	ctx := r.Request().Context()
	x, err := r.s.admin.Site(ctx, r.Actor(), r.siteID())
	if err != nil {
		return err
	}
	if x, err = r.readSite(x); err == nil {
		_, err = r.s.admin.PutSite(ctx, r.Actor(), x)
	}
	if err == nil {
		return r.done("/sites", "Saved.")
	}
	return r.showSite(http.StatusUnprocessableEntity, x, err)
}

func (r *request) deleteSitePage() error {
	x, err := r.s.admin.Site(r.Request().Context(), r.Actor(), r.siteID())
	if err != nil {
		return err
	}
	q := question{Text: "Users and gateways go on as they are.", Form: r.form("Delete site", Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(x.Version, 10)})}
	if n := len(x.Appliances); n > 0 {
		q.Stops = append(q.Stops, "Its "+plural(n, "appliance belongs", "appliances belong")+" to no site then.")
	}
	if len(x.Ranges) > 0 {
		q.Stops = append(q.Stops, "Its address ranges belong to no site then: "+some(prefixTexts(x.Ranges))+".")
	}
	q.Form.Danger, q.Form.Cancel = true, "/sites/"+string(x.ID)
	return r.show(Page{Title: "Delete “" + x.Name + "”?", Crumbs: []Link{{"Sites", "/sites"}, {x.Name, "/sites/" + string(x.ID)}}, Content: "question", Data: q})
}

func (r *request) deleteSite() error {
	return r.orConflict("/sites", "The site was deleted.", r.s.admin.DeleteSite(r.Request().Context(), r.Actor(), r.siteID(), r.version()))
}
