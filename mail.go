package sallyport

import "time"

// Mail is a message that an appliance sends by e-mail.
type Mail struct {
	ID         string
	Created    time.Time
	Recipients []string
	Subject    string
	Text       string
	// Attachment may be nil.
	Attachment *MailAttachment

	State MailState
	Tries int
	// NextTry is when it is tried next while it waits, Ended when it no longer did.
	NextTry, Ended time.Time
	// Answer is what the server said at the last try, or why there was no answer.
	Answer string
}

// MailAttachment is a file that comes with a message.
type MailAttachment struct {
	Name string
	Type string // "text/csv"
	Data []byte
}

// MailState says what became of a message.
type MailState string

const (
	MailWaiting MailState = "waiting"
	MailSent    MailState = "sent"
	MailFailed  MailState = "failed" // given up
)
