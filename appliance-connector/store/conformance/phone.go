package conformance

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func phoneComesBack(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)).As(helpDesk), t.Context()
	older, newer, other := NewPhone(1, alice), NewPhone(2, alice), NewPhone(3, bob)
	newer.Enrolled = start.Add(time.Microsecond)
	other.Number = older.Number // two people may share a phone
	for _, p := range []sallyport.Phone{newer, older, other} {
		must(t, s.AddPhone(ctx, p))
	}
	list, err := s.Phones(ctx, alice)
	must(t, err)
	if want := []sallyport.Phone{newer, older}; !reflect.DeepEqual(list, want) {
		t.Fatalf("got %+v, want %+v", list, want)
	}
	wantCode(t, s.DeletePhone(ctx, bob, older.ID), sallyport.CodeNotFound)
	must(t, s.DeletePhone(ctx, alice, older.ID))
	wantCode(t, s.DeletePhone(ctx, alice, older.ID), sallyport.CodeNotFound)
	if list, err = s.Phones(ctx, alice); err != nil || len(list) != 1 || list[0].ID != newer.ID {
		t.Errorf("left: %+v, %v", list, err)
	}
	must(t, s.AddPhone(ctx, older)) // again

	var actions []string
	must(t, s.EachAuditRecord(ctx, store.AuditQuery{Action: "phone number."}, func(r sallyport.AuditRecord) error {
		actions = append(actions, strings.TrimPrefix(r.Action, "phone number.")+" "+r.Actor.Name+" "+r.Object)
		if text := string(r.Before) + string(r.After); strings.Contains(text, "4477009") || !strings.Contains(text, `"…0`) {
			t.Errorf("%s of %s: %s", r.Action, r.ObjectID, text)
		}
		return nil
	}))
	if got := fmt.Sprint(actions); strings.Count(got, "enrol Helen Desk") != 4 || strings.Count(got, `delete Helen Desk hospital\alice`) != 1 {
		t.Errorf("recorded: %s", got)
	}
}

