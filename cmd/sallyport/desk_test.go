package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// used is an appliance after a day: alice has a phone and a passkey and was refused once, somebody typed a formula and a command
// of a terminal as user name, and a gateway asked from an address that nobody has.
func used(ctx context.Context, db *store.Store) error {
	now := time.Now()
	alice := sallyport.NewAccountName("hospital", "alice")
	if err := db.PutDevice(ctx, sallyport.Device{ID: sallyport.DeviceID(strings.Repeat("d", 43)), Account: alice, Name: "Alice's phone", Platform: "ios",
		PublicKey: []byte("public key"), Seed: sallyport.Key(strings.Repeat("s", 20)), DetailsKey: sallyport.Key(strings.Repeat("k", 32)), Enrolled: now}); err != nil {
		return err
	}
	for _, id := range []sallyport.RememberedID{"browser-1", "browser-2"} { // after the policy is switched on, which a script does
		d := sallyport.RememberedDevice{ID: id, Account: alice, Browser: "Firefox on Windows", Place: "203.0.113.7", Made: now.Add(time.Minute)}
		if err := db.PutRemembered(ctx, d, ""); err != nil {
			return err
		}
	}
	if err := db.AddUserPasskey(ctx, sallyport.Passkey{ID: "k1", Account: alice, Host: "vpn.hospital.example", Name: "Security key", Credential: []byte("c1"),
		Kept: []byte("kept of a passkey"), Enrolled: now}); err != nil {
		return err
	}
	began := now.Add(-time.Hour)
	if err := db.RecordLogins(ctx, []sallyport.LoginRecord{
		{ID: "l1", Time: began, Ended: began.Add(9 * time.Second), SupportCode: "7H2K-9QXM", UserName: "alice", Account: alice, Integration: "vpn",
			Door: sallyport.DoorOverlay, Outcome: sallyport.OutcomeDenied, Method: sallyport.MethodPush, Reason: sallyport.ReasonWrongNumber,
			Detail: "the phone approved with 41, the page showed another number", Address: "203.0.113.7", Appliance: "one"},
		{ID: "l2", Time: now, SupportCode: "AAAA-BBBB", UserName: "=1+1\x1b[2J\u202e", Door: sallyport.DoorOverlay, Outcome: sallyport.OutcomeDenied, Reason: sallyport.ReasonCredentials},
		{ID: "l3", Time: now.Add(-72 * time.Hour), SupportCode: "CCCC-DDDD", UserName: "bob", Account: sallyport.NewAccountName("hospital", "bob"),
			Door: sallyport.DoorRADIUS, Outcome: sallyport.OutcomeGranted, Method: sallyport.MethodCode},
	}, []sallyport.LoginEvent{
		{SupportCode: "7H2K-9QXM", Time: began, Step: 4, Message: "credentials arrived", Detail: []byte(`{"integration":"vpn"}`), Appliance: "one"},
		{SupportCode: "7H2K-9QXM", Time: began.Add(2 * time.Second), Step: 5, Message: "password is right", Appliance: "one"},
		{SupportCode: "7H2K-9QXM", Time: began.Add(9 * time.Second), Step: 11, Message: "login denied", Detail: []byte(`{"reason":"wrong_number"}`), Appliance: "one"},
	}); err != nil {
		return err
	}
	return db.RecordRADIUS(ctx, []store.RADIUSActivity{{Time: now, Source: "10.1.2.3:41234", UserName: "alice", Outcome: sallyport.RADIUSDropped,
		Reason: "unknown source address", Cure: "add the address to an integration", NASIdentifier: "bigip", Appliance: "one"}})
}

func TestLengthsAreWrittenAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"30m": 30 * time.Minute, "8h": 8 * time.Hour, "7d": 7 * 24 * time.Hour, "0d": 0, "1h30m": 90 * time.Minute} {
		if got, err := length(text); err != nil || got != want {
			t.Errorf("%q is %v: %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "-1d", "1d2h", "01d", "7 d", "99999999999999999999d", "20000d", "7"} {
		if got, err := length(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
	for d, want := range map[time.Duration]string{24 * time.Hour: "1d", 36 * time.Hour: "36h", 15 * time.Minute: "15m", 0: "0h", 1500 * time.Millisecond: "1.5s"} {
		if got := lengthWords(d); got != want {
			t.Errorf("%v is written %q", d, got)
		}
	}
}

func TestAPeriodCountsItsLastDayIn(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	from, to, err := (&period{from: "2026-11-01", to: "2026-11-30"}).read(now)
	if err != nil || !from.Equal(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)) || !to.Equal(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%v to %v: %v", from, to, err)
	}
	from, to, err = (&period{since: "8h", to: "2026-11-25T11:30"}).read(now)
	if err != nil || !from.Equal(now.Add(-8*time.Hour)) || !to.Equal(now.Add(-30*time.Minute)) {
		t.Errorf("%v to %v: %v", from, to, err)
	}
	for _, p := range []period{{from: "yesterday"}, {to: "2026-13-01"}, {since: "0h"}, {since: "-1h"}, {since: "x"}} {
		if _, _, err := p.read(now); err == nil {
			t.Errorf("%+v is taken", p)
		}
	}
}

func TestAListIsReadPageByPage(t *testing.T) {
	t.Parallel()
	read := func(after string) ([]int, string, error) {
		switch after {
		case "":
			return []int{1, 2}, "b", nil
		case "b":
			return nil, "c", nil // a page on which a search found nothing
		}
		return []int{3}, "", nil
	}
	for most, want := range map[int]int{0: 6, 1: 1, 2: 3, 3: 6, 9: 6} {
		sum := 0
		if err := enough(pages(read, firstOf(most, func(n int) error { sum += n; return nil }))); err != nil || sum != want {
			t.Errorf("the first %d make %d: %v", most, sum, err)
		}
	}
}
