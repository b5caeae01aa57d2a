package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/browserclient"
	"github.com/sallyport/sallyport/test/harness"
	"github.com/sallyport/sallyport/test/stack"
)

// TestCloudAndTokenServiceAMinuteOff starts a replica of each on hosts whose clocks are wrong, the one this
// way and the other that, and does everything from trust to the gateway with an enterprise that knows these
// two alone. The phone's clock is as wrong as the token service's, the other way.
func TestCloudAndTokenServiceAMinuteOff(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	for name, off := range map[string]time.Duration{"cloud ahead": time.Minute, "token service ahead": -time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := s.NewAnnex(t)
			a.CloudClock.Set(off)
			a.TokenClock.Set(-off)
			before := time.Now()
			a.Start(t)
			saysItIs(t, a.Cloud, before, off)
			saysItIs(t, a.Tokens, before, -off)
			b := a.NewBranch(t)
			b.Start()
			u := s.NewUser(t)
			d := b.Complete(t, b.Invite(t, u.Name))
			d.Now = func() time.Time { return time.Now().Add(off) }

			l := pushed(t, b.Page(), u)
			acceptedOnce(t, b, u, answered(t, l, d))
			if n := pushesTo(s, d); n != 1 {
				t.Errorf("%d notifications came, want 1", n)
			}
			// With replicas whose clocks are right, begun at the one and gone on with at the other.
			answered(t, moved(t, b.Page(), b.PageAt(0), u), d)
			answered(t, moved(t, b.PageAt(1), b.Page(), u), d)
			// Somebody puts the clocks right while a login waits for the phone.
			l = pushed(t, b.Page(), u)
			a.CloudClock.Set(0)
			a.TokenClock.Set(0)
			acceptedOnce(t, b, u, answered(t, l, d))
		})
	}
}

// saysItIs holds the log of a program that was started after before to a clock that is off.
func saysItIs(t *testing.T, p *harness.Program, before time.Time, off time.Duration) {
	t.Helper()
	text, _, _ := strings.Cut(strings.TrimPrefix(p.Log(), "time="), " ")
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatalf("%s: %v", p.Name(), err)
	}
	if at = at.Add(-off); at.Before(before.Round(0).Truncate(time.Millisecond)) || at.After(time.Now()) {
		t.Fatalf("%s says that it began at %v; its clock should be off by %v", p.Name(), at.Add(off), off)
	}
}

// answered approves a login that waits for the phone and returns the gateway token.
func answered(t *testing.T, l *browserclient.Login, d *stack.Device) sallyport.Secret {
	t.Helper()
	if err := d.Approve(within(t, patience), l.Prompt.Number); err != nil {
		t.Fatalf("approve: %v", err)
	}
	return tokenOf(t, l)
}

// moved begins a login at one page's replica and brings it to the number at another's.
func moved(t *testing.T, from, to *browserclient.Client, u stack.User) *browserclient.Login {
	t.Helper()
	ctx := within(t, patience)
	begun, err := from.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	body, err := begun.Seal(u.Name, u.Password)
	if err != nil {
		t.Fatal(err)
	}
	l := begun.At(to)
	if err := l.Send(ctx, body); err != nil {
		t.Fatal(err)
	}
	if p, err := l.AwaitPush(ctx); err != nil || p.Kind != sallyport.PromptPush {
		t.Fatalf("%v, %+v instead of a number", err, p)
	}
	return l
}

// acceptedOnce takes a token to the branch's RADIUS server, twice.
func acceptedOnce(t *testing.T, b *stack.Branch, u stack.User, token sallyport.Secret) {
	t.Helper()
	for _, want := range []bool{true, false} {
		wire, err := packet(b.RADIUSSecret, u.Name, token)
		if err != nil {
			t.Fatal(err)
		}
		if accept, err := ask(within(t, patience), b.RADIUSAddr, b.RADIUSSecret, wire, 5*time.Second, 3); accept != want || err != nil {
			t.Errorf("RADIUS: %v, %v, want %v", accept, err, want)
		}
	}
}

// pushesTo counts the notifications that a phone got.
func pushesTo(s *stack.Stack, d *stack.Device) int {
	n := 0
	for _, p := range s.Push.Pushes() {
		if p.Token == d.PushToken {
			n++
		}
	}
	return n
}
