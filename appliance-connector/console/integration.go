package console

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/export"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func (s *Server) integrationRoutes() {
	s.page("/integrations", "Integrations", (*request).integrations)
	s.page("/integrations/new", "AddIntegration", (*request).newIntegrationPage)
	s.act("/integrations/new", "AddIntegration", (*request).newIntegration)
	s.page("/integrations/:id", "Integration", (*request).integration)
	s.page("/integrations/:id/settings", "SetIntegration", (*request).integrationSettings)
	s.act("/integrations/:id/settings", "SetIntegration", (*request).setIntegration)
	s.page("/integrations/:id/attributes", "Integration", (*request).attributes)
	s.act("/integrations/:id/attributes", "SetIntegration", (*request).setAttributes)
	s.act("/integrations/:id/attributes/preview", "PreviewAttributes", (*request).previewAttributes)
	s.page("/integrations/:id/script", "IntegrationScript", (*request).integrationScript)
	s.page("/integrations/:id/secret", "RotateIntegrationSecret", (*request).secretPage)
	s.act("/integrations/:id/secret", "RotateIntegrationSecret", (*request).rotateSecret)
	s.act("/integrations/:id/secret/end", "EndIntegrationOverlap", (*request).endOverlap)
	s.page("/integrations/:id/delete", "DeleteIntegration", (*request).deleteIntegrationPage)
	s.act("/integrations/:id/delete", "DeleteIntegration", (*request).deleteIntegration)
	s.finders = append(s.finders, finder{"Integrations", "Integrations", findIntegrations})
}

// gatewayState is what all appliances together heard of a gateway.
type gatewayState struct {
	badge           Badge
	heard, accepted time.Time
	by              sallyport.ApplianceID // that heard it last
	trouble         sallyport.GatewayHealth
}

// stateOf sums up what was heard of an integration: an error counts until something is accepted again.
func stateOf(id sallyport.IntegrationID, all []sallyport.GatewayHealth) (s gatewayState) {
	for _, h := range all {
		if h.Integration != id {
			continue
		}
		if h.Heard.After(s.heard) {
			s.heard, s.by = h.Heard, h.Appliance
		}
		if h.Accepted.After(s.accepted) {
			s.accepted = h.Accepted
		}
		if h.Error != "" && h.ErrorTime.After(s.trouble.ErrorTime) {
			s.trouble = h
		}
	}
	switch {
	case s.trouble.ErrorTime.After(s.accepted):
		s.badge = Badge{"bad", "Trouble"}
	case s.heard.IsZero():
		s.badge = Badge{"info", "Not heard yet"}
	default:
		s.trouble, s.badge = sallyport.GatewayHealth{}, Badge{"ok", "Works"}
	}
	return s
}

// integrationList is what the list of integrations shows.
type integrationList struct {
	Table   Table
	Unknown *Table
}

func (r *request) integrations() error {
	ctx, a := r.Request().Context(), r.Actor()
	list, err := r.s.admin.Integrations(ctx, a)
	if err != nil {
		return err
	}
	health, err := r.s.admin.IntegrationHealth(ctx, a, "")
	if err != nil {
		return err
	}
	names, err := r.applianceNames()
	if err != nil {
		return err
	}
	t := Table{ID: "integrations", Caption: "Integrations", Total: plural(len(list), "gateway", "gateways"),
		Columns: []Column{{Label: "Gateway"}, {Label: "Requests from"}, {Label: "State"}, {Label: "Last heard"}, {Label: "Last 24 hours"}},
		Empty:   Empty{Title: "No gateway yet", Text: "Users can log in once a gateway is added: it takes a name, the address that its RADIUS requests come from, and the address of its logon page."}}
	p := Page{Title: "Integrations", Lead: "The gateways, as every appliance of the enterprise knows them.", Content: "integrations"}
	if r.May("AddIntegration") {
		p.Actions = []Action{{Label: "Add a gateway", Path: "/integrations/new"}}
		t.Empty.Action = Link{"Add a gateway", "/integrations/new"}
	}
	for _, in := range list {
		state := stateOf(in.ID, health.Appliances)
		heard := Cell{Time: state.heard, Text: "never"}
		if state.by != "" {
			heard.Sub = "by " + cmp.Or(names[state.by], string(state.by))
		}
		t.Rows = append(t.Rows, []Cell{{Text: in.Nickname, Sub: cmp.Or(firstLine(in.Note), kindName(in.Kind)), Path: "/integrations/" + string(in.ID)},
			{Text: some(sources(in))}, {Badge: state.badge, Sub: state.trouble.Error}, heard, countCell(health.Counts[in.ID])})
	}
	p.Data = integrationList{t, r.unknownTable(health.Unknown, names)}
	return r.show(p)
}

