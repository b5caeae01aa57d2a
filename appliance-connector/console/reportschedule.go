package console

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/report"
)

func (s *Server) reportScheduleRoutes() {
	s.page("/reports/schedules", "ReportSchedules", (*request).reportSchedules)
	s.page("/reports/schedules/new", "PutReportSchedule", (*request).newReportSchedulePage)
	s.act("/reports/schedules/new", "PutReportSchedule", (*request).newReportSchedule)
	s.page("/reports/schedules/:id", "ReportSchedule", (*request).reportSchedule)
	s.act("/reports/schedules/:id", "PutReportSchedule", (*request).changeReportSchedule)
	s.act("/reports/schedules/:id/send", "SendReport", (*request).sendReport)
	s.act("/reports/schedules/:id/delete", "DeleteReportSchedule", (*request).deleteReportSchedule)
}

func (r *request) reportSchedules() error {
	list, err := r.s.admin.ReportSchedules(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	t := Table{ID: "schedules", Caption: "Reports by e-mail", Columns: []Column{{Label: "Name"}, {Label: "Report"}, {Label: "Sent"}, {Label: "Next"}, {Label: "Last"}},
		Empty: Empty{Title: "No report is sent by e-mail", Text: "A schedule sends a report every day, week or month, as a CSV file."}}
	for _, v := range list {
		next := Cell{Time: v.Due}
		if v.Paused {
			next = Cell{Badge: Badge{"warn", "Paused"}}
		}
		t.Rows = append(t.Rows, []Cell{{Text: v.Name, Path: "/reports/schedules/" + string(v.ID), Sub: plural(len(v.Recipients), "recipient", "recipients")},
			{Text: report.Title(v.Report)}, {Text: rhythm(v)}, next, sentCell(v.Last)})
	}
	p := Page{Title: "Reports by e-mail", Lead: "Reports that leave the house by themselves. Every change is in the audit trail.", Content: "cardlist", Data: CardList{Tabs: r.reportTabs("schedules"), Table: t}}
	if r.May("PutReportSchedule") {
		p.Actions = []Action{{Label: "Add schedule", Path: "/reports/schedules/new"}}
	}
	return r.show(p)
}

func sentCell(l sallyport.ReportResult) Cell {
	switch {
	case l.Time.IsZero():
		return Cell{Text: "never"}
	case l.Trouble != "":
		return Cell{Time: l.Time, Badge: Badge{"bad", "Not sent"}, Sub: l.Trouble}
	}
	return Cell{Time: l.Time, Sub: plural(l.Rows, "row", "rows")}
}

// rhythm says when a report is sent, with its time zone.
func rhythm(v sallyport.ReportSchedule) string {
	at := " at " + clockTime(v.At) + " (" + v.Zone + ")"
	switch v.Every {
	case sallyport.Weekly:
		return "On " + v.Weekday.String() + "s" + at
	case sallyport.Monthly:
		return fmt.Sprintf("On day %d of the month%s", v.Day, at)
	}
	return "Daily" + at
}

func clockTime(at time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(at.Hours()), int(at.Minutes())%60)
}

