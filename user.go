package sallyport

import "time"

// User is somebody of a domain, as known since the last synchronisation.
type User struct {
	ID     UserID
	Domain DomainID
	// GUID is the directory's objectGUID, 32 hexadecimal digits in the order of the octets; it stays
	// when the account is renamed or moved, and an account made anew has another one.
	GUID        string
	Account     AccountName
	UPN         string
	DN          string
	DisplayName string
	Mail        string
	State       UserState
	Policy      UserPolicyID
	// PolicyFrom says what gave the user the policy; a policy given by hand is left alone by rules.
	PolicyFrom PolicySource
	// SecondFactorSince makes remembered devices from before it ask for the second factor again
	// ("require 2FA on all devices"); zero: none are revoked.
	SecondFactorSince time.Time
	Created           time.Time
	Synchronised      time.Time
	Version           int64
}

// UserState is what became of the account in the directory.
type UserState string

const (
	UserActive   UserState = "active"
	UserDisabled UserState = "disabled"
	UserRemoved  UserState = "removed" // gone from the directory or from what is synchronised
)

// PolicySource says why a user has the user policy.
type PolicySource string

const (
	PolicyByDefault PolicySource = "default"
	PolicyByRule    PolicySource = "rule"
	PolicyByHand    PolicySource = "hand"
)
