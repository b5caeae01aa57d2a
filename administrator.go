package sallyport

import "time"

// Role is what an administrator may do.
type Role string

const (
	RoleSuper    Role = "super"    // everything, and other administrators
	RoleAdmin    Role = "admin"    // everything but administrators and keys
	RoleHelpDesk Role = "helpdesk" // users: see, explain logins, temporary codes, delete lost devices
	RoleAuditor  Role = "auditor"  // sees everything but secrets, changes nothing
)

// Scope limits an administrator to some users; empty: all. A user is in it who has one of the
// policies, or is below one of the OUs.
type Scope struct {
	Policies []UserPolicyID `json:"policies,omitempty"`
	OUs      []string       `json:"ous,omitempty"` // DNs
}

// Unlimited reports whether the scope is everybody.
func (s Scope) Unlimited() bool { return len(s.Policies) == 0 && len(s.OUs) == 0 }

// Administrator is somebody who may sign in to the console.
type Administrator struct {
	ID AdministratorID
	// Name is the sign-in name, compared without case; of somebody of the directory the account's name.
	Name        string
	DisplayName string
	Mail        string
	Role        Role
	Scope       Scope
	// Directory: the password is the directory's; else it is kept here, as a hash.
	Directory bool
	Disabled  bool
	Created   time.Time
	LastSeen  time.Time
	Version   int64
}

// RoleGrant gives a role to the members of a directory group, nested ones included.
type RoleGrant struct {
	Domain DomainID `json:"domain"`
	Group  string   `json:"group"` // DN
	Role   Role     `json:"role"`
	Scope  Scope    `json:"scope"`
}

// APIToken lets a program use the administrative API in an administrator's name. The token itself is
// shown once.
type APIToken struct {
	ID      string
	Owner   AdministratorID
	Name    string
	Role    Role // at most the owner's
	Access  TokenAccess
	Created time.Time
	Expires time.Time
	Used    time.Time // last time
}

// TokenAccess says what of its role's operations an API token may do; empty, of a token made before there
// was a choice: read.
type TokenAccess string

const (
	TokenReads  TokenAccess = "read"  // what changes nothing
	TokenWrites TokenAccess = "write" // all of them
)

// Actor is who does something to the appliance.
type Actor struct {
	Kind ActorKind
	ID   string // of the administrator; empty otherwise
	Name string // for people: a sign-in name, "schedule", "root@host"
	Role Role
	// Scope is what the actor may see and change.
	Scope Scope
	// ReadOnly is an API token that may only read.
	ReadOnly bool
	Address  string // where the request came from; empty: this host
}

// ActorKind says how an actor came in.
type ActorKind string

const (
	ActorAdministrator ActorKind = "administrator" // signed in to the console
	ActorToken         ActorKind = "token"         // by the HTTP API
	ActorLocal         ActorKind = "local"         // by the command line on the appliance
	ActorUser          ActorKind = "user"          // somebody who logs in or enrols
	ActorSystem        ActorKind = "system"        // the appliance by itself
)
