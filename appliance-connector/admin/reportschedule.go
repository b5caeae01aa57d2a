package admin

import (
	"context"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/report"
)

const maxReportRecipients = 50

// ReportSchedules returns the reports that are sent by e-mail, by name.
func (s *Service) ReportSchedules(ctx context.Context, actor sallyport.Actor) ([]sallyport.ReportSchedule, error) {
	db, err := s.as(actor, "ReportSchedules")
	if err != nil {
		return nil, err
	}
	return db.ReportSchedules(ctx)
}

// ReportSchedule returns one of them.
func (s *Service) ReportSchedule(ctx context.Context, actor sallyport.Actor, id sallyport.ReportScheduleID) (sallyport.ReportSchedule, error) {
	db, err := s.as(actor, "ReportSchedule")
	if err != nil {
		return sallyport.ReportSchedule{}, err
	}
	return db.ReportSchedule(ctx, id)
}

// PutReportSchedule adds a schedule (Version 0) or changes it. It is due next as the schedule says.
func (s *Service) PutReportSchedule(ctx context.Context, actor sallyport.Actor, r sallyport.ReportSchedule) (sallyport.ReportSchedule, error) {
	db, err := s.as(actor, "PutReportSchedule")
	if err != nil {
		return r, err
	}
	f := FieldErrors{}
	zone, zerr := time.LoadLocation(r.Zone)
	f.check(zerr == nil && r.Zone != "" && r.Zone != "Local", "zone", "Use a name such as Europe/Zurich or UTC.")
	f.check(r.Name != "", "name", "Give it a name.")
	f.check(r.At >= 0 && r.At < 24*time.Hour, "at", "Use a time such as 07:30.")
	f.check(r.Every != sallyport.Monthly || r.Day >= 1 && r.Day <= 28, "day", "Use 1 to 28: every month has those.")
	f.check(len(r.Recipients) >= 1 && len(r.Recipients) <= maxReportRecipients, "recipients", "Give 1 to 50 addresses.")
	for _, a := range r.Recipients {
		f.check(mailAddress(a), "recipients", "“"+a+"” is no e-mail address.")
	}
	if err := f.err(); err != nil {
		return r, err
	}
	r.Due = r.Next(s.now(), zone)
	return db.PutReportSchedule(ctx, r)
}

// DeleteReportSchedule removes a schedule.
func (s *Service) DeleteReportSchedule(ctx context.Context, actor sallyport.Actor, id sallyport.ReportScheduleID, version int64) error {
	db, err := s.as(actor, "DeleteReportSchedule")
	if err != nil {
		return err
	}
	return db.DeleteReportSchedule(ctx, id, version)
}

// SendReport puts a report into the outbox at once, and leaves when it is due as it is. It covers what it would
// if it were due now.
func (s *Service) SendReport(ctx context.Context, actor sallyport.Actor, id sallyport.ReportScheduleID) error {
	db, err := s.as(actor, "SendReport")
	if err != nil {
		return err
	}
	r, err := db.ReportSchedule(ctx, id)
	if err != nil {
		return err
	}
	now := s.now()
	m, rows, err := report.Compose(ctx, db, r, now, now)
	if err != nil {
		return err
	}
	done, err := db.FinishReport(ctx, id, r.Due, r.Due, sallyport.ReportResult{Time: now, Rows: rows}, &m)
	if err == nil && !done {
		err = sallyport.Errorf(sallyport.CodeConflict, "The schedule was changed or is being sent at this moment. Look at it again.", nil)
	}
	if err != nil {
		return err
	}
	return db.AppendAudit(ctx, []sallyport.AuditRecord{{Action: "report schedule.send", Object: r.Name, ObjectID: string(id)}})
}
