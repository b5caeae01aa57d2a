package sallyport

import "time"

// RADIUSOutcome is what became of a RADIUS request.
type RADIUSOutcome string

const (
	RADIUSAccepted   RADIUSOutcome = "accept"
	RADIUSRejected   RADIUSOutcome = "reject"
	RADIUSChallenged RADIUSOutcome = "challenge"
	RADIUSDropped    RADIUSOutcome = "drop" // not answered
	// RADIUSAccounting: what a gateway told of a session (RFC 2866); the reason has it in words.
	RADIUSAccounting RADIUSOutcome = "accounting"
)

// RADIUSActivity is one RADIUS request and what became of it, for reports and for who sets up a gateway.
type RADIUSActivity struct {
	Time        time.Time
	Integration IntegrationID // empty: none has the source address
	Source      string        // address and port the request came from
	UserName    string        // as sent, cut to 256 octets
	Account     AccountName
	Outcome     RADIUSOutcome
	Reason      string
	// Cure says what an administrator can do about it.
	Cure           string
	NASIdentifier  string
	CallingStation string // what the gateway says where the user is
	CalledStation  string // and which of its addresses was called
	Appliance      ApplianceID
	// Key, when it is not empty, says what is the same request: kept with the same one before, nothing changes.
	// It is not read back.
	Key string
}

// GatewayHealth is what one appliance last heard of an integration's gateway.
type GatewayHealth struct {
	Integration IntegrationID
	Appliance   ApplianceID
	Heard       time.Time // last request that could be read
	Accepted    time.Time // last one that was accepted
	Error       string    // last thing that went wrong, in words
	ErrorTime   time.Time
	Cure        string // what an administrator can do about the error
	// OldSecret is when a request last used the secret that is being replaced.
	OldSecret time.Time
}
