package conformance

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func newCode(id string, account sallyport.AccountName, issued time.Duration) sallyport.TemporaryCode {
	return sallyport.TemporaryCode{ID: id, Account: account, Issued: start.Add(issued), Expires: start.Add(issued + 24*time.Hour), By: "helpdesk"}
}

func matches(t *testing.T, s *store.Store, account sallyport.AccountName, code sallyport.Secret, at time.Duration, want string) {
	t.Helper()
	id, ok, err := s.MatchTemporaryCode(t.Context(), account, code, start.Add(at))
	if err != nil || ok != (want != "") || id != want {
		t.Errorf("code of %s after %v: %q, %v, %v; want %q", account, at, id, ok, err, want)
	}
}

func temporaryCodes(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address).As(chief), t.Context()
	matches(t, s, alice, "7391-5526", 0, "")
	must(t, s.IssueTemporaryCode(ctx, newCode("c1", alice, 0), "7391-5526"))
	matches(t, s, alice, "7391-5526", 0, "c1")
	matches(t, s, alice, " 73915526 ", 23*time.Hour, "c1")
	for _, wrong := range []sallyport.Secret{"", "7391-5527", "7391552", "73915526 73915526 73915526 73915526 73915526 73915526 73915526 73915526 73915526"} {
		matches(t, s, alice, wrong, 0, "")
	}
	matches(t, s, bob, "7391-5526", 0, "")
	matches(t, s, alice, "7391-5526", 24*time.Hour, "")
	if dump := e.Dump(t, address); holds(dump, []byte("73915526")) || holds(dump, []byte("7391-5526")) {
		t.Error("the code stands in the database")
	}
	must(t, s.IssueTemporaryCode(ctx, newCode("c2", alice, time.Hour), "ABCD-EFGH"))
	matches(t, s, alice, "7391-5526", time.Hour, "")
	matches(t, s, alice, "abcdefgh", time.Hour, "c2")
	first, newest := newCode("c1", alice, 0), newCode("c2", alice, time.Hour)
	first.Ended, first.EndedBy = start.Add(time.Hour), sallyport.EndedByRevocation
	if list, err := s.TemporaryCodes(ctx, alice); err != nil || !reflect.DeepEqual(list, []sallyport.TemporaryCode{newest, first}) {
		t.Errorf("list %+v, %v", list, err)
	}
	must(t, s.EndTemporaryCode(ctx, "c2", sallyport.EndedByRevocation, start.Add(2*time.Hour)))
	must(t, s.EndTemporaryCode(ctx, "c2", sallyport.EndedByEnrolment, start.Add(3*time.Hour))) // is over already
	matches(t, s, alice, "abcdefgh", 2*time.Hour, "")
	wantCode(t, s.EndTemporaryCode(ctx, "c9", sallyport.EndedByRevocation, start), sallyport.CodeNotFound)
	r := lastRecord(t, s, "temporary code.end")
	if before, after := decode[sallyport.TemporaryCode](t, r.Before), decode[sallyport.TemporaryCode](t, r.After); !before.Ended.IsZero() || after.EndedBy != sallyport.EndedByRevocation || r.Object != string(alice) {
		t.Errorf("recorded %+v, %+v", before, after)
	}
	if r := lastRecord(t, s, "temporary code.issue"); r.ObjectID != "c2" || holds(r.After, []byte("EFGH")) {
		t.Errorf("recorded %s", r.After)
	}
}

