package legacy

import (
	"context"
	"slices"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
)

// Enrolment in RADIUS. There is no link to draw, and one field to type into. So all is said in one line: a phone number
// with its plus; the app's serial number and its code; an OTP token's serial number and two codes in a row; or "later".
// What is not the beginning of something else is one of these by its form.

const (
	wordLater = "later"
	wordBack  = "back"
	wordAgain = "again"
)

// waits reports whether a login waits for a phone.
func waits(s login.State) bool {
	return s.Kind == sallyport.PromptPush || s.Kind == sallyport.PromptEnrol && s.Enrolling.Step == sallyport.EnrolApp && s.Enrolling.Invitation != nil
}

// finished lets in who has enrolled: there is nothing to be read before.
func (d *Door) finished(ctx context.Context, s login.State) (login.State, error) {
	if s.Kind != sallyport.PromptEnrol || s.Enrolling.Step != sallyport.EnrolFinished {
		return s, nil
	}
	return d.Engine.Act(ctx, s, login.Action{Do: "continue"})
}

// enrol takes what was typed for an enrolment.
func (d *Door) enrol(ctx context.Context, s login.State, text sallyport.Secret) (result, error) {
	next, err := s, error(nil)
	actions := enrolActions(s.Enrolling, string(text))
	for _, a := range actions {
		if next, err = d.Engine.Act(ctx, next, a); err != nil {
			break
		}
	}
	if len(actions) == 0 {
		next.Reason = sallyport.ReasonEnrolFailed
	}
	r, err := d.again(s)(next, err)
	if err != nil {
		return r, err
	}
	r.Hold = waits(r.State)
	r.State, err = d.finished(ctx, r.State)
	return r, err
}

// enrolActions reads what was typed; none: it means nothing here.
func enrolActions(g *login.Enrolling, text string) []login.Action {
	text = strings.TrimSpace(text)
	word, fields := strings.ToLower(text), strings.Fields(text)
	may := func(k sallyport.AuthenticatorKind) bool { return slices.Contains(g.Kinds, k) }
	begin := func(k sallyport.AuthenticatorKind, at ...sallyport.EnrolStep) []login.Action {
		if slices.Contains(at, g.Step) {
			return nil
		}
		return []login.Action{{Do: "enrol", Kind: k}}
	}
	switch {
	case word == wordLater && !g.Required:
		return []login.Action{{Do: "delay"}}
	case word == wordBack && g.Step != sallyport.EnrolStart:
		return []login.Action{{Do: "back"}}
	case g.Step == sallyport.EnrolPhoneCode && (word == wordAgain || word == wordSMS):
		return []login.Action{{Do: "resend"}}
	case may(sallyport.AuthenticatorPhone) && strings.HasPrefix(text, "+"):
		return append(begin(sallyport.AuthenticatorPhone, sallyport.EnrolPhone, sallyport.EnrolPhoneCode), login.Action{Do: "enrol", Number: text})
	case g.Step == sallyport.EnrolPhoneCode && len(fields) == 1:
		return []login.Action{{Do: "enrol", Code: sallyport.Secret(text)}}
	case may(sallyport.AuthenticatorApp) && len(fields) == 2:
		return []login.Action{{Do: "enrol", Serial: fields[0], Code: sallyport.Secret(fields[1])}}
	case may(sallyport.AuthenticatorApp) && len(fields) == 4: // the serial number in its three groups
		return []login.Action{{Do: "enrol", Serial: strings.Join(fields[:3], ""), Code: sallyport.Secret(fields[3])}}
	case may(sallyport.AuthenticatorOTP) && len(fields) == 3:
		return append(begin(sallyport.AuthenticatorOTP, sallyport.EnrolOTP), login.Action{Do: "enrol", Serial: fields[0], Codes: []sallyport.Secret{sallyport.Secret(fields[1]), sallyport.Secret(fields[2])}})
	}
	return nil
}

// enrolWords ask for something to enrol, in as few octets as can be.
func enrolWords(p sallyport.Prompt) string {
	var parts []string
	switch p.Reason {
	case sallyport.ReasonEnrolFailed:
		parts = append(parts, "That was not right.")
	case sallyport.ReasonUnknownSerial:
		parts = append(parts, "No open app has that serial number.")
	case sallyport.ReasonNotAttested:
		parts = append(parts, "This app cannot be used here.")
	case sallyport.ReasonWrongCode:
		parts = append(parts, "That code is not right.")
	case sallyport.ReasonTooManyCodes:
		parts = append(parts, "Too many wrong codes.")
	case sallyport.ReasonSMSFailed:
		parts = append(parts, "The message could not be sent.")
	}
	if p.Enrol.Step == sallyport.EnrolPhoneCode {
		parts = append(parts, "Type the code sent to the number that ends in "+p.To+", again for another one, or back.")
		return strings.Join(parts, " ")
	}
	var ways []string
	for _, k := range p.Enrol.Kinds {
		switch k {
		case sallyport.AuthenticatorApp:
			ways = append(ways, "the app's serial number, a space and its code")
		case sallyport.AuthenticatorPhone:
			ways = append(ways, "your mobile number, as +441632960123")
		case sallyport.AuthenticatorOTP:
			ways = append(ways, "your token's serial number and two codes in a row, with spaces")
		}
	}
	if p.Enrol.MayDelay {
		ways = append(ways, wordLater)
	}
	parts = append(parts, "Set up your second factor. Type "+orList(ways)+".")
	return strings.Join(parts, " ")
}

func orList(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], "; ") + "; or " + list[len(list)-1]
}
