// Package texts sends codes by text message (SMS): it words them, reads phone numbers, and hands the messages to the
// token service with what that needs to know of the enterprise's gateway. The gateway's secret is kept here alone,
// sealed; the token service is told it with each message and forgets it.
package texts

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport"
)

// Message is a code on its way to a phone.
type Message struct {
	// ID is the same whenever the same message is meant: it is sent once, however often it is asked for.
	ID    string
	Phone sallyport.Phone
	Code  sallyport.Secret
	// Life is how long the code is good from now on; at most 10 minutes.
	Life time.Duration
	// Language is of the person ("de", "pt-BR").
	Language string
	// Application is what the person signs in to, for people; may be empty.
	Application string
}

// Text is what the token service is asked to send.
type Text struct {
	ID     string
	Number sallyport.PhoneNumber
	Text   string
	Life   time.Duration
	// Gateway is the enterprise's; nil: the operator's.
	Gateway *Gateway
}

// Outcome is what became of a message.
type Outcome string

const (
	Sent Outcome = "sent"
	// Uncertain: it may have been sent; nobody knows.
	Uncertain   Outcome = "uncertain"
	BadNumber   Outcome = "bad number"
	Credential  Outcome = "credential"
	Throttled   Outcome = "throttled"
	Unavailable Outcome = "unavailable"
	Rejected    Outcome = "rejected"
	Forbidden   Outcome = "forbidden"
	NoGateway   Outcome = "no gateway"
)

// Answer is what the token service says of a message: the outcome, and the gateway's reason for an administrator.
type Answer struct {
	Outcome Outcome
	Detail  string
}

// Courier is the token service (devices.Client).
type Courier interface {
	SendText(ctx context.Context, t Text) (Answer, error)
}

// Store is what is kept.
type Store interface {
	Sections
	Phones(ctx context.Context, account sallyport.AccountName) ([]sallyport.Phone, error)
}

// Service sends messages.
type Service struct {
	Store   Store
	Courier Courier
	Log     *slog.Logger
}

// Phones returns the phone numbers of an account, the newest first.
func (s *Service) Phones(ctx context.Context, account sallyport.AccountName) ([]sallyport.Phone, error) {
	return s.Store.Phones(ctx, account)
}

// Number reads a phone number as the enterprise's people type it (Number).
func (s *Service) Number(ctx context.Context, typed string) (sallyport.PhoneNumber, error) {
	v, err := ReadSettings(ctx, s.Store)
	if err != nil {
		return "", err
	}
	return Number(typed, v.Region)
}

// Send sends a code. It is idempotent by the message's id. nil means that the gateway took it, or may have; an error
// that nothing was sent, with words for the person: invalid for a number that no message reaches, limited, or
// unavailable for all that the person can do nothing about. What an administrator has to know is in the log.
func (s *Service) Send(ctx context.Context, m Message) error {
	a, err := s.deliver(ctx, m.ID, m.Phone.Number, Words(m.Code, m.Application, m.Language), m.Life)
	if err != nil {
		s.Log.WarnContext(ctx, "text message was not sent", "id", m.ID, "account", m.Phone.Account, "to", m.Phone.Number, "error", err)
		return sallyport.Errorf(sallyport.CodeUnavailable, forPerson[Unavailable], err)
	}
	if a.Outcome == Sent {
		return nil
	}
	s.Log.WarnContext(ctx, "text message was not sent for sure", "id", m.ID, "account", m.Phone.Account, "to", m.Phone.Number,
		"outcome", a.Outcome, "detail", a.Detail, "advice", Advice(a.Outcome))
	if a.Outcome == Uncertain {
		return nil
	}
	return a.failure()
}

// SendTest sends a test message by the settings as they are, and returns what became of it.
func (s *Service) SendTest(ctx context.Context, to sallyport.PhoneNumber) (Answer, error) {
	return s.deliver(ctx, sallyport.NewID(), to, test, testLife)
}

// testLife is how long a test message is of use.
const testLife = 5 * time.Minute

func (s *Service) deliver(ctx context.Context, id string, to sallyport.PhoneNumber, text string, life time.Duration) (Answer, error) {
	g, err := ReadGateway(ctx, s.Store)
	if err != nil {
		return Answer{}, fmt.Errorf("read gateway: %w", err)
	}
	return s.Courier.SendText(ctx, Text{ID: id, Number: to, Text: text, Life: life, Gateway: g})
}

// failure is an outcome as an error for the person.
func (a Answer) failure() error {
	code := sallyport.CodeUnavailable
	switch a.Outcome {
	case BadNumber:
		code = sallyport.CodeInvalid
	case Throttled:
		code = sallyport.CodeLimited
	}
	message, known := forPerson[a.Outcome]
	if !known {
		message = forPerson[Unavailable]
	}
	return sallyport.Errorf(code, message, fmt.Errorf("%s: %s", a.Outcome, a.Detail))
}

// forPerson is what somebody who waits for a code is told. Other outcomes are said as Unavailable.
var forPerson = map[Outcome]string{
	BadNumber:   "No text message can be sent to this number. Use another way to sign in, or call the help desk.",
	Throttled:   "Too many text messages are being sent. Wait a minute and send it again, or use another way to sign in.",
	Unavailable: "The text message could not be sent. Send it again, or use another way to sign in.",
}

// Advice says what an administrator can do about an outcome; "" for Sent.
func Advice(o Outcome) string {
	switch o {
	case Sent:
		return ""
	case Uncertain:
		return "The gateway took the message, or broke off before it said so. Look into its log."
	case BadNumber:
		return "The gateway sends nothing to this number. Look at the number; perhaps its owner has stopped messages from you."
	case Credential:
		return "The gateway does not take these credentials. Look at the account and the secret."
	case Throttled:
		return "The gateway says that these are too many messages. Wait, or ask your provider for a higher limit."
	case Rejected:
		return "The gateway finds fault with the message or with a setting, most often the sender. Its answer says which."
	case Forbidden:
		return "The token service does not talk to this address: it is not on the public internet. Its operator can allow it (--sms-allow-network)."
	case NoGateway:
		return "The token service has no gateway of its own. Choose a gateway here, or ask its operator."
	}
	return "The gateway cannot be reached. Look at its address, and at the firewalls between the token service and it."
}
