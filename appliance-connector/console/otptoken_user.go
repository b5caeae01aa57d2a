package console

import (
	"net/http"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// tokenForms are the forms of a user's OTP tokens when something is wrong in them.
type tokenForms struct{ assign, pin *Form }

func userTokenForm(r *request, serial string) Form {
	f := r.form("Assign", Field{Name: "serial", Label: "Serial number of another token", Value: serial, Required: true, Most: sallyport.OTPSerialMost, Help: "It stands on the back of the token."})
	f.Path = r.userPath() + "/otp-tokens"
	return f
}

func pinForm(r *request) Form {
	f := r.form("Set PIN", Field{Kind: "password", Name: "pin", Label: "New PIN", Required: true, Most: sallyport.OTPPINMost, Autocomplete: "new-password",
		Help: "4 to 16 digits. Let the user choose it; nobody can look it up afterwards."})
	f.Path = r.userPath() + "/pin"
	return f
}

func (r *request) tokenCard(d userData) Card {
	t := &Table{ID: "otp-tokens", Caption: "OTP tokens", Columns: []Column{{Label: "Token"}, {Label: "Kind"}, {Label: "State"}, {Label: "Last used"}}, Empty: Empty{Title: "No OTP token"}}
	for _, k := range d.tokens {
		t.Rows = append(t.Rows, []Cell{{Text: k.Serial, Path: tokenPath(k)}, {Text: tokenKind(k)}, {Badge: tokenBadge(k)}, {Time: k.Used, Text: "never"}})
	}
	tokens := Card{Title: "OTP tokens", Table: t}
	if r.May("AssignOTPToken") && d.user.State == sallyport.UserActive {
		if tokens.Form = d.forms.assign; tokens.Form == nil {
			f := userTokenForm(r, "")
			tokens.Form = &f
		}
	}
	return tokens
}

// pinCard is the PIN before the codes of OTP tokens.
func (r *request) pinCard(d userData) Card {
	pin := Card{Title: "PIN", Text: "Typed right before the code of an OTP token, in the password’s place: for gateways whose whole log-in is in RADIUS, where the workflow policy allows PIN and OTP token."}
	if d.pin == nil {
		pin.Facts = []Fact{fact("PIN", "none")}
	} else {
		pin.Facts = []Fact{factTime("Set", d.pin.Set), fact("By", d.pin.By)}
		if r.May("DeleteOTPPIN") {
			pin.Facts = append(pin.Facts, Fact{"End it", Cell{Form: &RowForm{Path: r.userPath() + "/delete-pin", CSRF: r.session.CSRF(), Label: "Delete PIN", Danger: true}}})
		}
	}
	if r.May("SetOTPPIN") && d.user.State == sallyport.UserActive && (len(d.tokens) > 0 || d.pin != nil) {
		if pin.Form = d.forms.pin; pin.Form == nil {
			f := pinForm(r)
			pin.Form = &f
		}
	}
	return pin
}

func (r *request) assignTokenToUser() error {
	ctx, serial := r.Request().Context(), strings.TrimSpace(r.FormValue("serial"))
	k, err := r.s.admin.OTPTokenBySerial(ctx, r.Actor(), serial)
	if sallyport.ErrorCode(err) == sallyport.CodeNotFound {
		err = admin.FieldErrors{"serial": "There is no such token. Import it first."}
	}
	if err == nil {
		_, err = r.s.admin.AssignOTPToken(ctx, r.Actor(), k.ID, k.Version, r.userID())
	}
	if err == nil {
		return r.done(r.userPath(), "The token belongs to the user now.")
	}
	f, ok := userTokenForm(r, serial).with(err)
	if !ok {
		return err
	}
	return r.showUserAgain(tokenForms{assign: &f})
}

func (r *request) setPIN() error {
	err := r.s.admin.SetOTPPIN(r.Request().Context(), r.Actor(), r.userID(), sallyport.Secret(r.FormValue("pin")))
	if err == nil {
		return r.done(r.userPath(), "The PIN was set.")
	}
	f, ok := pinForm(r).with(err)
	if !ok {
		return err
	}
	return r.showUserAgain(tokenForms{pin: &f})
}

func (r *request) showUserAgain(forms tokenForms) error {
	d, err := r.readUser()
	if err != nil {
		return err
	}
	d.forms = forms
	return r.showUser(http.StatusUnprocessableEntity, d, nil)
}

func (r *request) deletePIN() error {
	return r.orConflict(r.userPath(), "The PIN was deleted.", r.s.admin.DeleteOTPPIN(r.Request().Context(), r.Actor(), r.userID()))
}