// unknownTable lists addresses that no integration has; nil: there are none.
func (r *request) unknownTable(list []sallyport.UnknownSource, names map[sallyport.ApplianceID]string) *Table {
	if len(list) == 0 {
		return nil
	}
	t := &Table{ID: "unknown", Caption: "Addresses that are not known", Columns: []Column{{Label: "Address"}, {Label: "Requests", Number: true}, {Label: "First"}, {Label: "Last"}, {Label: "Heard by"}, {Label: "What to do"}}}
	for _, u := range list {
		do := Cell{Text: "An administrator can add it."}
		if r.May("AddIntegration") {
			do = Cell{Text: "Add an integration with this address", Path: "/integrations/new?" + query("client", u.Source.String())}
		}
		t.Rows = append(t.Rows, []Cell{{Text: u.Source.String(), Mono: true}, {Text: strconv.FormatInt(u.Count, 10)}, {Time: u.First}, {Time: u.Last},
			{Text: cmp.Or(names[u.Appliance], string(u.Appliance))}, do})
	}
	return t
}

func countCell(c store.RADIUSCounts) Cell {
	if c == (store.RADIUSCounts{}) {
		return Cell{Text: "no requests"}
	}
	out := Cell{Text: plural(c.Accepted, "accepted", "accepted")}
	var rest []string
	for _, part := range []struct {
		n    int
		word string
	}{{c.Rejected, "refused"}, {c.Challenged, "asked on"}, {c.Dropped, "not answered"}} {
		if part.n > 0 {
			rest = append(rest, strconv.Itoa(part.n)+" "+part.word)
		}
	}
	out.Sub = strings.Join(rest, ", ")
	return out
}

