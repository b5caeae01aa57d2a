package console

import (
	"fmt"
	"strconv"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

func (s *Server) directoryRoutes() {
	s.page("/directories", "Domains", (*request).directories)
	s.page("/directories/new", "PutDomain", (*request).newDirectoryPage)
	s.act("/directories/new", "PutDomain", (*request).newDirectory)
	s.page("/directories/:id", "Domains", (*request).directory)
	s.page("/directories/:id/runs", "Synchronisations", (*request).directoryRuns)
	s.act("/directories/:id/synchronise", "Synchronise", (*request).synchronise)
	s.act("/directories/:id/confirm", "ConfirmSynchronisation", (*request).confirmSynchronisation)
	s.page("/directories/:id/preview", "PreviewSynchronisation", (*request).previewPage)
	s.act("/directories/:id/preview", "PreviewSynchronisation", (*request).preview)
	s.page("/directories/:id/scope", "DomainTree", (*request).directoryScope)
	s.act("/directories/:id/scope", "PutDomain", (*request).changeDirectoryScope)
	s.page("/directories/:id/connection", "Domain", (*request).directoryConnection)
	s.act("/directories/:id/connection", "PutDomain", (*request).changeDirectory)
	s.act("/directories/:id/delete", "DeleteDomain", (*request).deleteDirectory)
}

func (r *request) domainID() sallyport.DomainID { return sallyport.DomainID(r.Param("id")) }

func directoryPath(id sallyport.DomainID) string { return "/directories/" + string(id) }

func directoryCrumbs() []Link { return []Link{{"Directories", "/directories"}} }

func directoryTabs(id sallyport.DomainID, current string) []Tab {
	path := directoryPath(id)
	return []Tab{{Label: "Synchronisation", Path: path, Current: current == "runs"}, {Label: "Who and when", Path: path + "/scope", Current: current == "scope"},
		{Label: "Connection", Path: path + "/connection", Current: current == "connection"}}
}

func (r *request) directories() error {
	list, err := r.s.admin.Domains(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	t := Table{ID: "directories", Caption: "Directories", Columns: []Column{{Label: "Directory"}, {Label: "State"}, {Label: "Users", Number: true},
		{Label: "Enrolled", Number: true}, {Label: "Last synchronisation"}, {Label: "Next"}},
		Empty: Empty{Title: "No directory yet", Text: "Users come from your Active Directory domains. Have ready: the names of two domain controllers, the certificate of their issuer, and a service account that may read users."}}
	for _, d := range list {
		t.Rows = append(t.Rows, directoryRow(d))
	}
	p := Page{Title: "Directories", Lead: "The Active Directory domains whose users log in.", Content: "cardlist"}
	if r.May("PutDomain") {
		p.Actions = []Action{{Label: "Add a directory", Path: "/directories/new"}}
		t.Empty.Action = Link{"Add a directory", "/directories/new"}
	}
	p.Data = CardList{Table: t}
	return r.show(p)
}

func directoryRow(d admin.DomainStatus) []Cell {
	return []Cell{{Text: d.Domain.Name, Sub: d.Domain.NetBIOS, Path: directoryPath(d.Domain.ID)}, healthCell(d),
		{Text: strconv.Itoa(d.Users)}, {Text: strconv.Itoa(d.Enrolled)}, lastCell(d.Last), nextCell(d)}
}

func healthCell(d admin.DomainStatus) Cell {
	if d.Problem != "" {
		return Cell{Badge: Badge{"bad", "Does not answer"}, Sub: d.Problem}
	}
	return Cell{Badge: Badge{"ok", "Answers"}}
}

func lastCell(y sallyport.Synchronisation) Cell {
	if y.ID == "" {
		return Cell{Text: "never"}
	}
	return Cell{Time: y.Started, Badge: runBadge(y)}
}

func nextCell(d admin.DomainStatus) Cell {
	switch {
	case !d.Scheduled:
		return Cell{Text: "on demand only"}
	case d.Last.State == sallyport.SynchronisationRunning:
		return Cell{Text: "running now"}
	case d.Next.IsZero():
		return Cell{Text: "at once"}
	}
	return Cell{Time: d.Next}
}

func runBadge(y sallyport.Synchronisation) Badge {
	switch y.State {
	case sallyport.SynchronisationRunning:
		return Badge{"info", "Running"}
	case sallyport.SynchronisationDone:
		return Badge{"ok", "Done"}
	case sallyport.SynchronisationFailed:
		return Badge{"bad", "Failed"}
	case sallyport.SynchronisationInterrupted:
		return Badge{"warn", "Interrupted"}
	case sallyport.SynchronisationAsks:
		return Badge{"warn", "Asks"}
	}
	return Badge{"", string(y.State)}
}

// directoryData is what the page of a directory shows.
type directoryData struct {
	Tabs   []Tab
	Facts  []Fact
	Runs   runsData
	Dialog *Dialog // that confirms what a synchronisation asks
}

// runsData is the part of the page that renews itself while a synchronisation runs.
type runsData struct {
	Path, CSRF string
	Running    *Progress
	Asks       *sallyport.Synchronisation
	Failed     *sallyport.Synchronisation // the last one, if it has
	MayStart   bool
	MayConfirm bool
	History    Table
}

// mostRuns is how many synchronisations the page shows.
const mostRuns = 20

func (r *request) directory() error {
	list, err := r.s.admin.Domains(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	for _, d := range list {
		if d.Domain.ID == r.domainID() {
			return r.showDirectory(d)
		}
	}
	return sallyport.Errorf(sallyport.CodeNotFound, "There is no such directory any more.", nil)
}

func (r *request) showDirectory(status admin.DomainStatus) error {
	d := directoryData{Tabs: directoryTabs(status.Domain.ID, "runs")}
	var err error
	if d.Runs, err = r.runs(status.Domain.ID); err != nil {
		return err
	}
	d.Facts = []Fact{{"State", healthCell(status)}, {"Users", Cell{Text: strconv.Itoa(status.Users), Path: "/users?q="}},
		fact("Enrolled", strconv.Itoa(status.Enrolled)), {"Next synchronisation", withEvery(nextCell(status), status.Domain.Every)}, fact("Who", whoWords(status.Domain))}
	if asks := d.Runs.Asks; asks != nil && d.Runs.MayConfirm {
		f := r.form("Remove "+plural(asks.Removed, "user", "users"), Field{Kind: "hidden", Name: "run", Value: asks.ID})
		f.Path, f.Danger = directoryPath(status.Domain.ID)+"/confirm", true
		d.Dialog = &Dialog{ID: "confirm-run", Title: "Remove " + plural(asks.Removed, "user", "users") + "?",
			Text: "They can no longer log in from outside. Their devices and settings are kept, and count again when the directory shows the users again. If more would be removed by now, it asks once more.", Form: f}
	}
	return r.show(Page{Title: status.Domain.Name, Lead: "The domain " + status.Domain.NetBIOS, Crumbs: directoryCrumbs(), Content: "directory", Data: d})
}

// runs is what there is to say of the synchronisations of a directory.
func (r *request) runs(id sallyport.DomainID) (runsData, error) {
	list, err := r.s.admin.Synchronisations(r.Request().Context(), r.Actor(), id, mostRuns)
	d := runsData{Path: directoryPath(id), CSRF: r.session.CSRF(), MayStart: r.May("Synchronise"), MayConfirm: r.May("ConfirmSynchronisation"),
		History: Table{ID: "history", Caption: "Synchronisations", Columns: []Column{{Label: "When"}, {Label: "What"}, {Label: "State"}, {Label: "Read", Number: true},
			{Label: "Added", Number: true}, {Label: "Changed", Number: true}, {Label: "Removed", Number: true}},
			Empty: Empty{Title: "Not synchronised yet", Text: "Look at the preview, or begin."}}}
	newest := true
	for _, y := range list {
		d.History.Rows = append(d.History.Rows, runRow(y))
		if y.State == sallyport.SynchronisationRunning && d.Running == nil {
			d.Running = &Progress{Label: kindWords(y.Kind) + ": " + plural(y.Read, "entry", "entries") + " read so far"}
		}
		if y.Kind == sallyport.SynchronisePreview || !newest {
			continue
		}
		newest = false
		switch y.State {
		case sallyport.SynchronisationAsks:
			d.Asks = &y
		case sallyport.SynchronisationFailed, sallyport.SynchronisationInterrupted:
			d.Failed = &y
		}
	}
	return d, err
}

// Quiet reports whether there is nothing to say.
func (d runsData) Quiet() bool { return d.Running == nil && d.Asks == nil && d.Failed == nil }

func runRow(y sallyport.Synchronisation) []Cell {
	state := Cell{Badge: runBadge(y), Sub: y.Message}
	return []Cell{{Time: y.Started, Sub: "by " + y.By}, {Text: kindWords(y.Kind)}, state, {Text: strconv.Itoa(y.Read)}, {Text: strconv.Itoa(y.Added)},
		{Text: strconv.Itoa(y.Changed)}, {Text: strconv.Itoa(y.Removed)}}
}

func kindWords(k sallyport.SynchronisationKind) string {
	switch k {
	case sallyport.SynchroniseFull:
		return "Everything"
	case sallyport.SynchroniseChanges:
		return "Changes"
	case sallyport.SynchronisePreview:
		return "Preview"
	}
	return string(k)
}

// directoryRuns is the part of the page by itself.
func (r *request) directoryRuns() error {
	d, err := r.runs(r.domainID())
	if err != nil {
		return err
	}
	if r.Request().Header.Get("HX-Request") == "" {
		return r.goTo(directoryPath(r.domainID()))
	}
	if d.Running == nil { // it has ended: what the rest of the page says is old
		r.Response().Header().Set("HX-Refresh", "true")
	}
	return r.bare(200, "runs", d)
}

func (r *request) synchronise() error {
	_, err := r.s.admin.Synchronise(r.Request().Context(), r.Actor(), r.domainID(), sallyport.SynchronisationKind(r.FormValue("kind")))
	return r.orConflict(directoryPath(r.domainID()), "The synchronisation has begun.", err)
}

func (r *request) confirmSynchronisation() error {
	_, err := r.s.admin.ConfirmSynchronisation(r.Request().Context(), r.Actor(), r.domainID(), r.FormValue("run"))
	return r.orConflict(directoryPath(r.domainID()), "Confirmed. Everything is read again, and then the users are removed.", err)
}

// everyTimes are the times between two synchronisations that forms offer.
var everyTimes = [...]time.Duration{15 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour, 24 * time.Hour}

func everyOptions(chosen time.Duration) []Option {
	out := []Option{{Value: "0s", Label: "On demand only", Chosen: chosen == 0}}
	known := chosen == 0
	for _, d := range everyTimes {
		known = known || d == chosen
		out = append(out, Option{Value: d.String(), Label: "Every " + everySpan(d), Chosen: d == chosen})
	}
	if !known {
		out = append(out, Option{Value: chosen.String(), Label: "Every " + everySpan(chosen), Chosen: true})
	}
	return out
}

func everySpan(d time.Duration) string {
	switch {
	case d == 24*time.Hour:
		return "day"
	case d%time.Hour == 0:
		return hours(d)
	}
	return d.String()
}

func hours(d time.Duration) string {
	if d == time.Hour {
		return "hour"
	}
	return fmt.Sprint(int(d/time.Hour)) + " hours"
}

func everyWords(d time.Duration) string {
	if d == 0 {
		return "on demand only"
	}
	return "every " + everySpan(d)
}

// withEvery says below a time how often that is.
func withEvery(c Cell, every time.Duration) Cell {
	if every > 0 {
		c.Sub = everyWords(every)
	}
	return c
}

func whoWords(d sallyport.Domain) string {
	if len(d.Scope) == 0 {
		if d.Base == "" {
			return "everybody"
		}
		return "everybody below " + shortDN(d.Base)
	}
	return plural(len(d.Scope), "OU or group", "OUs and groups")
}
