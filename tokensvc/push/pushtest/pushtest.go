// Package pushtest holds what every push.Sender has to do, as one suite that runs on each of them
// against the simulator.
package pushtest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/pushsim"
	"github.com/sallyport/sallyport/tokensvc/push"
)

// Subject is a sender under test with the errors of its provider.
type Subject struct {
	Sim      *pushsim.Sim
	Provider pushsim.Provider
	Sender   push.Sender
	// NeverKnown is an address that the provider has never given out.
	NeverKnown string
	// Credential is a refusal of our credential, Throttled of too many, Down of a provider in trouble,
	// Rejected of a notification that is wrong in itself.
	Credential, Throttled, Down, Rejected pushsim.Fault
}

// Message is a notification to token that lives 30 s.
func Message(token string) push.Message {
	return push.Message{
		Token: token, Challenge: sallyport.ChallengeID(sallyport.NewID()), Expires: time.Now().Add(30 * time.Second),
		CollapseID: push.CollapseID("device"),
	}
}

// Run holds a sender to the contract of push.Sender. make starts a new simulator each time.
func Run(t *testing.T, make func(t *testing.T) Subject) {
	for name, test := range map[string]func(*testing.T, Subject){
		"ArrivesAndTellsTheLockScreenNothing": arrives,
		"AnUnregisteredAddressIsSaidSo":       unregistered,
		"AThrottledPushSaysWhenToComeBack":    throttled,
		"AProviderInTroubleIsUnavailable":     down,
		"ABlackHoleEndsWithTheContext":        blackHole,
		"ADeadConnectionIsReplaced":           deadConnection,
		"ARefusedCredentialIsTriedTwice":      credentialTwice,
		"ARefusedCredentialAdvisesOperator":   credentialAdvice,
		"AFaultyNotificationIsRejected":       rejected,
		"ManyAtOnceArrive":                    many,
	} {
		t.Run(name, func(t *testing.T) { test(t, make(t)) })
	}
}

func send(t *testing.T, s Subject, m push.Message) push.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r := s.Sender.Send(ctx, m)
	if strings.Contains(r.Detail, m.Token) {
		t.Errorf("detail repeats the push token: %s", r.Detail)
	}
	return r
}

func expect(t *testing.T, r push.Result, want push.Outcome) {
	t.Helper()
	if r.Outcome != want {
		t.Errorf("outcome = %s (%s), want %s", r.Outcome, r.Detail, want)
	}
}

func arrives(t *testing.T, s Subject) {
	m := Message(s.Sim.Register(s.Provider))
	expect(t, send(t, s, m), push.Sent)
	got := s.Sim.PushesFor(string(m.Challenge))
	if len(got) != 1 {
		t.Fatalf("%d pushes arrived", len(got))
	}
	p := got[0]
	if p.Title != "Sign-in request" || p.Body != "Open the app to answer." || p.CollapseID != m.CollapseID {
		t.Errorf("push = %+v", p)
	}
	if left := time.Until(p.Expires); left < 20*time.Second || left > 31*time.Second {
		t.Errorf("push expires in %s", left)
	}
	// Whatever else is in the notification, it is one of these.
	rest := string(p.Raw)
	for _, known := range []string{m.Token, string(m.Challenge), push.Title, push.Body, m.CollapseID} {
		rest = strings.ReplaceAll(rest, known, "")
	}
	if len(rest) > 500 || strings.Contains(rest, "alice") || strings.Contains(strings.ToLower(rest), "hospital") {
		t.Errorf("push holds more than it should: %s", rest)
	}
}

func unregistered(t *testing.T, s Subject) {
	m := Message(s.Sim.Register(s.Provider))
	s.Sim.Unregister(m.Token)
	expect(t, send(t, s, m), push.Unregistered)
	if s.NeverKnown != "" {
		expect(t, send(t, s, Message(s.NeverKnown)), push.Unregistered)
	}
}

