package sallyport

import "time"

// TemporaryCode is a second factor that the help desk gives to one user for a while. The code itself
// is shown once, when it is issued.
type TemporaryCode struct {
	ID      string
	Account AccountName
	Issued  time.Time
	Expires time.Time
	By      string // the administrator who issued it
	// Ended is when it ended before its time, and EndedBy why; zero while it is good.
	Ended   time.Time
	EndedBy TemporaryCodeEnd
}

// Good reports whether the code can be used at the time now.
func (c TemporaryCode) Good(now time.Time) bool { return c.Ended.IsZero() && now.Before(c.Expires) }

// TemporaryCodeEnd says why a temporary code ended before its time.
type TemporaryCodeEnd string

const (
	EndedByRevocation TemporaryCodeEnd = "revoked"  // by an administrator, or by a newer code
	EndedByEnrolment  TemporaryCodeEnd = "enrolled" // the user enrolled a factor
	EndedByUsualLogin TemporaryCodeEnd = "usual"    // the user logged in with the usual factor again
)
