package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport"
)

const (
	reportSchedule        = "report schedule"
	reportScheduleColumns = `id, name, schedule, due, last_time, last_rows, last_mail, last_trouble, version`
	maxSchedules          = 100
	maxTrouble            = 1000
	maxZone               = 64
)

// keptSchedule is what of a schedule is kept as JSON.
type keptSchedule struct {
	Report     sallyport.Report       `json:"report"`
	Filter     sallyport.ReportFilter `json:"filter"`
	Every      sallyport.Interval     `json:"every"`
	Weekday    time.Weekday           `json:"weekday"`
	Day        int                    `json:"day"`
	Minute     int                    `json:"minute"` // of the day
	Zone       string                 `json:"zone"`
	Recipients []string               `json:"recipients"`
	Paused     bool                   `json:"paused"`
}

// ReportSchedules returns all schedules by name.
func (s *Store) ReportSchedules(ctx context.Context) ([]sallyport.ReportSchedule, error) {
	list, err := s.reportSchedules(ctx, `SELECT `+reportScheduleColumns+` FROM report_schedules`)
	slices.SortFunc(list, func(a, b sallyport.ReportSchedule) int {
		return cmp.Or(cmp.Compare(fold(a.Name), fold(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	return list, err
}

// ReportSchedule returns one schedule, or not_found.
func (s *Store) ReportSchedule(ctx context.Context, id sallyport.ReportScheduleID) (sallyport.ReportSchedule, error) {
	if err := checkID(reportSchedule, string(id)); err != nil {
		return sallyport.ReportSchedule{}, err
	}
	r, found, err := one(s.reportSchedules(ctx, `SELECT `+reportScheduleColumns+` FROM report_schedules WHERE id = $1`, string(id)))
	if err == nil && !found {
		err = notFound(reportSchedule)
	}
	return r, err
}

// PutReportSchedule adds a schedule (Version 0; an empty ID gets one) or replaces it, and returns it as it is
// now. Due is taken from r; what became of it before stays.
func (s *Store) PutReportSchedule(ctx context.Context, r sallyport.ReportSchedule) (sallyport.ReportSchedule, error) {
	if r.ID == "" && r.Version == 0 {
		r.ID = sallyport.ReportScheduleID(sallyport.NewID())
	}
	if err := checkReportSchedule(r); err != nil {
		return sallyport.ReportSchedule{}, err
	}
	given := r.Version
	err := s.audited(ctx, "save report schedule", func(ctx context.Context, tx *changing) error {
		before, err := s.lockReportSchedule(ctx, tx.Tx, r.ID)
		if err != nil {
			return err
		}
		r.Version, r.Last = before.Version+1, before.Last
		if err := first(tx.checkVersion(ctx, reportSchedule, string(r.ID), before.Version, given),
			tx.checkName(ctx, "report_schedules", reportSchedule, string(r.ID), r.Name)); err != nil {
			return err
		}
		var others int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM report_schedules WHERE id <> $1`, string(r.ID)).Scan(&others); err != nil {
			return err
		}
		if others >= maxSchedules {
			return sallyport.Errorf(sallyport.CodeLimited, fmt.Sprintf("There may be at most %d report schedules.", maxSchedules), nil)
		}
		if err := writeReportSchedule(ctx, tx.Tx, r); err != nil {
			return fmt.Errorf("write report schedule: %w", err)
		}
		return tx.record(reportSchedule+"."+verb(given), r.Name, string(r.ID), orNothing(given, kept(before)), kept(r))
	})
	if err != nil {
		return sallyport.ReportSchedule{}, err
	}
	return r, nil
}

// DeleteReportSchedule removes a schedule. What it has sent stays sent.
func (s *Store) DeleteReportSchedule(ctx context.Context, id sallyport.ReportScheduleID, version int64) error {
	if err := checkID(reportSchedule, string(id)); err != nil {
		return err
	}
	return s.audited(ctx, "delete report schedule", func(ctx context.Context, tx *changing) error {
		before, err := s.lockReportSchedule(ctx, tx.Tx, id)
		if err != nil {
			return err
		}
		if before.Version == 0 {
			return notFound(reportSchedule)
		}
		if err := tx.checkVersion(ctx, reportSchedule, string(id), before.Version, version); err != nil {
			return err
		}
		if err := deleteOne(ctx, tx.Tx, reportSchedule, `DELETE FROM report_schedules WHERE id = $1`, string(id)); err != nil {
			return err
		}
		return tx.record(reportSchedule+".delete", before.Name, string(id), kept(before), nil)
	})
}

// FinishReport writes what became of a report that was due, when it is due next, and the message that it is
// sent in (nil: there is none), all or nothing; the message's ID is put into the result. done is false when
// another appliance was first, or the schedule was changed meanwhile: then nothing is written.
func (s *Store) FinishReport(ctx context.Context, id sallyport.ReportScheduleID, due, next time.Time, r sallyport.ReportResult, m *sallyport.Mail) (done bool, err error) {
	if err := checkID(reportSchedule, string(id)); err != nil {
		return false, err
	}
	if m != nil {
		if err := checkMessage(*m); err != nil {
			return false, err
		}
		r.Mail = m.ID
	}
	ctx, cancel := patiently(ctx)
	defer cancel()
	err = s.engine.transact(ctx, func(tx *sql.Tx) error {
		done = false
		result, err := tx.ExecContext(ctx, `UPDATE report_schedules SET due = $3, last_time = $4, last_rows = $5, last_mail = $6, last_trouble = $7
			WHERE id = $1 AND due = $2`, string(id), micros(due), micros(next), micros(r.Time), r.Rows, r.Mail, clean(r.Trouble, maxTrouble))
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil || n == 0 {
			return err
		}
		if done = true; m == nil {
			return nil
		}
		return s.queueMail(ctx, tx, *m)
	})
	return done && err == nil, s.engine.failure("write what became of report", err)
}

func (s *Store) lockReportSchedule(ctx context.Context, tx *sql.Tx, id sallyport.ReportScheduleID) (sallyport.ReportSchedule, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+reportScheduleColumns+` FROM report_schedules WHERE id = $1`+s.engine.lockRows, string(id))
	if err != nil {
		return sallyport.ReportSchedule{}, fmt.Errorf("read report schedule: %w", err)
	}
	r, _, err := one(collect(rows, scanReportSchedule))
	return r, err
}

func (s *Store) reportSchedules(ctx context.Context, query string, args ...any) ([]sallyport.ReportSchedule, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read, query, args...)
	if err != nil {
		return nil, s.engine.failure("read report schedules", err)
	}
	list, err := collect(rows, scanReportSchedule)
	return list, s.engine.failure("read report schedules", err)
}

func kept(r sallyport.ReportSchedule) keptSchedule {
	return keptSchedule{r.Report, r.Filter, r.Every, r.Weekday, r.Day, int(r.At / time.Minute), r.Zone, r.Recipients, r.Paused}
}

func scanReportSchedule(rows *sql.Rows) (r sallyport.ReportSchedule, err error) {
	var text string
	var due, last int64
	var k keptSchedule
	if err = rows.Scan(&r.ID, &r.Name, &text, &due, &last, &r.Last.Rows, &r.Last.Mail, &r.Last.Trouble, &r.Version); err == nil {
		err = json.Unmarshal([]byte(text), &k)
	}
	r.Report, r.Filter, r.Every, r.Weekday, r.Day = k.Report, k.Filter, k.Every, k.Weekday, k.Day
	r.At, r.Zone, r.Recipients, r.Paused = time.Duration(k.Minute)*time.Minute, k.Zone, k.Recipients, k.Paused
	r.Due, r.Last.Time = fromMicros(due), orNever(last)
	return r, err
}

func writeReportSchedule(ctx context.Context, tx *sql.Tx, r sallyport.ReportSchedule) error {
	text, err := json.Marshal(kept(r))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO report_schedules (id, name, name_folded, schedule, due, last_time, last_rows, last_mail, last_trouble, version)
		VALUES ($1, $2, $3, $4, $5, 0, 0, '', '', $6)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, name_folded = excluded.name_folded, schedule = excluded.schedule, due = excluded.due, version = excluded.version`,
		string(r.ID), r.Name, fold(r.Name), string(text), micros(r.Due), r.Version)
	return err
}

func checkReportSchedule(r sallyport.ReportSchedule) error {
	switch r.Report {
	case sallyport.ReportEnrolled, sallyport.ReportUnenrolled, sallyport.ReportLogins, sallyport.ReportRADIUS:
	default:
		return invalidf("There is no such report.")
	}
	switch {
	case r.Every != sallyport.Daily && r.Every != sallyport.Weekly && r.Every != sallyport.Monthly:
		return invalidf("A report is sent daily, weekly or monthly.")
	case r.Every == sallyport.Monthly && (r.Day < 1 || r.Day > 28):
		return invalidf("The day of the month is 1 to 28: every month has those.")
	case r.Weekday < time.Sunday || r.Weekday > time.Saturday || r.Day < 0 || r.Day > 28:
		return invalidf("The day of the report is none.")
	case r.At < 0 || r.At >= 24*time.Hour || r.At%time.Minute != 0:
		return invalidf("The time of day is 00:00 to 23:59.")
	case len(r.Filter.Text) > maxUserName || len(r.Filter.Outcome) > maxWord:
		return invalidf("The filter is too long.")
	case r.Filter.Policy != "" && !sallyport.ValidID(string(r.Filter.Policy)):
		return invalidf("The user policy of the filter is none.")
	}
	return first(checkID(reportSchedule, string(r.ID)), checkText("name", r.Name, maxName), checkText("time zone", r.Zone, maxZone), checkAddresses(r.Recipients))
}
