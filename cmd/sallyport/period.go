package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// period is the time that a list is of. Days and times without a zone are UTC here as they are in the console, in
// reports and in the API: appliances and people of one enterprise may be in several zones, and a day is one day for all.
type period struct{ from, to, since string }

func (p *period) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&p.from, "from", "", "begin of the time: 2026-11-25, 2026-11-25T08:30, or RFC 3339; without a zone it is UTC")
	f.StringVar(&p.to, "to", "", "end of the time, likewise; a day is counted in")
	f.StringVar(&p.since, "since", "", "how long back: 30m, 8h, 7d")
	c.MarkFlagsMutuallyExclusive("from", "since")
	completes(c, cobra.NoFileCompletions, "from", "to", "since")
}

// read returns the bounds, from <= t < to; zero ones are open.
func (p *period) read(now time.Time) (from, to time.Time, err error) {
	if p.since != "" {
		d, err := length(p.since)
		if err != nil || d <= 0 {
			return from, to, &usageError{fmt.Errorf("--since %q: use 30m, 8h or 7d", p.since)}
		}
		from = now.Add(-d)
	}
	if p.from != "" {
		if from, _, err = moment(p.from); err != nil {
			return from, to, &usageError{fmt.Errorf("--from %w", err)}
		}
	}
	if p.to != "" {
		var day bool
		if to, day, err = moment(p.to); err != nil {
			return from, to, &usageError{fmt.Errorf("--to %w", err)}
		}
		if day {
			to = to.AddDate(0, 0, 1)
		}
	}
	return from, to, nil
}

// moment reads a time; day: it is a whole day, and the time its begin.
func moment(text string) (t time.Time, day bool, err error) {
	if t, err = time.Parse(time.DateOnly, text); err == nil {
		return t, true, nil
	}
	if t, err = time.Parse("2006-01-02T15:04", text); err == nil {
		return t, false, nil
	}
	if t, err = time.Parse(time.RFC3339, text); err == nil {
		return t, false, nil
	}
	return t, false, fmt.Errorf("%q: write a time as 2026-11-25, 2026-11-25T08:30 or 2026-11-25T08:30:00Z", text)
}

// maxDays keeps a length of time within what a duration can hold.
const maxDays = 10_000

// length reads a length of time as people write it: what Go takes, and days ("7d").
func length(text string) (time.Duration, error) {
	var days int
	var rest string
	if n, _ := fmt.Sscanf(text, "%dd%s", &days, &rest); n == 1 && text == fmt.Sprintf("%dd", days) && days >= 0 && days <= maxDays {
		return time.Duration(days) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q: write a length of time as 30m, 8h or 7d", text)
	}
	return d, nil
}

// lengthWords writes whole days as days.
func lengthWords(d time.Duration) string {
	switch {
	case d > 0 && d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}
