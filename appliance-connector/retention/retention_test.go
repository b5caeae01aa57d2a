package retention

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

var start = time.Date(2026, 3, 4, 9, 30, 0, 0, time.UTC)

type files struct {
	asked []time.Time
	err   error
}

func (f *files) DeleteBefore(t, _ time.Time) (int, error) {
	f.asked = append(f.asked, t)
	return 1, f.err
}

// filled is a store with a login, a RADIUS request and an audit record of each age in days, and two runners on it.
func filled(t *testing.T, now *time.Time, days ...int) (*store.Store, *Runner, *Runner, *files, *bytes.Buffer) {
	t.Helper()
	db, err := store.Open(t.Context(), t.TempDir()+"/a.db", sallyport.Key(strings.Repeat("m", 32)), store.WithNow(func() time.Time { return *now }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, d := range days {
		at := start.AddDate(0, 0, -d)
		err := errors.Join(db.RecordLogins(t.Context(), []sallyport.LoginRecord{{ID: sallyport.NewID(), Time: at, SupportCode: "7H2K-9QXM", Door: sallyport.DoorOverlay, Outcome: sallyport.OutcomeGranted}}, nil),
			db.RecordRADIUS(t.Context(), []store.RADIUSActivity{{Time: at, Source: "10.1.2.3:1", Outcome: sallyport.RADIUSDropped}}),
			db.AppendAudit(t.Context(), []sallyport.AuditRecord{{Time: at, Action: "test.do"}}))
		if err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	f := &files{}
	make := func() *Runner {
		return &Runner{Store: db, Files: f, Now: func() time.Time { return *now }, Log: slog.New(slog.NewTextHandler(&log, nil))}
	}
	return db, make(), make(), f, &log
}

func counts(t *testing.T, db *store.Store) store.Aged {
	t.Helper()
	future := start.AddDate(10, 0, 0)
	a, err := db.CountBefore(t.Context(), future, future, future)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestWhatIsOldIsDeletedOnceADayAndRecorded(t *testing.T) {
	now := start
	db, one, other, f, _ := filled(t, &now, 500, 200, 100, 40, 20, 0)
	if err := errors.Join(one.RunDue(t.Context()), other.RunDue(t.Context())); err != nil {
		t.Fatal(err)
	}
	// 400, 180 and 30 days: the audit trail has the records of what was deleted in it by now.
	if got := counts(t, db); got.Logins != 4 || got.RADIUS != 2 || got.Audit != 5+3 {
		t.Errorf("%+v", got)
	}
	page, err := db.AuditRecords(t.Context(), store.AuditQuery{Action: "retention.delete"})
	if err != nil || len(page.Records) != 2 || page.Records[0].Actor.Name != "retention" || !strings.Contains(string(page.Records[1].After), `"rows":2`) {
		t.Errorf("%+v %v", page.Records, err)
	}
	if len(f.asked) != 2 || !f.asked[0].Equal(start.AddDate(0, 0, -30)) {
		t.Errorf("log files: %v", f.asked)
	}
	if found, err := db.VerifyAudit(t.Context(), nil); found != nil || err != nil {
		t.Errorf("the trail: %+v %v", found, err)
	}
	// Later that day nobody runs again, the next night somebody does.
	if err := db.SetSection(t.Context(), Section, []byte(`{"audit_days":30,"login_days":30,"radius_days":10,"log_days":5}`), 0); err != nil {
		t.Fatal(err)
	}
	now = Next(start).Add(-time.Minute)
	if err := errors.Join(one.RunDue(t.Context()), other.RunDue(t.Context())); err != nil || counts(t, db).Logins != 4 {
		t.Errorf("again on the same day: %+v %v", counts(t, db), err)
	}
	now = Next(start)
	if err := other.RunDue(t.Context()); err != nil || counts(t, db).Logins != 2 || counts(t, db).RADIUS != 1 {
		t.Errorf("the next night: %+v %v", counts(t, db), err)
	}
}

func TestARunThatFailsIsTriedAgain(t *testing.T) {
	now := start
	db, one, other, f, log := filled(t, &now, 500, 0)
	f.err = errors.New("disk")
	if err := db.SetSection(t.Context(), Section, []byte(`[]`), 0); err != nil {
		t.Fatal(err)
	}
	if err := one.RunDue(t.Context()); err == nil || counts(t, db).Logins != 2 {
		t.Errorf("settings that cannot be read delete something: %v", err)
	}
	if err := db.SetSection(t.Context(), Section, []byte(`{"audit_days":400,"login_days":180,"radius_days":30,"log_days":30}`), 1); err != nil {
		t.Fatal(err)
	}
	if err := other.RunDue(t.Context()); err != nil || counts(t, db).Logins != 1 || !strings.Contains(log.String(), "old log files not deleted") {
		t.Errorf("%+v %v %s", counts(t, db), err, log)
	}
}

func TestTheNextRunIsAtThree(t *testing.T) {
	for now, want := range map[string]string{"2026-03-04T02:59:59Z": "2026-03-04T03:00:00Z", "2026-03-04T03:00:00Z": "2026-03-05T03:00:00Z", "2026-12-31T23:00:00Z": "2027-01-01T03:00:00Z", "2026-03-04T01:30:00+02:00": "2026-03-04T03:00:00Z"} {
		at, err := time.Parse(time.RFC3339, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := Next(at).Format(time.RFC3339); got != want {
			t.Errorf("after %s: %s, want %s", now, got, want)
		}
	}
}
