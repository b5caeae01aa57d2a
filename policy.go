package sallyport

import "time"

// UserPolicy gathers users who are treated alike; every user has exactly one.
type UserPolicy struct {
	ID      UserPolicyID
	Name    string
	Note    string
	Default bool // of users whom no rule and nobody gave another one
	// Licensed: its users consume a licence for remote access and may use it.
	Licensed bool
	// RemoteAccess associates the policy with the workflow policy "Remote access log in": that is what
	// goes live.
	RemoteAccess bool
	// EnrolRule is the one enrol rule the policy belongs to; empty: none.
	EnrolRule EnrolRuleID
	Version   int64
}

// AssignmentRule gives the users of an OU or a group their policy when they are synchronised. Of the
// rules that fit, the first one counts.
type AssignmentRule struct {
	Domain DomainID        `json:"domain"`
	Object DirectoryObject `json:"object"`
	Policy UserPolicyID    `json:"policy"`
}

// LoginWorkflow is the workflow policy "Remote access log in": what a login has to give.
type LoginWorkflow struct {
	// Allowed are the combinations of factors that let somebody in; by default password with app and
	// password with SMS code. A temporary code stands in for the second factor of any of them.
	Allowed []Combination
	// NumberMatching: the number on the page has to be typed in the app.
	NumberMatching bool
	Remember       RememberPolicy
	Version        int64
}

// Combination is a set of factors that together let somebody in.
type Combination string

const (
	PasswordAndApp      Combination = "password+app" // push, or the app's token code
	PasswordAndSMS      Combination = "password+sms"
	PasswordAndOTP      Combination = "password+otp"
	PINAndOTP           Combination = "pin+otp"
	OTPAlone            Combination = "otp"
	PasswordAndExternal Combination = "password+external" // external token server
	PasswordAndPasskey  Combination = "password+passkey"
)

// Bounds and default of how long a device is remembered (reference: "Optional: Skip Second Factor").
const (
	RememberLeast   = time.Hour
	RememberMost    = 120 * 24 * time.Hour
	RememberDefault = 30 * 24 * time.Hour
)

// RememberPolicy says whether a second factor may be skipped on remembered devices.
type RememberPolicy struct {
	Allowed bool
	For     time.Duration // RememberLeast to RememberMost
	// Since is when it was last allowed: devices remembered before that are forgotten for good.
	Since time.Time
}

// EnrolRule says what users may do who have not enrolled a second factor, and where they are asked to.
type EnrolRule struct {
	ID   EnrolRuleID
	Name string
	// Unenrolled is how users without app and phone number get in.
	Unenrolled UnenrolledAccess
	// PromptAtGateway and PromptOnSite say where users are asked to enrol: at the gateway's page, and
	// on the self-service page inside the network.
	PromptAtGateway bool
	PromptOnSite    bool
	MayDelay        bool // "not now" is offered
	// TemporaryCode: enrolling at the gateway needs a temporary code after name and password.
	TemporaryCode bool
	Version       int64
}

// UnenrolledAccess is how users get in who have neither app nor phone number enrolled.
type UnenrolledAccess string

const (
	// UnenrolledPassword: with the password alone.
	UnenrolledPassword UnenrolledAccess = "password"
	// UnenrolledOther: by an OTP token or a temporary code, else not at all ("a different login method").
	UnenrolledOther UnenrolledAccess = "other_method"
)

// Licences is how many users have a user policy that consumes a licence, and how many may.
type Licences struct {
	Used  int
	Total int // 0: not limited
}

// Exceeded reports whether more users have a licensed policy than there are licences.
func (l Licences) Exceeded() bool { return l.Total > 0 && l.Used > l.Total }
