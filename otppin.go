package sallyport

import "time"

// Bounds of a PIN, in digits.
const (
	OTPPINLeast = 4
	OTPPINMost  = 16
)

// OTPPIN is the PIN that an account's owner types before the code of an OTP token, where that lets somebody in
// without the directory password.
type OTPPIN struct {
	Account AccountName
	// Hash is what is kept of it, as passcode.HashPIN made it. It stays out of the audit trail.
	Hash Secret
	Set  time.Time
	By   string // who set it
}

// OTPPINProblem says in words for people what is wrong with a new PIN; empty: nothing.
func OTPPINProblem(pin Secret) string {
	same, up, down := true, true, true
	for i := range len(pin) {
		if pin[i] < '0' || pin[i] > '9' {
			return "A PIN has digits only."
		}
		if i > 0 {
			step := int(pin[i]) - int(pin[i-1])
			same, up, down = same && step == 0, up && step == 1, down && step == -1
		}
	}
	switch {
	case len(pin) < OTPPINLeast || len(pin) > OTPPINMost:
		return "A PIN has 4 to 16 digits."
	case same || up || down:
		return "This PIN is the first that somebody would guess. Use another one."
	}
	return ""
}
