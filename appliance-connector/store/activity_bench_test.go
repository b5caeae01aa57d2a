package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/store/conformance"
)

// batchSize is how many records a recorder writes at once here.
const batchSize = 100

// loginBatch is a batch of logins that ended, with three events each.
func loginBatch(n uint64, size int) ([]sallyport.LoginRecord, []sallyport.LoginEvent) {
	var logins []sallyport.LoginRecord
	var events []sallyport.LoginEvent
	for i := range uint64(size) {
		number := n*uint64(size) + i
		at := time.Unix(1_800_000_000, 0).Add(time.Duration(number) * time.Second)
		code := sallyport.SupportCode([5]byte{byte(number >> 32), byte(number >> 24), byte(number >> 16), byte(number >> 8), byte(number)})
		logins = append(logins, sallyport.LoginRecord{ID: fmt.Sprintf("login-%012d", number), Time: at, Ended: at.Add(time.Second), SupportCode: code,
			UserName: fmt.Sprint("user", number%10_000), Account: sallyport.NewAccountName("hospital", fmt.Sprint("user", number%10_000)), Integration: "vpn",
			Door: sallyport.DoorOverlay, Outcome: sallyport.OutcomeGranted, Method: sallyport.MethodPush, Address: "198.51.100.7", Appliance: "app-1"})
		for step := range 3 {
			events = append(events, sallyport.LoginEvent{SupportCode: code, Time: at, Step: step + 1, Message: "password is right", Appliance: "app-1"})
		}
	}
	return logins, events
}

func auditBatch(size int) []sallyport.AuditRecord {
	batch := make([]sallyport.AuditRecord, size)
	for n := range batch {
		batch[n] = sallyport.AuditRecord{Time: time.Unix(1_800_000_000, 0), Action: "login.granted", Object: `hospital\alice`, ObjectID: "user-1", Reason: "password and app",
			SupportCode: "ABCD-EFGH", Actor: sallyport.Actor{Kind: sallyport.ActorUser, Name: "alice", Address: "198.51.100.7"}}
	}
	return batch
}

// One operation is a batch of 100, by the one recorder of an appliance.
func BenchmarkAppendAudit(b *testing.B) {
	engines(b, func(b *testing.B, s *store.Store) {
		for b.Loop() {
			if err := s.AppendAudit(b.Context(), auditBatch(batchSize)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(batchSize*b.N)/b.Elapsed().Seconds(), "records/s")
	})
}

// One operation is a batch of 100 logins with 300 events, by the one recorder of an appliance.
func BenchmarkRecordLogins(b *testing.B) {
	engines(b, func(b *testing.B, s *store.Store) {
		n := uint64(0)
		for b.Loop() {
			logins, events := loginBatch(n, batchSize)
			if err := s.RecordLogins(b.Context(), logins, events); err != nil {
				b.Fatal(err)
			}
			n++
		}
		b.ReportMetric(float64(batchSize*b.N)/b.Elapsed().Seconds(), "logins/s")
	})
}

// engines are fresh databases of both engines.
func engines(b *testing.B, run func(*testing.B, *store.Store)) {
	b.Run("sqlite", func(b *testing.B) { run(b, conformance.Open(b, freshFile(b))) })
	b.Run("postgres", func(b *testing.B) { run(b, conformance.Open(b, shared.get(b).fresh(b))) })
}

// One operation is the verification of 50,000 records.
func BenchmarkVerifyAudit(b *testing.B) {
	engines(b, func(b *testing.B, s *store.Store) {
		const records = 50_000
		for range records / 1000 {
			if err := s.AppendAudit(b.Context(), auditBatch(1000)); err != nil {
				b.Fatal(err)
			}
		}
		for b.Loop() {
			if found, err := s.VerifyAudit(b.Context(), nil); err != nil || found != nil {
				b.Fatal(found, err)
			}
		}
		b.ReportMetric(float64(records*b.N)/b.Elapsed().Seconds(), "records/s")
	})
}

// Queries on a million logins: all of them streamed, the first page, a text that two of them hold, the
// counts of a day.
func BenchmarkMillionLogins(b *testing.B) {
	engines(b, func(b *testing.B, s *store.Store) {
		const records = 1_000_000
		for n := range uint64(records / 1000) {
			logins, _ := loginBatch(n, 1000)
			if err := s.RecordLogins(b.Context(), logins, nil); err != nil {
				b.Fatal(err)
			}
		}
		b.Run("stream", func(b *testing.B) {
			for b.Loop() {
				n := 0
				err := s.EachLogin(b.Context(), store.LoginQuery{}, func(sallyport.LoginRecord) error { n++; return nil })
				if err != nil || n != records {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(float64(records*b.N)/b.Elapsed().Seconds(), "records/s")
		})
		day := time.Unix(1_800_000_000, 0).Add(5 * 24 * time.Hour)
		for name, q := range map[string]store.LoginQuery{
			"page":    {From: day},
			"account": {Account: `hospital\user7777`},
			"text":    {Text: "7777"},
			"nothing": {Text: "no such text"},
		} {
			b.Run(name, func(b *testing.B) {
				for b.Loop() {
					if _, err := s.Logins(b.Context(), q); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run("counts", func(b *testing.B) {
			for b.Loop() {
				if counts, err := s.LoginCounts(b.Context(), day, day.Add(24*time.Hour), time.Hour); err != nil || len(counts) != 24 || counts[0].Granted != 3600 {
					b.Fatal(counts, err)
				}
			}
		})
	})
}
