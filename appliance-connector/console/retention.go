package console

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/retention"
)

func (s *Server) retentionRoutes() {
	s.page("/settings/retention", "RetentionSettings", (*request).retentionSettings)
	s.act("/settings/retention", "SetRetentionSettings", (*request).setRetentionSettings)
}

func (r *request) retentionForm(v retention.Settings) Form {
	days := func(name, label, help string, n int) Field {
		return Field{Kind: "number", Name: name, Label: label, Value: strconv.Itoa(n), Required: true, Help: help}
	}
	f := r.form("Save",
		days("audit", "Audit trail", "Days, 30 to 3650. A trail that was tampered with is kept whatever this says.", v.Audit),
		days("logins", "Logins", "Days, 1 to 3650: what a support code can be explained from.", v.Logins),
		days("radius", "RADIUS requests", "Days, 1 to 3650.", v.RADIUS),
		days("logs", "Log files", "Days, 1 to 365, at each appliance. There are at most 41 files of 10 MiB whatever this says.", v.Logs),
		Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(v.Version, 10)})
	f.Path = "/settings/retention"
	return f
}

func (r *request) retentionSettings() error {
	v, err := r.s.admin.RetentionSettings(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	return r.showRetention(http.StatusOK, v, r.retentionForm(v))
}

// showRetention shows a form, and what the next run deletes by the settings that are saved.
func (r *request) showRetention(status int, v retention.Settings, f Form) error {
	plan, err := r.s.admin.RetentionPlan(r.Request().Context(), r.Actor(), v)
	if err != nil {
		return err
	}
	d := CardPage{Tabs: r.settingTabs("retention"), Split: true, Cards: []Card{
		{Title: "How long things are kept", Text: "The same for all appliances of the enterprise."},
		{Title: "The next run", Text: "By the settings as they are saved. What is deleted is gone.", Facts: planFacts(plan)}}}
	if r.May("SetRetentionSettings") {
		d.Cards[0].Form = &f
	} else {
		d.Cards[0].Facts = []Fact{fact("Audit trail", plural(v.Audit, "day", "days")), fact("Logins", plural(v.Logins, "day", "days")),
			fact("RADIUS requests", plural(v.RADIUS, "day", "days")), fact("Log files", plural(v.Logs, "day", "days"))}
	}
	return r.showAs(status, Page{Title: "Retention", Lead: "One appliance deletes every day at 03:00 UTC what is older than this, and writes into the audit trail what it deleted.",
		Crumbs: []Link{{"Settings", "/settings"}}, Content: "cardpage", Data: d})
}

func planFacts(p admin.RetentionPlan) []Fact {
	return []Fact{{"Runs", Cell{Text: stamp(p.At)}}, fact("Deletes of the audit trail", plural(int(p.Audit), "record", "records")), fact("Deletes of the logins", plural(int(p.Logins), "login", "logins")),
		fact("Deletes of the RADIUS requests", plural(int(p.RADIUS), "request", "requests")), fact("Deletes at this appliance", plural(p.LogFiles, "log file", "log files"))}
}

func (r *request) setRetentionSettings() error {
	ctx := r.Request().Context()
	version, err := r.formVersion()
	if err != nil {
		return err
	}
	v := retention.Settings{Version: version}
	for name, into := range map[string]*int{"audit": &v.Audit, "logins": &v.Logins, "radius": &v.RADIUS, "logs": &v.Logs} {
		n, err := strconv.Atoi(strings.TrimSpace(r.FormValue(name)))
		if err != nil {
			n = 0 // which the door refuses, with words for the field
		}
		*into = n
	}
	err = r.s.admin.SetRetentionSettings(ctx, r.Actor(), v)
	if err == nil {
		return r.done("/settings/retention", "Saved. It holds from the next run on.")
	}
	before, rerr := r.s.admin.RetentionSettings(ctx, r.Actor())
	f, ok := r.retentionForm(v).with(err)
	if !ok || rerr != nil {
		return err
	}
	return r.showRetention(http.StatusUnprocessableEntity, before, f)
}