func throttled(t *testing.T, s Subject) {
	s.Throttled.RetryAfter = 7
	s.Sim.AddFault(s.Throttled)
	r := send(t, s, Message(s.Sim.Register(s.Provider)))
	expect(t, r, push.Throttled)
	if r.RetryAfter != 7*time.Second {
		t.Errorf("retry after %s", r.RetryAfter)
	}
}

func down(t *testing.T, s Subject) {
	s.Sim.AddFault(s.Down)
	began := time.Now()
	expect(t, send(t, s, Message(s.Sim.Register(s.Provider))), push.Unavailable)
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("took %s", took)
	}
}

func blackHole(t *testing.T, s Subject) {
	s.Sim.AddFault(pushsim.Fault{Provider: s.Provider, BlackHole: true})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	expect(t, s.Sender.Send(ctx, Message(s.Sim.Register(s.Provider))), push.Unavailable)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("took %s", took)
	}
}

func deadConnection(t *testing.T, s Subject) {
	token := s.Sim.Register(s.Provider)
	expect(t, send(t, s, Message(token)), push.Sent)
	s.Sim.Freeze(s.Provider)
	began := time.Now()
	m := Message(token)
	r := send(t, s, m)
	for r.Outcome == push.Unavailable && time.Since(began) < 15*time.Second {
		r = send(t, s, m) // as the outbox does
	}
	expect(t, r, push.Sent)
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("took %s", took)
	}
}

func credentialTwice(t *testing.T, s Subject) {
	token := s.Sim.Register(s.Provider)
	expect(t, send(t, s, Message(token)), push.Sent)
	s.Credential.Count = 1
	s.Sim.AddFault(s.Credential)
	before := s.Sim.Requests(s.Provider)
	expect(t, send(t, s, Message(token)), push.Sent)
	if n := s.Sim.Requests(s.Provider) - before; n != 2 {
		t.Errorf("%d requests, want the refused one and one with a new token", n)
	}
}

func credentialAdvice(t *testing.T, s Subject) {
	token := s.Sim.Register(s.Provider)
	expect(t, send(t, s, Message(token)), push.Sent)
	s.Sim.AddFault(s.Credential)
	before := s.Sim.Requests(s.Provider)
	r := send(t, s, Message(token))
	expect(t, r, push.Credential)
	if r.Advice == "" {
		t.Error("the operator is not told what to do")
	}
	if n := s.Sim.Requests(s.Provider) - before; n != 2 {
		t.Errorf("%d requests, want two", n)
	}
}

func rejected(t *testing.T, s Subject) {
	s.Sim.AddFault(s.Rejected)
	r := send(t, s, Message(s.Sim.Register(s.Provider)))
	expect(t, r, push.Rejected)
	if r.Advice == "" {
		t.Error("the operator is not told what to do")
	}
}

// many sends a burst over a warm connection. A machine so busy that some run out of time is told to
// come again, as the outbox does; what counts is that all arrive, over few connections.
func many(t *testing.T, s Subject) {
	const n = 200
	token := s.Sim.Register(s.Provider)
	expect(t, send(t, s, Message(token)), push.Sent)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			m := Message(token)
			r := s.Sender.Send(ctx, m)
			for r.Outcome == push.Unavailable && ctx.Err() == nil {
				r = s.Sender.Send(ctx, m)
			}
			if r.Outcome != push.Sent {
				t.Errorf("%s: %s", r.Outcome, r.Detail)
			}
		})
	}
	wg.Wait()
	arrived := map[string]bool{}
	for _, p := range s.Sim.Pushes() {
		arrived[p.Data[push.DataField]] = true
	}
	if len(arrived) != n+1 {
		t.Errorf("%d of %d arrived", len(arrived)-1, n)
	}
	if c := s.Sim.Connections(s.Provider); c > 4 {
		t.Errorf("%d connections", c)
	}
}
