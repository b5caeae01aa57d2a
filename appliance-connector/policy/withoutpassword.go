package policy

import (
	"slices"

	"github.com/sallyport/sallyport"
)

// WithoutPassword are the combinations by which somebody may come in without the directory password, by an OTP
// token that was assigned: none for those without a licence, whom the directory vouches for, and none at a gateway
// that checks the password by itself. In.Known says that the directory has the account and does not keep it
// out. What Decide says is for those who have given the password, and knows nothing of this.
func WithoutPassword(in Input) (ways []sallyport.Combination) {
	w := &weighing{Input: in, has: in.Standing.Has}
	user := in.Standing.User
	if !in.Known || user == nil || user.State != sallyport.UserActive || !w.passwordless() || !w.licensed() {
		return nil
	}
	for _, c := range []struct {
		way sallyport.Combination
		has bool
	}{{sallyport.PINAndOTP, w.has.OTP && w.has.PIN}, {sallyport.OTPAlone, w.has.OTP}} {
		if c.has && w.allows(c.way) {
			ways = append(ways, c.way)
		}
	}
	return ways
}

// passwordless reports whether the gateway leaves the whole login to RADIUS: elsewhere it has the directory check
// the password, and nobody gets past that without.
func (w *weighing) passwordless() bool {
	return w.Door == sallyport.DoorRADIUS && slices.Contains([]sallyport.Experience{sallyport.ExperienceLegacy, sallyport.ExperienceBoth}, w.Integration.Experience)
}

// explainOTP says what becomes of combinations without the directory password, to whom has a token.
func (w *weighing) explainOTP() {
	if !w.has.OTP || !w.allows(sallyport.PINAndOTP, sallyport.OTPAlone) {
		return
	}
	if !w.passwordless() {
		w.say("The password is asked for before the code of the OTP token.",
			"The workflow policy allows an OTP token without it, but this gateway has the directory check the password: nobody gets past that without.")
		return
	}
	switch ways := WithoutPassword(w.Input); {
	case slices.Contains(ways, sallyport.OTPAlone):
		w.say("The code of the OTP token opens this gateway without the password.", "The workflow policy allows it, and the gateway leaves the whole login to RADIUS. The code is typed in the password's place.")
	case slices.Contains(ways, sallyport.PINAndOTP):
		w.say("PIN and code of the OTP token open this gateway without the password.", "The workflow policy allows it, and the gateway leaves the whole login to RADIUS. The PIN and right behind it the code are typed in the password's place.")
	default:
		w.say("The user has no PIN to type before the code of the OTP token.", "The workflow policy allows PIN with OTP token. Without a PIN the password has to be given.")
	}
}