func (r *request) reportScheduleForm(v sallyport.ReportSchedule, submit string) (Form, error) {
	policies, err := r.s.admin.UserPolicies(r.Request().Context(), r.Actor())
	if err != nil {
		return Form{}, err
	}
	var days []Option
	for d := time.Monday; d <= 7; d++ {
		day := d % 7
		days = append(days, Option{Value: strconv.Itoa(int(day)), Label: day.String(), Chosen: day == v.Weekday})
	}
	f := r.form(submit,
		Field{Name: "name", Label: "Name", Value: v.Name, Required: true, Most: 64, Focus: v.Version == 0, Help: "It is the subject of the message."},
		Field{Kind: "select", Name: "report", Label: "Report", Options: options(string(v.Report), "unenrolled", report.Title("unenrolled"), "enrolled", report.Title("enrolled"),
			"logins", report.Title("logins"), "radius", report.Title("radius")), Help: "Activity covers the time since it was sent before."},
		Field{Name: "text", Label: "Only what contains", Value: v.Filter.Text, Most: 200},
		Field{Kind: "select", Name: "policy", Label: "Only users of the policy", Options: append([]Option{{Label: "All policies"}}, policyOptions(policies, v.Filter.Policy)...), Help: "For the reports about users."},
		Field{Kind: "select", Name: "outcome", Label: "Only what ended", Options: options(v.Filter.Outcome, "", "Any", "granted", "Login: let in", "denied", "Login: refused", "abandoned", "Login: given up",
			"accept", "RADIUS: accept", "reject", "RADIUS: reject", "drop", "RADIUS: no answer", "accounting", "RADIUS: accounting"), Help: "For the reports about activity."},
		Field{Kind: "select", Name: "every", Label: "Send it", Options: options(string(v.Every), "daily", "Every day", "weekly", "Every week", "monthly", "Every month")},
		Field{Kind: "select", Name: "weekday", Label: "On", Options: days, Help: "When it is sent every week."},
		Field{Kind: "number", Name: "day", Label: "On day", Value: strconv.Itoa(cmp.Or(v.Day, 1)), Required: true, Help: "Of the month, 1 to 28, when it is sent every month."},
		Field{Kind: "time", Name: "at", Label: "At", Value: clockTime(v.At), Required: true},
		Field{Name: "zone", Label: "Time zone", Value: v.Zone, Required: true, Most: 64, Help: "UTC, or a name such as Europe/Zurich."},
		Field{Kind: "area", Name: "recipients", Label: "Recipients", Value: strings.Join(v.Recipients, "\n"), Rows: 3, Required: true, Help: "E-mail addresses, one a line, at most 50. They get names, accounts and addresses of users."},
		Field{Kind: "checkbox", Name: "paused", Label: "Paused", Checked: v.Paused, Help: "Then it is sent on demand only."},
		Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(v.Version, 10)})
	return f, nil
}

// readReportSchedule takes what of the form is a schedule; what is none becomes something that the door refuses.
func (r *request) readReportSchedule(v sallyport.ReportSchedule) sallyport.ReportSchedule {
	v.Name, v.Report, v.Every = strings.TrimSpace(r.FormValue("name")), sallyport.Report(r.FormValue("report")), sallyport.Interval(r.FormValue("every"))
	v.Filter = sallyport.ReportFilter{Text: strings.TrimSpace(r.FormValue("text"))}
	switch v.Report {
	case sallyport.ReportEnrolled, sallyport.ReportUnenrolled:
		v.Filter.Policy = sallyport.UserPolicyID(r.FormValue("policy"))
	default:
		v.Filter.Outcome = r.FormValue("outcome")
	}
	number := func(name string) int {
		n, err := strconv.Atoi(strings.TrimSpace(r.FormValue(name)))
		if err != nil {
			return 0
		}
		return n
	}
	v.Weekday, v.Day, v.At = time.Weekday(number("weekday")), number("day"), -1
	if v.Every != sallyport.Monthly && (v.Day < 1 || v.Day > 28) {
		v.Day = 1
	}
	if at, err := time.Parse("15:04", r.FormValue("at")); err == nil {
		v.At = time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
	}
	v.Zone, v.Paused, v.Version = strings.TrimSpace(r.FormValue("zone")), r.FormValue("paused") != "", r.version()
	v.Recipients = strings.FieldsFunc(r.FormValue("recipients"), func(c rune) bool { return strings.ContainsRune(",; \t\r\n", c) })
	return v
}

func reportScheduleCrumbs() []Link {
	return []Link{{"Reports", "/reports"}, {"By e-mail", "/reports/schedules"}}
}

func (r *request) showReportScheduleForm(status int, f Form) error {
	f.Cancel = "/reports/schedules"
	return r.showAs(status, Page{Title: "Add a schedule", Crumbs: reportScheduleCrumbs(), Content: "formpage", Data: f})
}

func (r *request) newReportSchedulePage() error {
	f, err := r.reportScheduleForm(sallyport.ReportSchedule{Report: sallyport.ReportUnenrolled, Every: sallyport.Weekly, Weekday: time.Monday, Day: 1, At: 7 * time.Hour, Zone: "UTC"}, "Add schedule")
	if err != nil {
		return err
	}
	return r.showReportScheduleForm(http.StatusOK, f)
}

