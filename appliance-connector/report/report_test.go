package report

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

var start = time.Date(2026, 3, 4, 9, 30, 0, 0, time.UTC)

func opened(t *testing.T) *store.Store {
	t.Helper()
	db, err := store.Open(t.Context(), t.TempDir()+"/a.db", sallyport.Key(strings.Repeat("m", 32)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func logins(t *testing.T, db *store.Store, n int, at time.Time, user string) {
	t.Helper()
	for done := 0; done < n; {
		var list []sallyport.LoginRecord
		for ; done < n && len(list) < 1000; done++ {
			list = append(list, sallyport.LoginRecord{ID: fmt.Sprint(at.Unix(), "-", done), Time: at, UserName: user, SupportCode: sallyport.NewSupportCode(), Detail: strings.Repeat(sallyport.NewID(), 8),
				Door: sallyport.DoorOverlay, Outcome: sallyport.OutcomeDenied})
		}
		if err := db.RecordLogins(t.Context(), list, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func daily() sallyport.ReportSchedule {
	return sallyport.ReportSchedule{ID: "r1", Name: "Refused yesterday", Report: sallyport.ReportLogins, Every: sallyport.Daily, At: 7 * time.Hour, Zone: "Europe/Zurich", Recipients: []string{"it@hospital.example"}}
}

func TestAReportOfActivityCoversTheTimeSinceTheOneBefore(t *testing.T) {
	db := opened(t)
	due := time.Date(2026, 3, 4, 6, 0, 0, 0, time.UTC)
	logins(t, db, 1, due.Add(-25*time.Hour), "two days ago")
	logins(t, db, 1, due.Add(-24*time.Hour), "=cmd()")
	logins(t, db, 1, due.Add(-time.Second), "just before")
	logins(t, db, 1, due, "after")
	m, rows, err := Compose(t.Context(), db, daily(), due, start)
	if err != nil || rows != 2 {
		t.Fatalf("%d rows, %v", rows, err)
	}
	csv := string(m.Attachment.Data)
	if !strings.HasPrefix(csv, "\ufefftime,") || !strings.Contains(csv, "'=cmd()") || !strings.Contains(csv, "just before") || strings.Contains(csv, "two days") || strings.Contains(csv, "after") {
		t.Errorf("%s", csv)
	}
	if m.Attachment.Name != "logins-2026-03-04.csv" || m.Subject != "Sallyport: Refused yesterday" || !strings.Contains(m.Text, "From 3 March 2026, 07:00 to 4 March 2026, 07:00 (Europe/Zurich).") {
		t.Errorf("%s %s %s", m.Attachment.Name, m.Subject, m.Text)
	}
	r := daily()
	r.Filter.Text = "just"
	if _, rows, err := Compose(t.Context(), db, r, due, start); rows != 1 || err != nil {
		t.Errorf("filtered: %d %v", rows, err)
	}
	r.Zone = "Mars/Base"
	if _, _, err := Compose(t.Context(), db, r, due, start); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
		t.Errorf("unknown zone: %v", err)
	}
}

func TestALargeReportIsCompressed(t *testing.T) {
	db := opened(t)
	logins(t, db, 5000, start.Add(-time.Hour), "alice")
	r := daily()
	m, rows, err := Compose(t.Context(), db, r, start, start)
	if err != nil || rows != 5000 || m.Attachment.Name != "logins-2026-03-04.csv.gz" || m.Attachment.Type != "application/gzip" {
		t.Fatalf("%d %v %+v", rows, err, m.Attachment.Name)
	}
	z, err := gzip.NewReader(bytes.NewReader(m.Attachment.Data))
	if err != nil {
		t.Fatal(err)
	}
	csv, err := io.ReadAll(z)
	if err != nil || bytes.Count(csv, []byte("\r\n")) != 5001 {
		t.Errorf("%d lines, %v", bytes.Count(csv, []byte("\r\n")), err)
	}
}

func TestAReportThatIsTooLargeSaysSo(t *testing.T) {
	b := &bounded{most: 3}
	if _, err := b.Write([]byte("four")); sallyport.ErrorCode(tooLarge(err)) != sallyport.CodeLimited || b.Len() != 0 {
		t.Errorf("%v", err)
	}
}

func TestAReportThatCannotBeMadeIsNotTriedForEver(t *testing.T) {
	db, now := opened(t), start
	r := daily()
	r.Due = start.Add(-time.Hour)
	r, err := db.PutReportSchedule(t.Context(), func() sallyport.ReportSchedule { r.ID, r.Zone = "", "Mars/Base"; return r }())
	if err != nil {
		t.Fatal(err)
	}
	run := &Runner{Store: db, Holder: "a1", Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
	if err := run.RunDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	back, err := db.ReportSchedule(t.Context(), r.ID)
	mails, merr := db.Mails(t.Context(), 1)
	if err != nil || merr != nil || !strings.Contains(back.Last.Trouble, "Mars/Base") || !back.Due.After(now) || len(mails) != 0 {
		t.Errorf("%+v %v %v", back, mails, err)
	}
}
