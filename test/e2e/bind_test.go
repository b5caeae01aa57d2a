package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/harness"
	"github.com/sallyport/sallyport/test/stack"
)

// atBind is the part of the matrix in which something dies after an appliance has said that the bind is
// started and has sent it: nobody may ask the directory again, so such a login can only be begun anew.
func (o *outage) atBind(t *testing.T, browsers int, how string) {
	s := o.s
	cloud := row{name: "cloud 0 that holds the stream" + how, browsers: browsers, kill: s.Clouds[0].Kill, start: s.Clouds[0].Start, whole: browsers != 0}
	first := row{name: "appliance 0" + how, browsers: browsers, kill: s.Appliances[0].Kill, start: s.Appliances[0].Start, appliance: s.Appliances[0]}
	second := row{name: "appliance 1" + how, browsers: browsers, kill: s.Appliances[1].Kill, start: s.Appliances[1].Start, appliance: s.Appliances[1]}
	for _, r := range []struct {
		row
		at   harness.HoldPoint
		when string
	}{
		{first, harness.HoldAnswer, "which the directory has counted"},
		{second, harness.HoldBind, "which has not reached the directory"},
		{cloud, harness.HoldAnswer, "which the directory has counted"},
	} {
		t.Run(r.name+" after a bind "+r.when, func(t *testing.T) { o.runAtBind(t, r.row, r.at) })
	}
}

// atBinds are the people of whom a password is in hand.
var atBinds = [...]string{atBindRight, atBindWrong}

func (o *outage) runAtBind(t *testing.T, r row, at harness.HoldPoint) {
	s := o.s
	o.browsersAt(r.browsers)
	for i := range s.Appliances {
		stack.Until(t, patience, "streams to both clouds, after what died before", func() bool { return s.Streams(i) >= len(s.Clouds) })
	}
	before := o.tally()
	lift := o.hold(at)
	defer lift()
	stories := o.inHand(t, r.appliance)

	killed := time.Now()
	r.kill()
	o.browsersAt(-1)
	lift()
	ended := o.end(t, stories)
	t.Logf("all logins ended %v after the kill: %s", time.Since(killed).Round(time.Millisecond), strings.Join(ended, "; "))
	if _, err := o.people[atBindRight].phone.Challenge(shortly(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a phone is asked for a login that nobody goes on with: %v", err)
	}
	logins := map[string]int{}
	for _, st := range stories {
		logins[st.moment]++
	}
	o.compare(t, before, logins, at)
	if !r.whole {
		o.logsIn(t, atBindRight, "while it is dead")
	}
	r.start()
	o.logsIn(t, atBindRight, "after it came back")
	if n := s.Samba.BadPwdCount(o.people[atBindRight].Name); n != 0 {
		t.Errorf("the right password was counted as wrong %d times", n)
	}
}

// tally is what the directory has seen of the people.
type tally struct{ binds, wrong map[string]int }

func (o *outage) tally() tally {
	out := tally{map[string]int{}, map[string]int{}}
	for _, m := range atBinds {
		p := o.people[m]
		out.binds[m], out.wrong[m] = o.binds.Binds(dnOf(p.User)), o.s.Samba.BadPwdCount(p.Name)
	}
	return out
}

// compare holds the directory to one bind a login, and one wrong password at most.
func (o *outage) compare(t *testing.T, before tally, logins map[string]int, at harness.HoldPoint) {
	t.Helper()
	after := o.tally()
	for _, m := range atBinds {
		if n := after.binds[m] - before.binds[m]; n != logins[m] {
			t.Errorf("%s: %d binds for %d logins", m, n, logins[m])
		}
	}
	switch n, want := after.wrong[atBindWrong]-before.wrong[atBindWrong], logins[atBindWrong]; {
	case at == harness.HoldAnswer && n != want, at == harness.HoldBind && n > want:
		t.Errorf("%d wrong passwords were counted %d times", want, n)
	}
}

func dnOf(u stack.User) string { return "CN=" + u.Name + "," + harness.SambaStaffDN }

// hold keeps the binds of the people at a point.
func (o *outage) hold(at harness.HoldPoint) (lift func()) {
	var all []func()
	for _, m := range atBinds {
		all = append(all, o.binds.Hold(dnOf(o.people[m].User), at))
	}
	return func() {
		for _, f := range all {
			f()
		}
	}
}

// appliancePatience is a little less than how long an appliance waits for the directory's answer.
const appliancePatience = 4 * time.Second

// inHand sends passwords until the directory has one of each of the people in hand, from the appliance that
// is to die. On a machine so slow that the appliance has given up meanwhile it begins again.
func (o *outage) inHand(t *testing.T, at *harness.Program) (out []story) {
	t.Helper()
	for range 5 {
		begun := time.Now()
		for _, m := range atBinds {
			out = append(out, o.untilHeld(t, m, at)...)
		}
		if time.Since(begun) < appliancePatience {
			return out
		}
	}
	t.Error("the directory never had both passwords in hand at once")
	return out
}

// untilHeld sends passwords of one person until the appliance that is to die has sent one on.
func (o *outage) untilHeld(t *testing.T, moment string, at *harness.Program) (out []story) {
	t.Helper()
	dn := dnOf(o.people[moment].User)
	for range 12 {
		before := o.binds.Binds(dn)
		l, sent := o.send(t, moment)
		stack.Until(t, patience, "a bind of "+dn, func() bool { return o.binds.Binds(dn) > before && o.binds.Held(dn) > 0 })
		last := at == nil || o.untilLogged(t, l, "credentials arrived") == at
		goOn := func(ctx context.Context) (bool, error) { return o.afterDirectory(ctx, l, sent, moment, last) }
		if last {
			return append(out, story{moment, onlyUncertain(goOn)})
		}
		out = append(out, story{moment, goOn})
	}
	t.Errorf("of %d logins none came to %s", len(out), at.Name())
	return out
}

// onlyUncertain holds a login to the one end that it may have: nobody knows, please try again.
func onlyUncertain(goOn func(context.Context) (bool, error)) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		access, err := goOn(ctx)
		if sallyport.ErrorCode(err) == sallyport.CodeUncertain && strings.Contains(sallyport.ErrorMessage(err), "Please try again") {
			return access, err
		}
		return access, fmt.Errorf("the login ended with %v, want that nobody knows and to try again", err)
	}
}
