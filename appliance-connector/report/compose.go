package report

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

const (
	// zipOver is from which size on an attachment is compressed; mostCSV and mostAttached, in octets, are what a
	// report may have before and after.
	zipOver      = 1 << 20
	mostCSV      = 64 << 20
	mostAttached = 8 << 20
	// composeTime bounds one report.
	composeTime = 5 * time.Minute
)

var errTooLarge = errors.New("report is too large")

// Title is what a report is called.
func Title(r sallyport.Report) string {
	switch r {
	case sallyport.ReportEnrolled:
		return "Enrolled users"
	case sallyport.ReportUnenrolled:
		return "Unenrolled users (remote access)"
	case sallyport.ReportLogins:
		return "Login activity"
	case sallyport.ReportRADIUS:
		return "RADIUS activity"
	}
	return string(r)
}

// Compose makes the message of a report; what it covers, if it is about activity, ends at a time and begins
// when the report was due before. A report that is too large is an error in words for people.
func Compose(ctx context.Context, db *store.Store, r sallyport.ReportSchedule, at, now time.Time) (m sallyport.Mail, rows int, err error) {
	ctx, cancel := context.WithTimeout(ctx, composeTime)
	defer cancel()
	zone, err := time.LoadLocation(r.Zone)
	if err != nil {
		return m, 0, sallyport.Errorf(sallyport.CodeInvalid, "The time zone "+r.Zone+" is not known here.", err)
	}
	from := r.Before(at, zone)
	out := &bounded{most: mostCSV}
	if rows, err = write(ctx, db, r, from, at, out); err != nil {
		return m, 0, tooLarge(err)
	}
	file := sallyport.MailAttachment{Name: fmt.Sprintf("%s-%s.csv", r.Report, at.In(zone).Format(time.DateOnly)), Type: "text/csv", Data: out.Bytes()}
	if len(file.Data) > zipOver {
		if file, err = zipped(file); err != nil {
			return m, 0, tooLarge(err)
		}
	}
	text := fmt.Sprintf("%s\r\n\r\n%s, %d rows, is attached as CSV.\r\n", r.Name, Title(r.Report), rows)
	if r.Report == sallyport.ReportLogins || r.Report == sallyport.ReportRADIUS {
		text += fmt.Sprintf("From %s to %s (%s).\r\n", from.In(zone).Format("2 January 2006, 15:04"), at.In(zone).Format("2 January 2006, 15:04"), r.Zone)
	}
	return sallyport.Mail{ID: sallyport.NewID(), Created: now, Recipients: r.Recipients, Subject: "Sallyport: " + r.Name,
		Text: text + "\r\nThis message was sent by the schedule of an administrator.\r\n", Attachment: &file}, rows, nil
}

func tooLarge(err error) error {
	if errors.Is(err, errTooLarge) {
		return sallyport.Errorf(sallyport.CodeLimited, "The report is too large to be sent by e-mail. Send it more often, or filter it; the console exports reports of every size.", err)
	}
	return err
}

func zipped(file sallyport.MailAttachment) (sallyport.MailAttachment, error) {
	out := &bounded{most: mostAttached}
	zip := gzip.NewWriter(out)
	zip.Name = file.Name
	_, err := zip.Write(file.Data)
	if err = errors.Join(err, zip.Close()); err != nil {
		return file, err
	}
	return sallyport.MailAttachment{Name: file.Name + ".gz", Type: "application/gzip", Data: out.Bytes()}, nil
}

func write(ctx context.Context, db *store.Store, r sallyport.ReportSchedule, from, to time.Time, w io.Writer) (int, error) {
	head, each := UserHead(), eachUser(ctx, db, r)
	switch r.Report {
	case sallyport.ReportLogins:
		head, each = LoginHead(), func(row func(...string) error) error {
			q := store.LoginQuery{From: from, To: to, Text: r.Filter.Text, Outcome: sallyport.Outcome(r.Filter.Outcome)}
			return db.EachLogin(ctx, q, func(l sallyport.LoginRecord) error { return row(LoginRow(l)...) })
		}
	case sallyport.ReportRADIUS:
		head, each = RADIUSHead(), func(row func(...string) error) error {
			q := store.RADIUSQuery{From: from, To: to, Text: r.Filter.Text, Outcome: sallyport.RADIUSOutcome(r.Filter.Outcome)}
			return db.EachRADIUS(ctx, q, func(a store.RADIUSActivity) error { return row(RADIUSRow(a)...) })
		}
	}
	out, err := NewWriter(w, head)
	if err != nil {
		return 0, err
	}
	if err := each(out.Row); err != nil {
		return 0, err
	}
	return out.Rows, out.End()
}

func eachUser(ctx context.Context, db *store.Store, r sallyport.ReportSchedule) func(func(...string) error) error {
	return func(row func(...string) error) error {
		policies, err := db.UserPolicies(ctx)
		if err != nil {
			return err
		}
		names := map[sallyport.UserPolicyID]string{}
		for _, p := range policies {
			names[p.ID] = p.Name
		}
		return db.EachUser(ctx, Enrolment(store.UserQuery{Text: r.Filter.Text, Policy: r.Filter.Policy}, r.Report == sallyport.ReportEnrolled), func(u sallyport.User) error {
			devices, err := db.Devices(ctx, u.Account)
			if err != nil {
				return err
			}
			phones, err := db.Phones(ctx, u.Account)
			if err != nil {
				return err
			}
			return row(UserRow(u, devices, phones, names[u.Policy])...)
		})
	}
}

// bounded is a buffer that takes so much and no more.
type bounded struct {
	bytes.Buffer
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.most {
		return 0, errTooLarge
	}
	return b.Buffer.Write(p)
}
