package console

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport"
)

func (s *Server) workflowRoutes() {
	s.page("/workflow-policy", "LoginWorkflow", (*request).workflow)
	s.act("/workflow-policy", "SetLoginWorkflow", (*request).setWorkflow)
	s.act("/workflow-policy/associate", "AssociateWorkflow", (*request).associateWorkflow)
}

// combinations are the ways to log in, in the words of the page.
func combinations() []Option {
	return []Option{
		{Value: string(sallyport.PasswordAndApp), Label: "Password and app", Help: "Approve on the phone, or type the app’s six digits."},
		{Value: string(sallyport.PasswordAndSMS), Label: "Password and SMS code"},
		{Value: string(sallyport.PasswordAndOTP), Label: "Password and OTP token", Help: "The code that a hardware token shows."},
		{Value: string(sallyport.PINAndOTP), Label: "PIN and OTP token", Help: "PIN and code in the password’s place, where the whole log-in is in RADIUS (legacy experience). At other gateways the directory checks the password, which is asked for there instead of the PIN."},
		{Value: string(sallyport.OTPAlone), Label: "OTP token alone", Help: "Warning: whoever holds the token gets in. The code in the password’s place, where the whole log-in is in RADIUS (legacy experience). At other gateways the directory checks the password, which is asked for as well."},
		{Value: string(sallyport.PasswordAndExternal), Label: "Password and external token server"},
		{Value: string(sallyport.PasswordAndPasskey), Label: "Password and passkey"},
	}
}

func (r *request) workflow() error {
	w, err := r.s.admin.LoginWorkflow(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	return r.showWorkflow(http.StatusOK, r.form("Save", workflowFields(w)...))
}

func workflowFields(w sallyport.LoginWorkflow) (fields []Field) {
	for _, c := range combinations() {
		fields = append(fields, Field{Kind: "checkbox", Name: "allow", Label: c.Label, Help: c.Help, Value: c.Value, Checked: slices.Contains(w.Allowed, sallyport.Combination(c.Value))})
	}
	count, unit := daysOrHours(w.Remember.For)
	return append(fields,
		Field{Kind: "checkbox", Name: "matching", Label: "Number matching: the number on the page is typed in the app", Checked: w.NumberMatching, Help: "Keeps people from approving a login that is not theirs. An app that does not know it uses its token code."},
		Field{Kind: "checkbox", Name: "remember", Label: "Allow users to skip the second factor on remembered devices", Checked: w.Remember.Allowed, Help: "Cloud experience only. Switching it off forgets every remembered device for good."},
		Field{Kind: "number", Name: "for", Label: "Devices are remembered for", Value: strconv.Itoa(count), Required: true, Help: "1 hour to 120 days. Shorter bites at once, also on devices remembered already; longer lengthens those."},
		Field{Kind: "select", Name: "unit", Label: "Unit", Options: options(unit, "hours", "hours", "days", "days")},
		Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(w.Version, 10)})
}

// daysOrHours writes a length of time in days when it is whole days, else in hours.
func daysOrHours(d time.Duration) (int, string) {
	if d%(24*time.Hour) == 0 {
		return int(d / (24 * time.Hour)), "days"
	}
	return int(d / time.Hour), "hours"
}

func (r *request) readWorkflow(w sallyport.LoginWorkflow) (sallyport.LoginWorkflow, error) {
	form, err := r.FormParams()
	if err != nil {
		return w, sallyport.Errorf(sallyport.CodeInvalid, "The form is not complete. Open the page again.", err)
	}
	w.Allowed = nil
	for _, v := range form["allow"] {
		w.Allowed = append(w.Allowed, sallyport.Combination(v))
	}
	w.NumberMatching, w.Remember.Allowed, w.Version = r.FormValue("matching") != "", r.FormValue("remember") != "", r.version()
	n, err := strconv.Atoi(r.FormValue("for"))
	unit := time.Hour
	if r.FormValue("unit") == "days" {
		unit = 24 * time.Hour
	}
	if err != nil || n < 1 || n > 120*24 {
		return w, sallyport.Errorf(sallyport.CodeInvalid, "Devices are remembered for 1 hour to 120 days.", err)
	}
	w.Remember.For = time.Duration(n) * unit
	return w, nil
}

func (r *request) showWorkflow(status int, f Form) error {
	policies, err := r.s.admin.UserPolicies(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	d := CardPage{Split: true, Cards: []Card{{Title: "How users log in", Text: "A temporary code from the help desk stands in for the second factor of any of these.", Form: &f},
		{Title: "For these user policies", Text: "What you tick here is live: its users need two factors at every gateway."}}}
	var boxes []Field
	for _, p := range policies {
		words := plural(p.Users, "user", "users")
		if !p.Licensed {
			words += "; no licence, so they count as users without one"
		}
		boxes = append(boxes, Field{Kind: "checkbox", Name: "policy", Label: p.Name, Value: string(p.ID), Checked: p.RemoteAccess, Help: words})
	}
	if r.May("AssociateWorkflow") {
		g := r.form("Save", boxes...)
		g.Path = "/workflow-policy/associate"
		d.Cards[1].Form = &g
	} else {
		d.Cards[0].Form, d.Cards[0].Facts = nil, factsOf(f.Fields)
		d.Cards[1].Facts = factsOf(boxes)
	}
	return r.showAs(status, Page{Title: "Workflow policy", Lead: "Remote access log in: what somebody has to show at the gateway.", Content: "cardpage", Data: d})
}

// factsOf shows the fields of a form to somebody who may not change them.
func factsOf(fields []Field) (out []Fact) {
	for _, f := range fields {
		switch f.Kind {
		case "hidden":
		case "checkbox":
			out = append(out, fact(f.Label, yesNo(f.Checked)))
		case "select":
			for _, o := range f.Options {
				if o.Chosen {
					out = append(out, fact(f.Label, o.Label))
				}
			}
		default:
			out = append(out, fact(f.Label, orNone(f.Value)))
		}
	}
	return out
}

func (r *request) setWorkflow() error {
	ctx := r.Request().Context()
	before, err := r.s.admin.LoginWorkflow(ctx, r.Actor())
	if err != nil {
		return err
	}
	w, err := r.readWorkflow(before)
	if err == nil {
		_, err = r.s.admin.SetLoginWorkflow(ctx, r.Actor(), w)
	}
	if err == nil {
		return r.done("/workflow-policy", "Saved. It counts from now on, on every appliance.")
	}
	f, ok := r.form("Save", workflowFields(w)...).with(err)
	if !ok {
		return err
	}
	return r.showWorkflow(http.StatusUnprocessableEntity, f)
}

func (r *request) associateWorkflow() error {
	ids, err := r.chosenPolicies()
	if err != nil {
		return err
	}
	return r.orConflict("/workflow-policy", "Saved. What is ticked is live.", r.s.admin.AssociateWorkflow(r.Request().Context(), r.Actor(), ids))
}

// chosenPolicies are the user policies that are ticked in a form.
func (r *request) chosenPolicies() (ids []sallyport.UserPolicyID, err error) {
	form, err := r.FormParams()
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "The form is not complete. Open the page again.", err)
	}
	for _, v := range form["policy"] {
		ids = append(ids, sallyport.UserPolicyID(v))
	}
	return ids, nil
}
