package login

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport"
)

const (
	// TextLife is how long a code that was sent by SMS is good.
	TextLife = 5 * time.Minute
	// textWait is how long the user waits before it is sent again; twice that the second time.
	textWait = 30 * time.Second
	maxTexts = 3 // to a number, in a login
	// maxEnrolTexts is how many messages are sent in an enrolment, whatever numbers are typed.
	maxEnrolTexts = 5
	// textBudget is how many messages are sent to an account within textWindow.
	textBudget = 10
	textWindow = time.Hour
)

// Texts sends codes to phone numbers.
type Texts interface {
	// Phones are the numbers that an account has enrolled, the newest first.
	Phones(ctx context.Context, account sallyport.AccountName) ([]sallyport.Phone, error)
	// Send is idempotent by the message's id. An error means that no message went out.
	Send(ctx context.Context, m TextMessage) error
	// Parse reads a number as people type it; the error says what is wrong with it.
	Parse(ctx context.Context, typed string) (sallyport.PhoneNumber, error)
	// Enrol keeps a number as the account's.
	Enrol(ctx context.Context, account sallyport.AccountName, number sallyport.PhoneNumber) error
}

// TextMessage is a message with a code.
type TextMessage struct {
	ID          string
	Account     sallyport.AccountName
	Number      sallyport.PhoneNumber
	Code        sallyport.Secret
	Application string
	Language    string // of the page; empty: not known
	Life        time.Duration
}

// text sends a code to the newest number, unless one was just sent.
func (e *Engine) text(ctx context.Context, s State) (State, error) {
	phones, err := e.Texts.Phones(ctx, s.Account)
	if err != nil {
		return State{}, e.fail(ctx, s, sallyport.CodeUnavailable, "Sign-in is not available right now. Please try again.", fmt.Errorf("read phone numbers: %w", err))
	}
	if len(phones) == 0 {
		return e.deny(ctx, s, sallyport.ReasonNotEnrolled, "The phone number was removed meanwhile."), nil
	}
	s.Used, s.To, s.Delivery = sallyport.MethodSMS, phones[0].Number.Tail(), ""
	if wait := e.resendIn(s); wait == nil || *wait > 0 {
		return e.askText(s, ""), nil // that one is still good
	}
	s, err = e.send(ctx, s, phones[0].Number)
	if err != nil {
		return State{}, err
	}
	if s.Delivery == DeliveryFailed {
		return e.askText(s, sallyport.ReasonSMSFailed), nil
	}
	return e.askText(s, ""), nil
}

// askText asks for the code, for as long as it is good.
func (e *Engine) askText(s State, why sallyport.Reason) State {
	s.Kind, s.Reason, s.Until = sallyport.PromptCode, why, s.End
	return s.next()
}

// Resend sends the code again.
func (e *Engine) Resend(ctx context.Context, s State) (State, error) {
	enrols := s.Kind == sallyport.PromptEnrol && s.Enrolling.Step == sallyport.EnrolPhoneCode
	if !enrols && (s.Kind != sallyport.PromptCode || s.Used != sallyport.MethodSMS) {
		return s, errStep
	}
	if wait := e.resendIn(s); wait == nil || *wait > 0 {
		return s, sallyport.Errorf(sallyport.CodeLimited, "The code was just sent. Please wait a little before it is sent again.", nil)
	}
	if enrols {
		return e.enrolText(ctx, s)
	}
	return e.text(ctx, s)
}

// send sends the next code. That it could not be sent is in Delivery.
func (e *Engine) send(ctx context.Context, s State, number sallyport.PhoneNumber) (State, error) {
	n, err := e.Counters.Failure(ctx, s.Account, countText, e.Now(), textWindow)
	if err != nil {
		return s, e.fail(ctx, s, sallyport.CodeUnavailable, "Sign-in is not available right now. Please try again.", fmt.Errorf("count messages: %w", err))
	}
	i := len(s.Sent)
	s.Delivery = ""
	if n > textBudget {
		e.log(ctx, s, "code not sent by SMS", "step", 6, "account", s.Account, "why", "too many messages within "+textWindow.String())
		s.Delivery = DeliveryFailed
		return s, nil
	}
	err = e.Texts.Send(ctx, TextMessage{ID: hex.EncodeToString(e.draw("message", string(s.Login), string(number), strconv.Itoa(i))[:16]),
		Account: s.Account, Number: number, Code: e.textCode(s, i), Application: s.Application, Language: s.Language, Life: TextLife})
	if err != nil {
		e.Log.ErrorContext(ctx, "code not sent by SMS", "login", s.Login, "support_code", s.Support, "account", s.Account, "err", err)
		e.tell(s, "code not sent by SMS", 6, map[string]string{"why": sallyport.ErrorMessage(err)})
		s.Delivery = DeliveryFailed
		return s, nil
	}
	s.Sent = append(slices.Clone(s.Sent), e.Now().UnixMilli())
	e.log(ctx, s, "code sent by SMS", "step", 6, "account", s.Account, "to", number.Tail())
	return s, nil
}

// resendIn is after how many milliseconds a code can be sent again; nil: not any more.
func (e *Engine) resendIn(s State) *int64 {
	first := 0 // of those to the number in hand; see anew
	for first < len(s.Sent) && s.Sent[first] == 0 {
		first++
	}
	n := len(s.Sent) - first
	if n >= maxTexts || s.Enrolling != nil && len(s.Sent) >= maxEnrolTexts {
		return nil
	}
	wait := int64(0)
	if n > 0 {
		wait = max(0, s.Sent[len(s.Sent)-1]+(textWait<<(n-1)).Milliseconds()-e.Now().UnixMilli())
	}
	return &wait
}

// anew gives new tries, and has no code count that was sent before. That they were sent does count: no two messages of a login have the
// same code.
func (s State) anew() State {
	s.Sent, s.Codes = make([]int64, len(s.Sent)), 0
	return s
}

// textCode is the code in the message of a number: six digits, which follow from the login.
func (e *Engine) textCode(s State, i int) sallyport.Secret {
	number := ""
	if s.Enrolling != nil {
		number = s.Enrolling.Number
	}
	n := binary.BigEndian.Uint64(e.draw("sms", string(s.Login), number, strconv.Itoa(i)))
	return sallyport.Secret(fmt.Sprintf("%06d", n%1_000_000))
}

// sentCodes are the codes in messages that are good.
func (e *Engine) sentCodes(s State) (codes []sallyport.Secret) {
	for i, at := range s.Sent {
		if e.Now().UnixMilli() < at+TextLife.Milliseconds() {
			codes = append(codes, e.textCode(s, i))
		}
	}
	return codes
}