func temporaryCodesEnd(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	end := func(at time.Duration, want int) {
		t.Helper()
		if n, err := s.EndTemporaryCodes(ctx, alice, sallyport.EndedByUsualLogin, start.Add(at)); err != nil || n != want {
			t.Errorf("after %v: ended %d, %v; want %d", at, n, err, want)
		}
	}
	if raises(t, s, func(context.Context) error { end(0, 0); return nil }) {
		t.Error("ending no code raised the revision")
	}
	must(t, s.IssueTemporaryCode(ctx, newCode("c1", alice, 0), "73915526"))
	must(t, s.IssueTemporaryCode(ctx, newCode("c2", bob, 0), "73915526"))
	end(time.Hour, 1)
	end(time.Hour, 0)
	matches(t, s, alice, "73915526", time.Hour, "")
	matches(t, s, bob, "73915526", time.Hour, "c2")
	must(t, s.IssueTemporaryCode(ctx, newCode("c3", alice, time.Hour), "73915526"))
	end(48*time.Hour, 0) // it had expired
	must(t, s.IssueTemporaryCode(ctx, newCode("c4", alice, 48*time.Hour), "73915526"))
	matches(t, s, alice, "73915526", 48*time.Hour, "c4")
	list, err := s.TemporaryCodes(ctx, alice)
	if err != nil || len(list) != 3 || list[1].ID != "c3" || !list[1].Ended.IsZero() || list[2].EndedBy != sallyport.EndedByUsualLogin {
		t.Errorf("list %+v, %v", list, err)
	}
	for name, spoil := range map[string]func(*sallyport.TemporaryCode){
		"no id":      func(c *sallyport.TemporaryCode) { c.ID = "" },
		"no account": func(c *sallyport.TemporaryCode) { c.Account = "" },
		"nobody":     func(c *sallyport.TemporaryCode) { c.By = "" },
		"no time":    func(c *sallyport.TemporaryCode) { c.Expires = c.Issued },
		"two years":  func(c *sallyport.TemporaryCode) { c.Expires = c.Issued.Add(2 * 366 * 24 * time.Hour) },
	} {
		c := newCode("w", bob, 0)
		spoil(&c)
		if err := s.IssueTemporaryCode(ctx, c, "73915526"); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
	wantCode(t, s.IssueTemporaryCode(ctx, newCode("w", bob, 0), "12-345"), sallyport.CodeInvalid)
	wantCode(t, s.EndTemporaryCode(ctx, "c2", "tired", start), sallyport.CodeInvalid)
	matches(t, s, bob, "73915526", time.Hour, "c2")
	if n, err := s.Sweep(ctx, start.Add(91*24*time.Hour+30*time.Minute)); err != nil || n != 2 {
		t.Errorf("swept %d, %v; want those of the first day", n, err)
	}
}

// An account has one code of use, however many are issued at once.
func temporaryCodeAtOnce(t *testing.T, e Engine) {
	address := e.Fresh(t)
	stores := []*store.Store{Open(t, address), Open(t, address)}
	ctx, cancel := background()
	defer cancel()
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			err := stores[n%2].IssueTemporaryCode(ctx, newCode(sallyport.NewID(), alice, 0), "73915526")
			if err != nil && sallyport.ErrorCode(err) != sallyport.CodeConflict {
				t.Errorf("issue: %v", err)
			}
		})
	}
	wg.Wait()
	list, err := stores[0].TemporaryCodes(ctx, alice)
	must(t, err)
	open := 0 // and so good: the others were ended
	for _, c := range list {
		if c.Ended.IsZero() {
			open++
		}
	}
	if open != 1 {
		t.Errorf("%d of %d codes are open", open, len(list))
	}
}

// Who can write to the database can neither prolong a code, nor give it to another account, nor make an
// ended one good again.
func temporaryCodeEdited(t *testing.T, e Engine) {
	for name, c := range map[string]struct {
		statement string
		account   sallyport.AccountName
		code      sallyport.Code
	}{
		"prolonged":           {`UPDATE temporary_codes SET expires = expires * 2`, alice, sallyport.CodeInternal},
		"of another account":  {`UPDATE temporary_codes SET account = 'hospital\bob' WHERE id = 'c1'`, bob, sallyport.CodeInternal},
		"of another code":     {`UPDATE temporary_codes SET sealed_code = (SELECT sealed_code FROM temporary_codes WHERE id = 'd1') WHERE id = 'c1'`, alice, sallyport.CodeInternal},
		"ended and made good": {`UPDATE temporary_codes SET ended = 0, ended_by = ''`, `hospital\carol`, ""},
	} {
		address := e.Fresh(t)
		s, ctx := Open(t, address), t.Context()
		must(t, s.IssueTemporaryCode(ctx, newCode("c1", alice, 0), "73915526"))
		must(t, s.IssueTemporaryCode(ctx, newCode("d1", `hospital\dave`, 0), "73915526"))
		must(t, s.IssueTemporaryCode(ctx, newCode("e1", `hospital\carol`, 0), "73915526"))
		must(t, s.EndTemporaryCode(ctx, "e1", sallyport.EndedByRevocation, start))
		e.Exec(t, address, c.statement)
		_, ok, err := s.MatchTemporaryCode(ctx, c.account, "73915526", start)
		if ok || sallyport.ErrorCode(err) != c.code {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}
