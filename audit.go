package sallyport

import (
	"encoding/json"
	"time"
)

// AuditRecord is one act of a person or one decision about a login, in the trail that shows
// tampering: each record's MAC covers the record before it in the same chain.
type AuditRecord struct {
	// Chain is the appliance that wrote the record; Sequence counts its records from 1.
	Chain    string
	Sequence int64
	Time     time.Time
	Actor    Actor
	Action   string // "user policy.change", "login.denied": a noun and a verb
	Object   string // what was acted on, for people
	ObjectID string
	// Before and After are JSON of what was there, without secrets; nil for nothing.
	Before json.RawMessage
	After  json.RawMessage
	// Reason says why a decision fell as it did.
	Reason      string
	SupportCode string
}

// LoginRecord is one login attempt at either front door, for reports and for the help desk.
type LoginRecord struct {
	ID          string // the login's id, or that of the RADIUS request
	Time        time.Time
	Ended       time.Time
	SupportCode string
	UserName    string // as typed, cut to 256 octets
	Account     AccountName
	Integration IntegrationID
	Door        Door
	Outcome     Outcome
	Method      Method // the second factor that was used or asked for last; "" for none
	Reason      Reason
	// Detail is the cause in words for the help desk: more than the user was told.
	Detail    string
	Address   string // of the browser, or what the gateway named
	Appliance ApplianceID
}

// Door is the way a login came in.
type Door string

const (
	DoorOverlay Door = "overlay"
	DoorRADIUS  Door = "radius"
	// DoorSelfService is the page on which users look after their own authenticators; it lets nobody in anywhere else.
	DoorSelfService Door = "self-service"
)

// Outcome is how a login ended.
type Outcome string

const (
	OutcomeOpen      Outcome = "open" // not ended yet
	OutcomeGranted   Outcome = "granted"
	OutcomeDenied    Outcome = "denied"
	OutcomeAbandoned Outcome = "abandoned" // nobody went on with it
)

// LoginEvent is one step of a login, for its timeline.
type LoginEvent struct {
	SupportCode string
	Time        time.Time
	Step        int    // 1 to 16 of the sixteen steps; 0: none of them
	Message     string // constant words
	// Detail holds what belongs to the step as JSON, without secrets.
	Detail    json.RawMessage
	Appliance ApplianceID
}
