// Package smstest holds what every sms.Sender has to do, as one suite that runs on each of them against the
// simulator.
package smstest

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/smssim"
	"github.com/sallyport/sallyport/tokensvc/sms"
)

// Subject is a kind of gateway under test.
type Subject struct {
	Side smssim.Side
	// Gateway describes the simulator's side, with good credentials.
	Gateway func(*smssim.Sim) sms.Gateway
	// Open makes a sender.
	Open func(sms.Gateway, sms.Dial) (sms.Sender, error)
	// RetryAfter: this kind of gateway says when to come again.
	RetryAfter bool
}

// number and text are what must stand in no result.
const (
	number = sallyport.PhoneNumber("+447700900123")
	text   = "Your sign-in code is 246810 (Hospital VPN)."
)

// Loopback lets a guard dial the simulator.
var Loopback = sms.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// bench is a simulator with a sender on it.
type bench struct {
	*testing.T
	Subject
	sim     *smssim.Sim
	gateway sms.Gateway
}

// Run holds a sender to the contract of sms.Sender.
func Run(t *testing.T, subject Subject) {
	for name, test := range map[string]func(*bench){
		"ArrivesAsItWasSent":                    arrives,
		"ArrivesInEveryAlphabet":                alphabets,
		"WhatIsRefusedIsSaidInOneWord":          refusals,
		"ThrottledSaysWhenToComeBack":           throttled,
		"WrongCredentialsAreSaidSo":             credentials,
		"NoAnswerAfterTheMessageIsUncertain":    uncertain,
		"NobodyThereIsUnavailable":              nobody,
		"ACertificateOfSomebodyElseIsNotTaken":  strangers,
		"ASilentGatewayEndsWithTheContext":      silent,
		"AnAddressInsideIsForbidden":            forbidden,
		"ManyAtOnceArriveOnceEach":              many,
		"ASlowGatewayHasTime":                   slow,
		"DetailHasNeitherNumberNorTextNorTales": details,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, err := smssim.Start(smssim.Config{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(sim.Close)
			test(&bench{t, subject, sim, subject.Gateway(sim)})
		})
	}
}

func message() sms.Message {
	return sms.Message{ID: sallyport.NewID(), To: number, Text: text, Life: 5 * time.Minute}
}

func (b *bench) send(m sms.Message) sms.Result {
	b.Helper()
	return b.sendBy(b.gateway, Loopback.Dial, m)
}

func (b *bench) sendBy(g sms.Gateway, dial sms.Dial, m sms.Message) sms.Result {
	b.Helper()
	s, err := b.Open(g, dial)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.Context(), 20*time.Second)
	defer cancel()
	r := s.Send(ctx, m)
	b.discreet(r, m)
	return r
}

func (b *bench) discreet(r sms.Result, m sms.Message) {
	b.Helper()
	for _, secret := range []string{string(m.To)[1:], m.Text, string(b.gateway.Secret), "127.0.0.1"} {
		if strings.Contains(r.Detail, secret) {
			b.Errorf("the detail tells %q: %s", secret, r.Detail)
		}
	}
}

func (b *bench) expect(r sms.Result, want sms.Outcome, taken int) {
	b.Helper()
	if r.Outcome != want {
		b.Errorf("outcome %s (%s), want %s", r.Outcome, r.Detail, want)
	}
	if got := len(b.sim.Messages()); got != taken {
		b.Errorf("%d messages were taken, want %d", got, taken)
	}
}

func arrives(b *bench) {
	m := message()
	b.expect(b.send(m), sms.Sent, 1)
	got := b.sim.Messages()[0]
	if got.Side != b.Side || got.To != string(number) || got.Text != text || got.From != b.gateway.From {
		b.Errorf("arrived: %+v", got)
	}
	if got.Life < 4*time.Minute || got.Life > 5*time.Minute {
		b.Errorf("it is of use for %s", got.Life)
	}
}

func alphabets(b *bench) {
	for _, want := range []string{"Ihr Code: 123456 (Klinik für Kälte)", "رمز الدخول: 123456 (VPN)", "code \U0001F469 123456"} {
		m := message()
		m.Text = want
		if r := b.send(m); r.Outcome != sms.Sent {
			b.Errorf("%q: %+v", want, r)
			continue
		}
		if all := b.sim.Messages(); all[len(all)-1].Text != want {
			b.Errorf("%q arrived as %q", want, all[len(all)-1].Text)
		}
	}
}

