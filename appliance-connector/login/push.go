package login

import (
	"context"
	"crypto/subtle"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// push puts the question to the newest device. When it cannot be put, the passcode is left: the device
// makes token codes without anybody's help.
func (e *Engine) push(ctx context.Context, s State, devices []sallyport.Device) (State, error) {
	if devices == nil {
		var err error
		if devices, err = e.Devices.Devices(ctx, s.Account); err != nil {
			return State{}, e.fail(ctx, s, sallyport.CodeUnavailable, "Sign-in is not available right now. Please try again.", fmt.Errorf("read devices: %w", err))
		}
	}
	switch {
	case len(devices) == 0:
		return e.deny(ctx, s, sallyport.ReasonNotEnrolled, "The phone was removed meanwhile."), nil
	case s.Pushes >= maxPushes:
		return e.askCode(s, sallyport.ReasonPushFailed), nil
	}
	if why, err := e.pushBlocked(ctx, s.Account); err != nil {
		return State{}, e.fail(ctx, s, sallyport.CodeUnavailable, "Sign-in is not available right now. Please try again.", fmt.Errorf("count pushes: %w", err))
	} else if why != "" {
		e.log(ctx, s, "push not asked for", "step", 6, "account", s.Account, "why", why)
		return e.askCode(s, sallyport.ReasonBlocked), nil
	}
	d, can := s.asked(devices)
	if !can { // enrolled meanwhile
		s.Used = sallyport.MethodCode
		return e.askCode(s, sallyport.ReasonUpdateApp), nil
	}
	s.Pushes++
	s.Used = sallyport.MethodPush
	s.Device, s.DeviceName, s.Delivery = d.ID, d.Name, ""
	s.Challenge = e.challengeID(s)
	now, digits := e.Now(), 2
	if s.Plain {
		digits = 0
	}
	details, err := deviceproto.SealDetails(d.DetailsKey, d.ID, s.Challenge, sallyport.ChallengeDetails{
		User: s.UserName, Application: s.Application, Place: s.seenFrom(), Time: now.UTC().Truncate(time.Second), Digits: digits,
	})
	if err != nil {
		return State{}, e.fail(ctx, s, sallyport.CodeInternal, "Sign-in is not available right now. Please try again.", fmt.Errorf("seal details: %w", err))
	}
	err = e.Challenges.Create(ctx, Challenge{ID: s.Challenge, Device: d.ID, Sealed: details, Life: PushLife})
	if err != nil {
		e.Log.ErrorContext(ctx, "push cannot be asked for", "login", s.Login, "support_code", s.Support, "device", d.ID, "err", err)
		return e.askCode(s, sallyport.ReasonPushFailed), nil
	}
	e.log(ctx, s, "push asked for", "step", 6, "account", s.Account, "device", d.ID, "challenge", s.Challenge)
	s.Kind, s.Reason, s.Until = sallyport.PromptPush, "", now.Add(PushLife).UnixMilli()
	return s.next(), nil
}

// seenFrom is where the login comes from, as the phone shows it.
func (s State) seenFrom() string {
	if s.Via == "" {
		return s.Place
	}
	return strings.TrimSpace(s.Place + " via " + s.Via)
}

// answered checks what the device says: its signature, the question it answers, the number.
func (e *Engine) answered(ctx context.Context, s State, box []byte) (State, error) {
	d, err := e.device(ctx, s)
	if err != nil {
		return s, err
	}
	a, err := deviceproto.OpenAnswer(d.DetailsKey, d.PublicKey, d.ID, s.Challenge, box)
	if err != nil || a.User != s.UserName || a.Application != s.Application {
		e.Log.WarnContext(ctx, "approval refused: the device's signature or what it answered does not hold",
			"login", s.Login, "support_code", s.Support, "device", s.Device, "err", err)
		return e.deny(ctx, s, sallyport.ReasonBadApproval, ""), nil
	}
	if a.App != nil {
		e.keepApp(ctx, d, *a.App)
	}
	e.log(ctx, s, "device answered", "step", 10, "account", s.Account, "decision", a.Decision)
	switch {
	case a.Decision == sallyport.DecisionNotMe:
		e.notMe(ctx, s)
		return e.deny(ctx, s, sallyport.ReasonNotMe, ""), nil
	case a.Decision != sallyport.DecisionApprove:
		return e.deny(ctx, s, sallyport.ReasonRejected, ""), nil
	case subtle.ConstantTimeCompare([]byte(a.Number), []byte(e.number(s))) != 1:
		return e.deny(ctx, s, sallyport.ReasonWrongNumber, ""), nil
	}
	s.Used = sallyport.MethodPush
	e.atHand(ctx, s)
	e.usual(ctx, s)
	return e.accept(ctx, s, "The password is right, and the user approved in the app.")
}

// usual ends the temporary codes of a user who has the phone at hand again. What cannot be ended now ends
// when it expires.
func (e *Engine) usual(ctx context.Context, s State) {
	if !s.takes(sallyport.MethodTemporary) {
		return
	}
	if _, err := e.TemporaryCodes.EndTemporaryCodes(ctx, s.Account, sallyport.EndedByUsualLogin, e.Now()); err != nil {
		e.Log.WarnContext(ctx, "temporary code not ended; it is good until it expires", "account", s.Account, "support_code", s.Support, "err", err)
	}
}

// device finds the device of the challenge: gone when it was removed meanwhile.
func (e *Engine) device(ctx context.Context, s State) (sallyport.Device, error) {
	devices, err := e.Devices.Devices(ctx, s.Account)
	if err != nil {
		return sallyport.Device{}, e.fail(ctx, s, sallyport.CodeUnavailable, "Sign-in is not available right now. Please try again.", fmt.Errorf("read devices: %w", err))
	}
	for _, d := range devices {
		if d.ID == s.Device {
			return d, nil
		}
	}
	return sallyport.Device{}, nil // no key: no answer opens
}

// cancelChallenge tells the phone, as far as it can be told, that the question is over.
func (e *Engine) cancelChallenge(ctx context.Context, s State) {
	if err := e.Challenges.Cancel(ctx, s.Challenge); err != nil {
		e.Log.WarnContext(ctx, "challenge not cancelled; it ends by itself", "challenge", s.Challenge, "err", err)
	}
}
