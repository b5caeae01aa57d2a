package directory

import (
	"testing"
	"time"
)

func TestLogonHoursAreThoseOfTheWeekInUTC(t *testing.T) {
	t.Parallel()
	var hours [hoursOfAWeek]byte
	hours[0] = 1         // Sunday, 0 to 1
	hours[20] = 1 << 7   // Saturday, 23 to 24
	hours[3+1] |= 1 << 1 // Monday, 9 to 10
	sunday := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for at, want := range map[time.Time]bool{
		sunday: true, sunday.Add(59 * time.Minute): true, sunday.Add(time.Hour): false, sunday.Add(-time.Second): true, sunday.Add(-time.Hour - time.Second): false,
		sunday.Add((24 + 9) * time.Hour): true, sunday.Add((24 + 10) * time.Hour): false, sunday.Add((24 + 8) * time.Hour): false,
		sunday.Add((24 + 9) * time.Hour).In(time.FixedZone("", 5*3600)): true,
	} {
		if got := withinHours(hours[:], at); got != want {
			t.Errorf("%v: %v", at, got)
		}
	}
	if !withinHours(nil, sunday) || withinHours(hours[:20], sunday) {
		t.Error("no hours are always, and a wrong number of them is never")
	}
}