func refusals(b *bench) {
	for what, want := range map[smssim.What]sms.Outcome{
		smssim.BadNumber: sms.BadNumber, smssim.Credential: sms.Credential, smssim.Throttled: sms.Throttled, smssim.Down: sms.Unavailable, smssim.Rejected: sms.Rejected,
	} {
		b.sim.AddFault(smssim.Fault{Side: b.Side, What: what, Count: 1})
		r := b.send(message())
		b.expect(r, want, 0)
		if r.Detail == "" {
			b.Errorf("%s: nothing is said to the administrator", what)
		}
	}
	b.expect(b.send(message()), sms.Sent, 1)
}

func throttled(b *bench) {
	b.sim.AddFault(smssim.Fault{Side: b.Side, What: smssim.Throttled, RetryAfter: 7})
	r := b.send(message())
	b.expect(r, sms.Throttled, 0)
	if b.RetryAfter && r.RetryAfter != 7*time.Second {
		b.Errorf("retry after %s", r.RetryAfter)
	}
}

func credentials(b *bench) {
	g := b.gateway
	g.Secret = "wrong"
	b.expect(b.sendBy(g, Loopback.Dial, message()), sms.Credential, 0)
}

func uncertain(b *bench) {
	for _, what := range []smssim.What{smssim.Gone} {
		b.sim.AddFault(smssim.Fault{Side: b.Side, What: what, Count: 1})
		b.expect(b.send(message()), sms.Uncertain, 0)
	}
}

func nobody(b *bench) {
	b.sim.Close()
	b.expect(b.send(message()), sms.Unavailable, 0)
}

// strangers meets a gateway whose certificate is of another authority: it is told neither message nor credential.
func strangers(b *bench) {
	other, err := smssim.Start(smssim.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer other.Close()
	g := b.gateway
	g.Authority = other.Authority
	b.expect(b.sendBy(g, Loopback.Dial, message()), sms.Unavailable, 0)
	if n := b.sim.Asked(b.Side); n != 0 {
		b.Errorf("it was asked %d times", n)
	}
}

func silent(b *bench) {
	b.sim.AddFault(smssim.Fault{Side: b.Side, What: smssim.Silent})
	s, err := b.Open(b.gateway, Loopback.Dial)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan sms.Result, 1)
	m := message()
	go func() { done <- s.Send(ctx, m) }()
	for b.sim.Asked(b.Side) == 0 {
		select {
		case r := <-done:
			b.Fatalf("it answered before it was asked: %+v", r)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	select {
	case r := <-done:
		b.discreet(r, m)
		b.expect(r, sms.Uncertain, 0)
	case <-time.After(20 * time.Second):
		b.Fatal("it goes on after its context has ended")
	}
}

func forbidden(b *bench) {
	b.expect(b.sendBy(b.gateway, sms.Guard{}.Dial, message()), sms.Forbidden, 0)
	if n := b.sim.Asked(b.Side); n != 0 {
		b.Errorf("it was asked %d times", n)
	}
}

func many(b *bench) {
	const n = 50
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if r := b.send(message()); r.Outcome != sms.Sent {
				b.Errorf("%+v", r)
			}
		})
	}
	wg.Wait()
	if got := len(b.sim.Messages()); got != n {
		b.Errorf("%d of %d arrived", got, n)
	}
}

func slow(b *bench) {
	b.sim.AddFault(smssim.Fault{Side: b.Side, What: smssim.Slow, Delay: 300 * time.Millisecond})
	b.expect(b.send(message()), sms.Sent, 1)
}

// details has a dialler that fails in words that name what they should not.
func details(b *bench) {
	dial := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.AddrError{Err: "no way to " + string(number), Addr: "x"}}
	}
	r := b.sendBy(b.gateway, dial, message())
	b.expect(r, sms.Unavailable, 0)
	b.sim.AddFault(smssim.Fault{Side: b.Side, What: smssim.BadNumber})
	b.expect(b.send(message()), sms.BadNumber, 0)
}
