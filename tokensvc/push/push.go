// Package push is what the token service asks of those who deliver notifications to phones. Its
// sub-packages do it through Apple and Google. What is sent says that there is something to answer
// and nothing else: no user, no hospital, no number, not even sealed.
package push

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/sallyport/sallyport"
)

// What a locked screen shows.
const (
	Title = "Sign-in request"
	Body  = "Open the app to answer."
	// DataField carries the challenge id to the app.
	DataField = "c"
)

// Message is one notification.
type Message struct {
	// Token is the device's address at the provider.
	Token     string
	Challenge sallyport.ChallengeID
	// Expires is when the provider may give up.
	Expires time.Time
	// CollapseID lets a newer notification of the same device take the older one's place; at most 64 octets.
	CollapseID string
}

// Outcome is how an attempt to send ended.
type Outcome int

const (
	// Unavailable: the provider does not answer or says to come again.
	Unavailable Outcome = iota
	// Sent: the provider took it.
	Sent
	// Unregistered: the address is no longer (or never was) one.
	Unregistered
	// Throttled: too many; see RetryAfter.
	Throttled
	// Credential: the provider does not accept our credential, a new token included.
	Credential
	// Rejected: the provider finds fault with the notification or our settings.
	Rejected
)

func (o Outcome) String() string {
	switch o {
	case Sent:
		return "sent"
	case Unregistered:
		return "unregistered"
	case Throttled:
		return "throttled"
	case Credential:
		return "credential"
	case Rejected:
		return "rejected"
	default:
		return "provider"
	}
}

// Result is an outcome with what the operator needs to know of it.
type Result struct {
	Outcome Outcome
	// RetryAfter is how long the provider asked us to wait; 0 when it did not.
	RetryAfter time.Duration
	// Detail is the provider's reason and status. It never holds the token.
	Detail string
	// Advice says what the operator is to do, for Credential and Rejected.
	Advice string
}

// Sender sends through one provider. Send returns when the provider has answered, at the latest when
// ctx ends, and may be called by many at once.
type Sender interface {
	Send(ctx context.Context, m Message) Result
}

// CollapseID is the collapse id of a device: a hash, so that the provider cannot link the device to
// its requests to us. 43 characters.
func CollapseID(d sallyport.DeviceID) string {
	sum := sha256.Sum256([]byte("sallyport/v1 collapse " + string(d)))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
