package sallyport

import (
	"testing"
	"time"
	_ "time/tzdata"
)

func TestReportsAreDueByTheClockOfTheirZone(t *testing.T) {
	zurich, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		t.Fatal(err)
	}
	seven := 7 * time.Hour
	for _, c := range []struct {
		name         string
		r            ReportSchedule
		now          string
		before, next string
	}{
		{"daily, later today", ReportSchedule{Every: Daily, At: seven}, "2026-01-10T05:00:00Z", "2026-01-09T06:00:00Z", "2026-01-10T06:00:00Z"},
		{"daily, at that moment", ReportSchedule{Every: Daily, At: seven}, "2026-01-10T06:00:00Z", "2026-01-09T06:00:00Z", "2026-01-11T06:00:00Z"},
		{"daily, over the change to summer time", ReportSchedule{Every: Daily, At: seven}, "2026-03-28T12:00:00Z", "2026-03-28T06:00:00Z", "2026-03-29T05:00:00Z"},
		{"daily, at a time that is left out", ReportSchedule{Every: Daily, At: 2*time.Hour + 30*time.Minute}, "2026-03-28T12:00:00Z", "2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z"},
		{"daily, at a time that comes twice", ReportSchedule{Every: Daily, At: 2*time.Hour + 30*time.Minute}, "2026-10-25T00:15:00Z", "2026-10-24T00:30:00Z", "2026-10-25T01:30:00Z"},
		{"weekly", ReportSchedule{Every: Weekly, Weekday: time.Monday, At: seven}, "2026-01-07T00:00:00Z", "2026-01-05T06:00:00Z", "2026-01-12T06:00:00Z"},
		{"weekly, on Sunday", ReportSchedule{Every: Weekly, Weekday: time.Sunday, At: seven}, "2026-01-10T00:00:00Z", "2026-01-04T06:00:00Z", "2026-01-11T06:00:00Z"},
		{"monthly, over the end of the year", ReportSchedule{Every: Monthly, Day: 28, At: seven}, "2025-12-31T00:00:00Z", "2025-12-28T06:00:00Z", "2026-01-28T06:00:00Z"},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.r.Next(now, zurich).Format(time.RFC3339); got != c.next {
			t.Errorf("%s: next %s, want %s", c.name, got, c.next)
		}
		if got := c.r.Before(now, zurich).Format(time.RFC3339); got != c.before {
			t.Errorf("%s: before %s, want %s", c.name, got, c.before)
		}
	}
}