func kindName(kind string) string {
	if kind == admin.KindF5 {
		return "F5 BIG-IP"
	}
	return kind
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// sources are what a gateway's requests come from.
func sources(in sallyport.Integration) []string { return append(prefixTexts(in.Clients), in.Hosts...) }

func findIntegrations(r *request, words string) ([]found, error) {
	list, err := r.s.admin.Integrations(r.Request().Context(), r.Actor())
	var out []found
	for _, in := range list {
		if from := sources(in); contains(words, append(from, in.Nickname, in.Note)...) {
			out = append(out, found{Label: in.Nickname, Hint: some(from), Path: "/integrations/" + string(in.ID)})
		}
	}
	return out, err
}

func (r *request) integrationID() sallyport.IntegrationID {
	return sallyport.IntegrationID(r.Param("id"))
}

func (r *request) readIntegration() (sallyport.Integration, error) {
	return r.s.admin.Integration(r.Request().Context(), r.Actor(), r.integrationID())
}

func integrationPath(id sallyport.IntegrationID) string {
	return "/integrations/" + url.PathEscape(string(id))
}

func integrationCrumbs(more ...Link) []Link {
	return append([]Link{{"Integrations", "/integrations"}}, more...)
}

// integrationTabs are the views of one integration.
func (r *request) integrationTabs(id sallyport.IntegrationID, current string) (out []Tab) {
	path := integrationPath(id)
	for _, t := range []struct {
		label, path string
		op          admin.Operation
	}{{"State", "", "Integration"}, {"Settings", "/settings", "SetIntegration"}, {"Attributes", "/attributes", "Integration"}, {"Set up the gateway", "/script", "IntegrationScript"}} {
		if r.May(t.op) {
			out = append(out, Tab{Label: t.label, Path: path + t.path, Current: t.path == current})
		}
	}
	return out
}

func (r *request) integration() error {
	in, err := r.readIntegration()
	if err != nil {
		return err
	}
	health, err := r.s.admin.IntegrationHealth(r.Request().Context(), r.Actor(), in.ID)
	if err != nil {
		return err
	}
	names, err := r.applianceNames()
	if err != nil {
		return err
	}
	page := Page{Title: in.Nickname, Lead: firstLine(in.Note), Crumbs: integrationCrumbs(), Content: "cardpage",
		Data: CardPage{Tabs: r.integrationTabs(in.ID, ""), Cards: []Card{r.gatewayHealthCard(in, health, names), r.gatewayFactsCard(in, health)}}}
	if r.May("RotateIntegrationSecret") {
		page.Actions = append(page.Actions, Action{Label: "Change the secret", Path: integrationPath(in.ID) + "/secret"})
	}
	if r.May("DeleteIntegration") {
		page.Actions = append(page.Actions, Action{Label: "Delete", Path: integrationPath(in.ID) + "/delete", Danger: true})
	}
	return r.show(page)
}

func (r *request) gatewayHealthCard(in sallyport.Integration, health admin.IntegrationHealth, names map[sallyport.ApplianceID]string) Card {
	state := stateOf(in.ID, health.Appliances)
	counts := countCell(health.Counts[in.ID])
	c := Card{Title: "State", Facts: []Fact{{"Now", Cell{Badge: state.badge}}, {"Last 24 hours", counts}},
		Links: []Link{{"Its RADIUS requests", "/reports/radius?" + query("integration", string(in.ID))}}}
	if e := state.trouble; e.Error != "" {
		c.Alert = &Alert{"bad", sentence(e.Error), sentence(e.Cure)}
	}
	t := &Table{ID: "health", Caption: "What each appliance heard", Columns: []Column{{Label: "Appliance"}, {Label: "Heard"}, {Label: "Accepted"}, {Label: "Last error"}},
		Empty: Empty{Title: "Not heard yet", Text: "No appliance has had a RADIUS request from this gateway. Set it up as the last tab says. If it is set up, look at the list of integrations for an address that is not known."}}
	for _, h := range health.Appliances {
		trouble := Cell{Text: "none"}
		if h.Error != "" {
			trouble = Cell{Text: h.Error, Sub: ago(h.ErrorTime, r.s.cfg.Now())}
		}
		t.Rows = append(t.Rows, []Cell{{Text: cmp.Or(names[h.Appliance], string(h.Appliance))}, {Time: h.Heard, Text: "never"}, {Time: h.Accepted, Text: "never"}, trouble})
	}
	c.Table = t
	return c
}

// sentence makes words of a log into one.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}

func (r *request) gatewayFactsCard(in sallyport.Integration, health admin.IntegrationHealth) Card {
	c := Card{Title: "Gateway", Facts: []Fact{fact("Kind", kindName(in.Kind)), fact("Requests from", strings.Join(sources(in), ", ")),
		fact("Logon page", orNone(strings.Join(in.Origins, ", "))), {"Message-Authenticator", r.demandCell(in)},
		fact("Users without a licence", map[bool]string{true: "Let in on the directory’s word alone", false: "Refused"}[in.AllowNonLicensed]),
		fact("Users log in", experienceWords(in)), fact("Language of users", languageWords(in.Language, "As the enterprise’s")), fact("Attributes", plural(len(in.Attributes), "attribute", "attributes"))}}
	if in.Experience == sallyport.ExperienceLegacy || in.Experience == sallyport.ExperienceBoth {
		c.Facts = append(c.Facts, fact("Names and passwords are written in", encodingWords(in.PasswordEncoding)), fact("Mark between password and code", cmp.Or(in.PasscodeSeparator, "none")),
			fact("Users choose their second factor first", yesNo(in.AskMethod)))
	}
	if in.TLS.Allowed() {
		c.Facts = append(c.Facts, fact("Known over TLS by", export.KnownOverTLS(in.TLS)))
	}
	if strings.Contains(in.Note, "\n") {
		c.Facts = append(c.Facts, fact("Note", in.Note))
	}
	if !in.PreviousUntil.IsZero() {
		c.Facts = append(c.Facts, Fact{"The secret before", overlapCell(in, health.Appliances)})
	}
	return c
}

func experienceWords(in sallyport.Integration) string {
	switch in.Experience {
	case sallyport.ExperienceLegacy:
		return "In RADIUS as a whole"
	case sallyport.ExperienceBoth:
		return "In the overlay, or in RADIUS as a whole"
	}
	return "In the overlay"
}

func encodingWords(e sallyport.PasswordEncoding) string {
	if e == sallyport.PasswordWindows1252 {
		return "Windows-1252"
	}
	return "UTF-8"
}

func (r *request) demandCell(in sallyport.Integration) Cell {
	switch {
	case in.MessageAuthenticator == sallyport.MessageAuthenticatorAlways:
		return Cell{Text: "Demanded"}
	case in.MessageAuthenticator == sallyport.MessageAuthenticatorNever:
		return Cell{Text: "Not demanded", Badge: Badge{"warn", "Open to BlastRADIUS"}}
	case in.MessageAuthenticatorSeen.IsZero():
		return Cell{Text: "Demanded once it was seen", Sub: "not seen yet"}
	}
	return Cell{Text: "Demanded", Sub: "since it was seen " + ago(in.MessageAuthenticatorSeen, r.s.cfg.Now())}
}

// overlapCell says until when the secret that is being replaced is good, and when it was last used.
func overlapCell(in sallyport.Integration, health []sallyport.GatewayHealth) Cell {
	var used time.Time
	for _, h := range health {
		if h.Integration == in.ID && h.OldSecret.After(used) {
			used = h.OldSecret
		}
	}
	c := Cell{Text: "Good until " + stamp(in.PreviousUntil), Sub: "not used since the change"}
	if !used.IsZero() {
		c.Sub = "last used " + stamp(used)
	}
	return c
}

func (r *request) deleteIntegrationPage() error {
	in, err := r.readIntegration()
	if err != nil {
		return err
	}
	health, err := r.s.admin.IntegrationHealth(r.Request().Context(), r.Actor(), in.ID)
	if err != nil {
		return err
	}
	q := question{Text: "Users can no longer log in at this gateway:", Form: r.form("Delete integration", Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(in.Version, 10)}),
		Stops: []string{"RADIUS requests from " + strings.Join(sources(in), ", ") + " are no longer answered."}}
	if len(in.Origins) > 0 {
		q.Stops = append(q.Stops, "The overlay on "+strings.Join(in.Origins, ", ")+" lets nobody in any more. Take the script off the logon page, too.")
	}
	if n := len(in.Attributes); n > 0 {
		q.Stops = append(q.Stops, "Its "+plural(n, "RADIUS attribute is", "RADIUS attributes are")+" gone.")
	}
	if n := health.Counts[in.ID].Accepted; n > 0 {
		q.Stops = append(q.Stops, "In the last 24 hours "+plural(n, "request was", "requests were")+" accepted there: it is in use.")
	}
	q.Stops = append(q.Stops, "Its secret is deleted: one added again needs a new one at the gateway.")
	q.Form.Danger, q.Form.Cancel = true, integrationPath(in.ID)
	return r.show(Page{Title: "Delete “" + in.Nickname + "”?", Crumbs: integrationCrumbs(Link{in.Nickname, integrationPath(in.ID)}), Content: "question", Data: q})
}

func (r *request) deleteIntegration() error {
	err := r.s.admin.DeleteIntegration(r.Request().Context(), r.Actor(), r.integrationID(), r.version())
	return r.orConflict("/integrations", "The integration was deleted.", err)
}

// unprocessable is the status of a form that has something wrong in it.
const unprocessable = http.StatusUnprocessableEntity