func (r *request) newReportSchedule() error {
	v := r.readReportSchedule(sallyport.ReportSchedule{})
	v.Version = 0
	made, err := r.s.admin.PutReportSchedule(r.Request().Context(), r.Actor(), v)
	if err == nil {
		return r.done("/reports/schedules/"+string(made.ID), "The schedule was added. Send it now to see what arrives.")
	}
	v.At = max(v.At, 0)
	f, ferr := r.reportScheduleForm(v, "Add schedule")
	f, ok := f.with(err)
	if !ok || ferr != nil {
		return err
	}
	return r.showReportScheduleForm(http.StatusUnprocessableEntity, f)
}

func (r *request) reportScheduleID() sallyport.ReportScheduleID {
	return sallyport.ReportScheduleID(r.Param("id"))
}

func (r *request) reportSchedule() error {
	v, err := r.s.admin.ReportSchedule(r.Request().Context(), r.Actor(), r.reportScheduleID())
	if err != nil {
		return err
	}
	f, err := r.reportScheduleForm(v, "Save")
	if err != nil {
		return err
	}
	return r.showReportSchedule(http.StatusOK, v, f)
}

func (r *request) showReportSchedule(status int, v sallyport.ReportSchedule, f Form) error {
	path := "/reports/schedules/" + string(v.ID)
	last := Card{Title: "Last time", Facts: []Fact{{"Made", sentCell(v.Last)}, fact("Sent", rhythm(v)), {"Next", Cell{Text: stamp(v.Due)}}, fact("To", strings.Join(v.Recipients, ", "))}}
	if v.Paused {
		last.Facts[2].Cell = Cell{Badge: Badge{"warn", "Paused"}}
	}
	if v.Last.Mail != "" && r.May("Mails") {
		last.Links = []Link{{"What became of the message", "/settings/mail/messages"}}
	}
	d := CardPage{Cards: []Card{last}}
	p := Page{Title: v.Name, Lead: report.Title(v.Report), Crumbs: reportScheduleCrumbs(), Content: "cardpage"}
	if r.May("PutReportSchedule") {
		d.Cards = append(d.Cards, Card{Title: "Schedule", Form: &f})
		send := r.form("Send it now")
		send.Path = path + "/send"
		del := r.form("Delete", Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(v.Version, 10)})
		del.Path, del.Danger = path+"/delete", true
		d.Dialogs = []Dialog{{ID: "send", Title: "Send “" + v.Name + "” now?", Text: "To " + strings.Join(v.Recipients, ", ") + ". When it is due next stays as it is.", Form: send},
			{ID: "delete", Title: "Delete “" + v.Name + "”?", Text: "The report is not sent any more. What was sent stays with those who have it.", Form: del}}
		p.Actions = []Action{{Label: "Send now", Dialog: "send"}, {Label: "Delete", Dialog: "delete", Danger: true}}
	}
	p.Data = d
	return r.showAs(status, p)
}

func (r *request) changeReportSchedule() error {
	ctx := r.Request().Context()
	before, err := r.s.admin.ReportSchedule(ctx, r.Actor(), r.reportScheduleID())
	if err != nil {
		return err
	}
	v := r.readReportSchedule(before)
	if _, err = r.s.admin.PutReportSchedule(ctx, r.Actor(), v); err == nil {
		return r.done("/reports/schedules/"+string(v.ID), "Saved.")
	}
	v.At = max(v.At, 0)
	f, ferr := r.reportScheduleForm(v, "Save")
	f, ok := f.with(err)
	if !ok || ferr != nil {
		return err
	}
	return r.showReportSchedule(http.StatusUnprocessableEntity, before, f)
}

func (r *request) sendReport() error {
	ctx, cancel := r.within(exportFor)
	defer cancel()
	return r.orConflict("/reports/schedules/"+r.Param("id"), "The report is on its way. Messages, under Settings, says what becomes of it.", r.s.admin.SendReport(ctx, r.Actor(), r.reportScheduleID()))
}

func (r *request) deleteReportSchedule() error {
	return r.orConflict("/reports/schedules", "The schedule was deleted.", r.s.admin.DeleteReportSchedule(r.Request().Context(), r.Actor(), r.reportScheduleID(), r.version()))
}
