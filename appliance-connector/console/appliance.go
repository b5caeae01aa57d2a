package console

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

func (s *Server) applianceRoutes() {
	s.page("/cloud", "Appliances", (*request).cloud)
	s.page("/cloud/:id/remove", "RemoveAppliance", (*request).removeAppliancePage)
	s.act("/cloud/:id/remove", "RemoveAppliance", (*request).removeAppliance)
	s.page("/cloud/:id/name", "RenameAppliance", (*request).renameAppliancePage)
	s.act("/cloud/:id/name", "RenameAppliance", (*request).renameAppliance)
	s.finders = append(s.finders, finder{"Appliances", "Appliances", findAppliances})
}

// cloudPage is what the page of the connection to the cloud shows.
type cloudPage struct {
	Well       bool
	Enterprise Code
	Sites      []cloudSite
	Empty      Empty
}

// cloudSite is a site with its appliances.
type cloudSite struct {
	Name       string
	Path       string
	Appliances []cloudAppliance
}

type cloudAppliance struct {
	ID     string
	Name   string
	Own    bool
	Badge  Badge
	Advice []Alert
	Facts  []Fact
	Remove string // path; empty: not allowed
	Rename string // likewise
}

func (r *request) cloud() error {
	c, err := r.s.admin.Appliances(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	d := cloudPage{Well: len(c.Appliances) > 0, Enterprise: Code{Label: "Customer id", Text: string(c.Enterprise)},
		Empty: Empty{Title: "No appliance has told of itself yet", Text: "Every appliance that runs does so within seconds. Reload this page in a moment."}}
	for _, a := range c.Appliances {
		d.Well = d.Well && len(a.Advice) == 0
		d.Sites = r.addAppliance(d.Sites, a)
	}
	return r.show(Page{Title: "Cloud connection", Lead: "Every appliance of the enterprise, at every site, and what to do where something is wrong.", Content: "cloud", Data: d})
}

func (r *request) addAppliance(sites []cloudSite, a admin.ApplianceStatus) []cloudSite {
	name, path := "No site", ""
	if a.Site != "" {
		name, path = a.SiteName, "/sites/"+string(a.Site)
	}
	shown := cloudAppliance{ID: string(a.ID), Name: a.Name, Own: a.Own, Badge: applianceBadge(a), Facts: applianceFacts(a)}
	for _, v := range a.Advice {
		tone := "warn"
		if v.Urgent {
			tone = "bad"
		}
		shown.Advice = append(shown.Advice, Alert{tone, adviceTitle(v.Topic), v.Text})
	}
	if r.May("RemoveAppliance") && !a.Own {
		shown.Remove = "/cloud/" + url.PathEscape(string(a.ID)) + "/remove"
	}
	if r.May("RenameAppliance") {
		shown.Rename = "/cloud/" + url.PathEscape(string(a.ID)) + "/name"
	}
	for i := range sites {
		if sites[i].Path == path {
			sites[i].Appliances = append(sites[i].Appliances, shown)
			return sites
		}
	}
	return append(sites, cloudSite{name, path, []cloudAppliance{shown}})
}

func applianceBadge(a admin.ApplianceStatus) Badge {
	switch {
	case a.Silent:
		return Badge{"bad", "Silent"}
	case len(a.Streams) == 0:
		return Badge{"bad", "Not connected"}
	case len(a.Advice) > 0:
		return Badge{"warn", "Needs attention"}
	}
	return Badge{"ok", "Connected"}
}

func adviceTitle(t admin.Topic) string {
	switch t {
	case admin.TopicSilence:
		return "Not heard of"
	case admin.TopicStreams:
		return "No connection to the cloud"
	case admin.TopicCertificate:
		return "Certificate"
	case admin.TopicClock:
		return "Clock"
	case admin.TopicVersion:
		return "Older version"
	}
	return "Advice"
}

func applianceFacts(a admin.ApplianceStatus) []Fact {
	facts := []Fact{factTime("Last heard of", a.Heard), fact("Version", orNone(a.Version)), factTime("Started", a.Started),
		fact("RADIUS server", orNone(a.RADIUS)), {"Certificate ends", Cell{Time: a.CertificateExpires, Text: "not known"}}}
	for _, o := range a.Streams {
		if a.Silent {
			break // nobody knows whether they are open still
		}
		c := Cell{Text: o.Replica, Sub: "since " + stamp(o.Since)}
		if o.Draining {
			c.Badge = Badge{"info", "Moving away"}
		}
		facts = append(facts, Fact{"Connection", c})
	}
	if a.Trouble != "" && len(a.Streams) > 0 {
		facts = append(facts, fact("Last trouble", a.Trouble))
	}
	return append(facts, Fact{"Id", Cell{Text: string(a.ID), Mono: true}})
}

// question asks, on a page of its own, before something is done that others will notice.
type question struct {
	Text  string
	Stops []string // what stops working, or begins
	Form  Form
}

func (r *request) applianceID() sallyport.ApplianceID { return sallyport.ApplianceID(r.Param("id")) }

func (r *request) removeAppliancePage() error {
	c, err := r.s.admin.Appliances(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	for _, a := range c.Appliances {
		if a.ID != r.applianceID() {
			continue
		}
		q := question{Text: "For an appliance that is gone for good. One that still runs is back on the list within seconds.",
			Stops: []string{"Its state, and what it heard of gateways, is no longer shown.",
				"The certificate that it shows to the cloud stays good. Have the operator of the cloud end it: sallyport enterprise revoke " + string(c.Enterprise) + " " + string(a.ID),
				"Gateways that send their RADIUS requests to it need another appliance's address."}}
		if a.SiteName != "" {
			q.Stops = append(q.Stops, "It no longer belongs to the site “"+a.SiteName+"”.")
		}
		q.Form = r.form("Remove appliance")
		q.Form.Danger, q.Form.Cancel = true, "/cloud"
		return r.show(Page{Title: "Remove " + a.Name + "?", Crumbs: []Link{{"Cloud connection", "/cloud"}}, Content: "question", Data: q})
	}
	return sallyport.Errorf(sallyport.CodeNotFound, "This appliance is not on the list, or no longer.", nil)
}

func (r *request) removeAppliance() error {
	return r.orConflict("/cloud", "The appliance was removed.", r.s.admin.RemoveAppliance(r.Request().Context(), r.Actor(), r.applianceID()))
}

func (r *request) renameAppliancePage() error {
	c, err := r.s.admin.Appliances(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	for _, a := range c.Appliances {
		if a.ID == r.applianceID() {
			return r.showRename(http.StatusOK, r.renameForm(a.Name))
		}
	}
	return sallyport.Errorf(sallyport.CodeNotFound, "This appliance is not on the list, or no longer.", nil)
}

func (r *request) renameForm(name string) Form {
	f := r.form("Save", Field{Name: "name", Label: "Name", Value: name, Most: 64, Focus: true, Help: "As people call it in lists. Empty: the name of its host."})
	f.Cancel = "/cloud"
	return f
}

func (r *request) showRename(status int, f Form) error {
	return r.showAs(status, Page{Title: "Rename an appliance", Crumbs: []Link{{"Cloud connection", "/cloud"}}, Content: "formpage", Data: f})
}

func (r *request) renameAppliance() error {
	name := strings.TrimSpace(r.FormValue("name"))
	err := r.s.admin.RenameAppliance(r.Request().Context(), r.Actor(), r.applianceID(), name)
	if err == nil {
		return r.done("/cloud", "Saved.")
	}
	f, ok := r.renameForm(name).with(err)
	if !ok {
		return err
	}
	return r.showRename(unprocessable, f)
}

func findAppliances(r *request, words string) ([]found, error) {
	c, err := r.s.admin.Appliances(r.Request().Context(), r.Actor())
	var out []found
	for _, a := range c.Appliances {
		if contains(words, a.Name, string(a.ID)) {
			out = append(out, found{Label: a.Name, Hint: a.SiteName, Path: "/cloud#" + string(a.ID)})
		}
	}
	return out, err
}

// contains reports whether one of the texts has the words in it, without case.
func contains(words string, texts ...string) bool {
	return strings.Contains(strings.ToLower(strings.Join(texts, "\n")), strings.ToLower(words))
}
