package sallyport

import "time"

// Domain is an Active Directory domain: whose users are synchronised, and whose controllers check
// passwords.
type Domain struct {
	ID   DomainID
	Name string // DNS name, "hospital.example"
	// NetBIOS is the short name, "HOSPITAL"; the directory is asked for it when the domain is saved.
	NetBIOS string
	// Servers are the domain controllers in the order in which they are asked: "ldaps://host[:port]",
	// or "ldap://host[:port]", on which StartTLS comes before anything else (RFC 4511 section 4.14).
	Servers []string
	// Authority holds the certificates, in PEM, that may sign the controllers' own; empty: the system's.
	Authority    string
	BindName     string // the service account: a DN or a UPN
	BindPassword Secret
	Base         string   // DN below which users are; empty: the whole domain
	UPNSuffixes  []string // further suffixes under which a sAMAccountName is a log-in name
	// Scope limits who is synchronised; empty: everybody below Base.
	Scope []DirectoryObject
	// Every is the time between two synchronisations; 0: on demand only.
	Every   time.Duration
	Version int64
}

// DirectoryObject is an OU or a group of a domain.
type DirectoryObject struct {
	Kind ObjectKind `json:"kind"`
	DN   string     `json:"dn"`
}

// ObjectKind says what a directory object collects users by.
type ObjectKind string

const (
	ObjectOU    ObjectKind = "ou"    // users below it
	ObjectGroup ObjectKind = "group" // its members, nested ones included
)

// Synchronisation is one run of reading a domain's users, or its preview.
type Synchronisation struct {
	ID      string
	Domain  DomainID
	Kind    SynchronisationKind
	State   SynchronisationState
	Started time.Time
	Ended   time.Time // zero while it runs
	// Told is when it last told how far it is, while it ran.
	Told    time.Time
	By      string // who asked, or "schedule"
	Read    int    // entries read so far
	Added   int
	Changed int
	Removed int
	// Message says why it failed or what it waits for, in words for an administrator.
	Message string
}

// SynchronisationSilence is how long one that runs may say nothing: then its appliance is gone, and another one may
// begin. It is longer than reading and writing one page take.
const SynchronisationSilence = 3 * time.Minute

// Seen is a synchronisation as it has to be taken at a time: one whose appliance has gone silent was interrupted,
// though nobody has written so yet.
func (y Synchronisation) Seen(now time.Time) Synchronisation {
	if last := y.Told; y.State == SynchronisationRunning && now.Sub(last) >= SynchronisationSilence {
		y.State, y.Ended, y.Message = SynchronisationInterrupted, last, SynchronisationInterruptedWords
	}
	return y
}

// SynchronisationInterruptedWords say what became of one that was interrupted.
const SynchronisationInterruptedWords = "The appliance that ran it has stopped. What it had written by then stays, and the next one does the rest."

// SynchronisationKind says how much is read.
type SynchronisationKind string

const (
	SynchroniseFull    SynchronisationKind = "full"
	SynchroniseChanges SynchronisationKind = "changes" // what changed since the last one
	SynchronisePreview SynchronisationKind = "preview" // a full one that writes nothing
)

// SynchronisationState is where a synchronisation is.
type SynchronisationState string

const (
	SynchronisationRunning SynchronisationState = "running"
	SynchronisationDone    SynchronisationState = "done"
	SynchronisationFailed  SynchronisationState = "failed"
	// SynchronisationInterrupted: the appliance that ran it is gone.
	SynchronisationInterrupted SynchronisationState = "interrupted"
	// SynchronisationAsks: it would remove more users than is believed without a person's word.
	SynchronisationAsks SynchronisationState = "asks"
)