func phoneRefused(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	for name, spoil := range map[string]func(*sallyport.Phone){
		"no id":         func(p *sallyport.Phone) { p.ID = "" },
		"no account":    func(p *sallyport.Phone) { p.Account = "" },
		"no country":    func(p *sallyport.Phone) { p.Number = "07700900123" },
		"spaces":        func(p *sallyport.Phone) { p.Number = "+44 7700 900123" },
		"no number":     func(p *sallyport.Phone) { p.Number = "" },
		"two numbers":   func(p *sallyport.Phone) { p.Number = "+447700900123,+447700900124" },
		"no time":       func(p *sallyport.Phone) { p.Enrolled = time.Time{} },
		"account's NUL": func(p *sallyport.Phone) { p.Account = "a\x00" },
	} {
		p := NewPhone(1, alice)
		spoil(&p)
		if err := s.AddPhone(ctx, p); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
	must(t, s.AddPhone(ctx, NewPhone(1, alice)))
	twice := NewPhone(1, alice)
	twice.ID = "other"
	wantCode(t, s.AddPhone(ctx, twice), sallyport.CodeConflict)
	for n := range sallyport.PhonesMost - 1 {
		must(t, s.AddPhone(ctx, NewPhone(10+n, alice)))
	}
	err := s.AddPhone(ctx, NewPhone(20, alice))
	wantCode(t, err, sallyport.CodeConflict)
	if !strings.Contains(sallyport.ErrorMessage(err), "5 phone numbers") {
		t.Errorf("said: %v", err)
	}
	must(t, s.AddPhone(ctx, NewPhone(20, bob)))
	_, err = s.Phones(ctx, "Alice")
	wantCode(t, err, sallyport.CodeInvalid)
	wantCode(t, s.DeletePhone(ctx, alice, "a b"), sallyport.CodeInvalid)
}

// phonesAtOnce has several appliances add another number each, all at the same time.
func phonesAtOnce(t *testing.T, e Engine) {
	address := e.Fresh(t)
	stores := []*store.Store{Open(t, address), Open(t, address)}
	ctx, cancel := background()
	defer cancel()
	const tries = 12
	errs := make(chan error, tries)
	for n := range tries {
		go func() {
			err := stores[n%2].AddPhone(ctx, NewPhone(n, alice))
			for sallyport.ErrorCode(err) == sallyport.CodeUnavailable && ctx.Err() == nil {
				err = stores[n%2].AddPhone(ctx, NewPhone(n, alice))
			}
			errs <- err
		}()
	}
	added := 0
	for range tries {
		if err := <-errs; err == nil {
			added++
		} else if sallyport.ErrorCode(err) != sallyport.CodeConflict {
			t.Errorf("add: %v", err)
		}
	}
	list, err := stores[0].Phones(t.Context(), alice)
	if err != nil || added != sallyport.PhonesMost || len(list) != added {
		t.Errorf("%d were added and %d are there, %v", added, len(list), err)
	}
}

// phonesFollow renames who has a phone number, swaps two, and gives somebody else a name that was left.
func phonesFollow(t *testing.T, e Engine) {
	s, ctx := hospital(t, e), t.Context()
	apply(t, s, person("A", "alice"), person("B", "bob"))
	must(t, s.AddPhone(ctx, NewPhone(1, alice)))
	must(t, s.AddPhone(ctx, NewPhone(2, bob)))
	apply(t, s, person("A", "bob"), person("B", "alice"))
	for account, id := range map[sallyport.AccountName]sallyport.PhoneID{alice: "p2", bob: "p1"} {
		if list, err := s.Phones(ctx, account); err != nil || len(list) != 1 || list[0].ID != id {
			t.Errorf("swapped, %s has %+v, %v", account, list, err)
		}
	}
	yes := true
	if got := accounts(t, s, store.UserQuery{Enrolled: &yes}); got != "alice bob" && got != "bob alice" {
		t.Errorf("enrolled: %q", got)
	}
	apply(t, s, store.UserChange{GUID: guidOf("B"), State: sallyport.UserRemoved}, person("C", "alice"))
	if list, err := s.Phones(ctx, alice); err != nil || len(list) != 0 {
		t.Errorf("somebody who took the name has %+v, %v", list, err)
	}
	r := lastRecord(t, s, "user.lose account")
	if lost := decode[struct{ Deleted map[string]int }](t, r.Before); lost.Deleted["phones"] != 1 {
		t.Errorf("recorded: %s", r.Before)
	}
}

func phoneEdited(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	must(t, s.AddPhone(ctx, NewPhone(1, alice)))
	must(t, s.AddPhone(ctx, NewPhone(2, bob)))
	read := func() error {
		_, err := s.Phones(ctx, alice)
		_, berr := s.Phones(ctx, bob)
		return errors.Join(err, berr)
	}
	must(t, read())
	restore := keepTables(t, e, address, "phones")
	for name, statement := range map[string]string{
		"given to another":    `UPDATE phones SET account = 'hospital\bob'`,
		"number of another":   `UPDATE phones SET sealed_number = (SELECT sealed_number FROM phones WHERE id = 'p2')`,
		"another id":          `UPDATE phones SET id = 'x' WHERE id = 'p1'`,
		"row copied to alice": `INSERT INTO phones SELECT 'p3', 'hospital\alice', sealed_number, enrolled FROM phones WHERE id = 'p2'`,
	} {
		e.Exec(t, address, statement)
		if err := read(); sallyport.ErrorCode(err) != sallyport.CodeInternal {
			t.Errorf("%s: %v", name, err)
		}
		restore()
	}
	// What cannot be read can be deleted.
	e.Exec(t, address, `UPDATE phones SET account = 'hospital\alice' WHERE id = 'p2'`)
	must(t, s.DeletePhone(context.WithoutCancel(ctx), alice, "p2"))
	must(t, read())
}
