package sallyport

import (
	"log/slog"
	"time"
)

// PhoneID names an enrolled phone number.
type PhoneID string

// PhonesMost is how many phone numbers an account may have.
const PhonesMost = 5

// PhoneNumber is a telephone number in E.164: "+", then 7 to 15 digits. It prints, logs and marshals as its last
// two digits; string(n) shows it.
type PhoneNumber string

// Valid reports whether n has the form of E.164; whether there is such a number is another matter.
func (n PhoneNumber) Valid() bool {
	if len(n) < 8 || len(n) > 16 || n[0] != '+' || n[1] == '0' {
		return false
	}
	for _, c := range []byte(n[1:]) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// Tail is the last two digits, by which its owner knows it.
func (n PhoneNumber) Tail() string { return string(n[max(0, len(n)-2):]) }

func (n PhoneNumber) String() string               { return "…" + n.Tail() }
func (n PhoneNumber) GoString() string             { return n.String() }
func (n PhoneNumber) LogValue() slog.Value         { return slog.StringValue(n.String()) }
func (n PhoneNumber) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// Phone is a phone number that an account gets codes at by text message (SMS).
type Phone struct {
	ID       PhoneID
	Account  AccountName
	Number   PhoneNumber
	Enrolled time.Time
}
