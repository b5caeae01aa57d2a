package sallyport

import "time"

// Report is a list that can be looked at, exported, and sent by e-mail.
type Report string

const (
	ReportEnrolled   Report = "enrolled"
	ReportUnenrolled Report = "unenrolled"
	ReportLogins     Report = "logins"
	ReportRADIUS     Report = "radius"
)

// ReportScheduleID identifies a schedule.
type ReportScheduleID string

// ReportSchedule says when a report is sent, and to whom.
type ReportSchedule struct {
	ID     ReportScheduleID
	Name   string
	Report Report
	Filter ReportFilter
	Every  Interval
	// Weekday counts when Every is weekly, Day (1 to 28) when it is monthly.
	Weekday time.Weekday
	Day     int
	// At is the time of day in Zone, since midnight by its clock.
	At time.Duration
	// Zone is a name of the IANA time zone database, "Europe/Zurich".
	Zone       string
	Recipients []string
	// Paused: it is sent on demand only.
	Paused  bool
	Version int64

	// Due is when it is sent next, Last what became of it the last time: the appliance's, not the editor's.
	Due  time.Time
	Last ReportResult
}

// ReportFilter narrows a report; what is empty does not.
type ReportFilter struct {
	Text   string       `json:"text,omitempty"`
	Policy UserPolicyID `json:"policy,omitempty"` // of the reports about users
	// Outcome is that of logins or RADIUS requests.
	Outcome string `json:"outcome,omitempty"`
}

// ReportResult is what became of a report.
type ReportResult struct {
	Time time.Time
	Rows int
	// Mail is the message that it was sent in; empty when Trouble says why there is none.
	Mail    string
	Trouble string
}

// Interval is how often something is done.
type Interval string

const (
	Daily   Interval = "daily"
	Weekly  Interval = "weekly"
	Monthly Interval = "monthly"
)

// Next returns the first time after t at which the report is due. zone is that of the schedule's name. A time
// of day that a change of the clocks leaves out is moved as far as the clocks are; one that comes twice counts once.
func (r ReportSchedule) Next(t time.Time, zone *time.Location) time.Time {
	t = t.In(zone)
	for n := 0; ; n++ {
		if d := r.day(t, n); d.After(t) {
			return d.UTC()
		}
	}
}

// Before returns the last time before t at which the report was due: what it covers begins there.
func (r ReportSchedule) Before(t time.Time, zone *time.Location) time.Time {
	t = t.In(zone)
	for n := 0; ; n-- {
		if d := r.day(t, n); d.Before(t) {
			return d.UTC()
		}
	}
}

// day is the time at which the report is due in t's day, week or month, n of them later.
func (r ReportSchedule) day(t time.Time, n int) time.Time {
	year, month, day := t.Date()
	switch r.Every {
	case Weekly:
		day += int(r.Weekday-t.Weekday()) + 7*n
	case Monthly:
		month, day = month+time.Month(n), r.Day
	default:
		day += n
	}
	minutes := int(r.At / time.Minute)
	return time.Date(year, month, day, minutes/60, minutes%60, 0, 0, t.Location())
}
