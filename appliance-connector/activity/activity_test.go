package activity_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/activity"
)

// store keeps what it is given, as long as it is there.
type store struct {
	mu      sync.Mutex
	down    error
	refuses string // what it takes no login of
	logins  []sallyport.LoginRecord
	events  []sallyport.LoginEvent
	audit   []sallyport.AuditRecord
	radius  []sallyport.RADIUSActivity
	before  []time.Time // of abandoned logins
	calls   int
	wrote   chan struct{} // an audit record
}

// take counts a call, and says what comes of it.
func (s *store) take() error {
	s.mu.Lock()
	s.calls++
	return s.down
}

func (s *store) RecordLogins(_ context.Context, logins []sallyport.LoginRecord, events []sallyport.LoginEvent) error {
	defer s.mu.Unlock()
	if err := s.take(); err != nil {
		return err
	}
	for _, l := range logins {
		if l.ID == s.refuses {
			return sallyport.Errorf(sallyport.CodeInvalid, "no", nil)
		}
	}
	s.logins, s.events = append(s.logins, logins...), append(s.events, events...)
	return nil
}

// RecordActivity keeps all, or nothing: like the store.
func (s *store) RecordActivity(_ context.Context, logins []sallyport.LoginRecord, events []sallyport.LoginEvent, audit []sallyport.AuditRecord, requests []sallyport.RADIUSActivity) error {
	defer s.mu.Unlock()
	if err := s.take(); err != nil {
		return err
	}
	for _, l := range logins {
		if l.ID == s.refuses {
			return sallyport.Errorf(sallyport.CodeInvalid, "no", nil)
		}
	}
	s.logins, s.events = append(s.logins, logins...), append(s.events, events...)
	s.audit, s.radius = append(s.audit, audit...), append(s.radius, requests...)
	if len(audit) > 0 {
		select {
		case s.wrote <- struct{}{}:
		default:
		}
	}
	return nil
}

func (s *store) AppendAudit(_ context.Context, list []sallyport.AuditRecord) error {
	defer s.mu.Unlock()
	err := s.take()
	if err == nil {
		s.audit = append(s.audit, list...)
		select {
		case s.wrote <- struct{}{}:
		default:
		}
	}
	return err
}

func (s *store) RecordRADIUS(_ context.Context, list []sallyport.RADIUSActivity) error {
	defer s.mu.Unlock()
	err := s.take()
	if err == nil {
		s.radius = append(s.radius, list...)
	}
	return err
}

func (s *store) AbandonLogins(_ context.Context, before, _ time.Time) (int64, error) {
	defer s.mu.Unlock()
	err := s.take()
	s.before = append(s.before, before)
	return 0, err
}

type world struct {
	t *testing.T
	*store
	now time.Time
	log bytes.Buffer
	*activity.Recorder
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: time.Date(2026, 3, 1, 7, 0, 0, 0, time.UTC), store: &store{wrote: make(chan struct{}, 1)}}
	w.Recorder = activity.New(activity.Options{Store: w.store, Appliance: "a1", Life: 10 * time.Minute,
		Now: func() time.Time { return w.now }, Log: slog.New(slog.NewTextHandler(&w.log, nil))})
	return w
}

func (w *world) flush() {
	w.t.Helper()
	if err := w.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func away() error {
	return sallyport.Errorf(sallyport.CodeUnavailable, "away", errors.New("connection refused"))
}

func login(id string, o sallyport.Outcome) sallyport.LoginRecord {
	return sallyport.LoginRecord{ID: id, Time: time.Unix(1, 0), SupportCode: "ABCD-" + id, Outcome: o}
}

func TestWhatIsToldIsWrittenTogether(t *testing.T) {
	w := newWorld(t)
	for i := range 50 {
		id := fmt.Sprint(i)
		w.Login(login(id, sallyport.OutcomeOpen))
		w.Event(sallyport.LoginEvent{SupportCode: id, Step: 5})
		w.Audit(sallyport.AuditRecord{Action: "login.granted"})
		w.Login(login(id, sallyport.OutcomeGranted))
	}
	w.flush()
	if len(w.logins) != 100 || len(w.events) != 50 || len(w.audit) != 50 {
		t.Errorf("%d logins, %d events, %d audit records", len(w.logins), len(w.events), len(w.audit))
	}
	if w.calls != 2 { // everything together, and the search for abandoned ones
		t.Errorf("%d calls", w.calls)
	}
	if w.logins[0].Appliance != "a1" || w.events[0].Appliance != "a1" {
		t.Error("it is not told which appliance it was")
	}
	calls := w.calls
	w.flush()
	if w.calls != calls {
		t.Error("written again")
	}
}

func TestTheEndOfALoginIsToldOnce(t *testing.T) {
	w := newWorld(t)
	w.Login(login("l1", sallyport.OutcomeOpen))
	if !w.Login(login("l1", sallyport.OutcomeDenied)) || w.Login(login("l1", sallyport.OutcomeDenied)) {
		t.Error("a repeated step is not noticed")
	}
	if !w.Login(login("l2", sallyport.OutcomeDenied)) {
		t.Error("another login is taken for a repetition")
	}
	w.flush()
	if len(w.logins) != 3 {
		t.Errorf("%d records", len(w.logins))
	}
}

func TestNothingIsLostWhileTheStoreIsAwayForAShortTime(t *testing.T) {
	w := newWorld(t)
	w.down = away()
	for i := range 2500 {
		w.Login(login(fmt.Sprint(i), sallyport.OutcomeGranted))
		w.Audit(sallyport.AuditRecord{ObjectID: fmt.Sprint(i)})
	}
	if err := w.Flush(t.Context()); err == nil {
		t.Error("the store is away, and nobody says so")
	}
	w.down = nil
	w.flush()
	if len(w.logins) != 2500 || len(w.audit) != 2500 {
		t.Fatalf("%d logins, %d audit records", len(w.logins), len(w.audit))
	}
	if !slices.IsSortedFunc(w.audit, func(a, b sallyport.AuditRecord) int { return len(a.ObjectID) - len(b.ObjectID) }) {
		t.Error("not in the order in which it happened")
	}
	if s := w.Stats(); s.Logins != (activity.Count{Written: 2500}) || s.Audit != (activity.Count{Written: 2500}) {
		t.Errorf("counts %+v", s)
	}
}

func TestWhatFindsNoPlaceIsCountedAndTheTrailSaysSoAfterwards(t *testing.T) {
	w := newWorld(t)
	w.down = away()
	for i := range 12_000 { // 10,000 have a place
		w.Audit(sallyport.AuditRecord{ObjectID: fmt.Sprint(i)})
	}
	if s := w.Stats().Audit; s.Lost != 2000 || s.Waiting != 10_000 {
		t.Fatalf("counts %+v", s)
	}
	if n := strings.Count(w.log.String(), "records are being lost"); n != 1 {
		t.Errorf("%d lines say so", n)
	}
	w.down, w.now = nil, w.now.Add(time.Minute)
	w.flush()
	last := w.audit[len(w.audit)-1]
	if last.Action != "activity.lost" || !strings.Contains(last.Reason, "2000 audit records") || !strings.Contains(last.Reason, "2026-03-01T07:00:00Z") ||
		!strings.Contains(string(last.After), `"audit":2000`) || last.Actor.Kind != sallyport.ActorSystem {
		t.Errorf("the trail ends with %+v", last)
	}
	if len(w.audit) != 10_001 {
		t.Errorf("%d records", len(w.audit))
	}
	w.Audit(sallyport.AuditRecord{})
	w.flush()
	if last := w.audit[len(w.audit)-1]; last.Action == "activity.lost" {
		t.Error("told twice")
	}
}

func TestOneRecordThatTheStoreRefusesHoldsUpNoOther(t *testing.T) {
	w := newWorld(t)
	w.refuses = "13"
	for i := range 100 {
		w.Login(login(fmt.Sprint(i), sallyport.OutcomeGranted))
		w.Event(sallyport.LoginEvent{Step: i})
	}
	w.flush()
	if len(w.logins) != 99 || len(w.events) != 100 {
		t.Errorf("%d logins, %d events", len(w.logins), len(w.events))
	}
	if s := w.Stats().Logins; s.Written != 99 || s.Lost != 1 {
		t.Errorf("counts %+v", s)
	}
	if n := len(w.audit); n != 1 || w.audit[0].Action != "activity.lost" {
		t.Errorf("the trail does not tell of it: %+v", w.audit)
	}
}

func TestOfThousandsOfRequestsAPartIsWritten(t *testing.T) {
	w := newWorld(t)
	told := 0
	for i := range 30_000 {
		at := w.now.Add(time.Duration(i) * time.Second / 30_000)
		w.RADIUS(at, func() sallyport.RADIUSActivity {
			told++
			return sallyport.RADIUSActivity{Time: at, Integration: "vpn", Outcome: sallyport.RADIUSAccepted}
		})
		w.Frequent(at, func() sallyport.LoginEvent { return sallyport.LoginEvent{Time: at, Step: 15} })
	}
	w.flush()
	if told < 500 || told > 1000 || len(w.radius) != told {
		t.Errorf("%d made, %d written", told, len(w.radius))
	}
	if s := w.Stats(); s.RADIUS.LeftOut != uint64(30_000-told) || s.RADIUS.Lost != 0 || s.Events.LeftOut+s.Events.Written != 30_000 {
		t.Errorf("counts %+v", s)
	}
	if len(w.audit) != 0 {
		t.Error("what was left out on purpose is called lost")
	}
}

func TestLoginsThatNobodyGoesOnWithAreEnded(t *testing.T) {
	w := newWorld(t)
	w.flush()
	w.now = w.now.Add(30 * time.Second)
	w.flush()
	if want := []time.Time{w.now.Add(-30 * time.Second).Add(-10 * time.Minute)}; !slices.Equal(w.before, want) {
		t.Errorf("looked for those from before %v, want %v", w.before, want)
	}
	w.now = w.now.Add(time.Minute)
	w.flush()
	if len(w.before) != 2 {
		t.Errorf("looked %d times", len(w.before))
	}
}

func TestTheWriterWritesByItselfAndAtTheEnd(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	w.Audit(sallyport.AuditRecord{ObjectID: "1"})
	<-w.wrote
	w.Audit(sallyport.AuditRecord{ObjectID: "2"})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if len(w.audit) != 2 {
		t.Errorf("%d records at the end", len(w.audit))
	}
}

func TestTellingIsSafeFromManySides(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 500 {
				w.Login(login(fmt.Sprint(i, j), sallyport.OutcomeGranted))
				w.RADIUS(w.now, func() sallyport.RADIUSActivity { return sallyport.RADIUSActivity{Time: w.now} })
				if j%100 == 0 {
					if err := w.Flush(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	w.flush()
	if len(w.logins) != 4000 {
		t.Errorf("%d logins", len(w.logins))
	}
}

func BenchmarkRADIUS(b *testing.B) {
	r := activity.New(activity.Options{Store: &store{}, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	now := time.Now()
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			r.RADIUS(now, func() sallyport.RADIUSActivity { return sallyport.RADIUSActivity{} })
		}
	})
}
