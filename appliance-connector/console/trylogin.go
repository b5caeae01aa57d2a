package console

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/export"
	"github.com/sallyport/sallyport/appliance-connector/policy"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func (s *Server) tryLoginRoutes() { s.page("/try", "TryLogin", (*request).tryLogin) }

// nobodyListed stands for somebody who is not in the list of users.
const nobodyListed = "none"

// tryData is what "Try it" shows.
type tryData struct {
	User    string // its id; nobodyListed; empty: none is chosen yet
	Who     Cell
	Query   string
	Found   Table
	Doors   Field
	Ways    Field
	NoDoors bool
	Result  *tryResult
}

// tryResult is what a login would ask for.
type tryResult struct {
	Alert Alert
	Steps []Step
	Facts []Fact
}

func (r *request) tryLogin() error {
	ctx := r.Request().Context()
	doors, err := r.s.admin.LoginDoors(ctx, r.Actor())
	if err != nil {
		return err
	}
	d := tryData{User: r.QueryParam("user"), Query: clip(strings.TrimSpace(r.QueryParam("q")), mostSearch), NoDoors: len(doors) == 0}
	gateway, way := r.tryWhere(&d, doors)
	if err := r.tryWho(&d); err != nil {
		return err
	}
	if d.User != "" && !d.NoDoors {
		id := sallyport.UserID(d.User)
		if d.User == nobodyListed {
			id = ""
		}
		t, err := r.s.admin.TryLogin(ctx, r.Actor(), id, gateway, way)
		if err != nil {
			return err
		}
		d.Result = r.tried(t)
	}
	return r.show(Page{Title: "Try it", Lead: "What a login would ask for, and why. Nobody is asked for anything, and no password is checked.", Content: "trylogin", Data: d})
}

// tryWhere fills the fields that say where the login comes in, and returns what is chosen in them.
func (r *request) tryWhere(d *tryData, doors []admin.LoginDoor) (sallyport.IntegrationID, sallyport.Door) {
	var gateway sallyport.IntegrationID
	asked := r.QueryParam("gateway")
	d.Doors = Field{Kind: "select", Name: "gateway", Label: "Gateway"}
	for i, door := range doors {
		chosen := string(door.ID) == asked
		if chosen || i == 0 {
			gateway = door.ID
		}
		d.Doors.Options = append(d.Doors.Options, Option{Value: string(door.ID), Label: door.Nickname, Chosen: chosen})
	}
	way := sallyport.DoorOverlay
	if sallyport.Door(r.QueryParam("door")) == sallyport.DoorRADIUS {
		way = sallyport.DoorRADIUS
	}
	d.Ways = Field{Kind: "select", Name: "door", Label: "Comes in by", Options: options(string(way), string(sallyport.DoorOverlay), "The overlay", string(sallyport.DoorRADIUS), "The gateway’s own form, or RADIUS")}
	return gateway, way
}

// mostTried is how many users the search shows.
const mostTried = 10

// tryWho fills in who is chosen, or whom the search finds.
func (r *request) tryWho(d *tryData) error {
	ctx := r.Request().Context()
	switch d.User {
	case "":
		page, err := r.s.admin.Users(ctx, r.Actor(), store.UserQuery{Text: d.Query, Most: mostTried})
		if err != nil {
			return err
		}
		d.Found = Table{ID: "found-users", Caption: "Users", Columns: []Column{{Label: "Name"}, {Label: "Account"}, {Label: "E-mail"}},
			Total: plural(page.Total, "user", "users"), Empty: Empty{Title: "Nobody found", Text: "Look with fewer words."}}
		for _, u := range page.Users {
			d.Found.Rows = append(d.Found.Rows, []Cell{{Text: displayName(u), Path: r.tryPath(string(u.ID)), Badge: stateBadge(u.State)}, {Text: string(u.Account), Mono: true}, {Text: u.Mail}})
		}
	case nobodyListed:
		d.Who = Cell{Text: "Somebody who is not in the list of users"}
	default:
		u, err := r.s.admin.User(ctx, r.Actor(), sallyport.UserID(d.User))
		if err != nil {
			return err
		}
		d.Who = Cell{Text: displayName(u), Sub: string(u.Account), Path: "/users/" + string(u.ID), Badge: accountBadge(u.State)}
	}
	return nil
}

// tryPath is the page with a user chosen, and the rest as it is.
func (r *request) tryPath(user string) string {
	path := "/try?" + query("user", user)
	for _, name := range []string{"gateway", "door"} {
		if v := r.QueryParam(name); v != "" {
			path += "&" + query(name, v)
		}
	}
	return path
}

func (r *request) tried(t admin.TriedLogin) *tryResult {
	out := &tryResult{Alert: r.tryAlert(t), Facts: r.tryFacts(t)}
	for _, s := range t.Decision.Steps {
		out.Steps = append(out.Steps, Step{Title: s.Sentence, Text: s.Reason})
	}
	if step, ok := doorStep(t); ok {
		out.Steps = append(out.Steps, step)
	}
	if t.Standing.User == nil {
		out.Steps = append(out.Steps, Step{Title: "The user may be taken into the list first.",
			Text: "An account within what is synchronised is taken into the list as soon as its password is right, with the default policy until a synchronisation finds the rule that fits."})
	}
	return out
}

// doorStep says what the door makes of a decision.
func doorStep(t admin.TriedLogin) (Step, bool) {
	d := t.Decision
	form := t.Door == sallyport.DoorRADIUS && !t.Whole
	const otherwise = "Let the user come in by the overlay, or issue a temporary code."
	switch {
	case d.Outcome == policy.Refuse:
		return Step{}, false
	case t.Closed != "":
		return Step{Title: "By this door nobody comes in.", Text: t.Closed}, true
	case t.LetsIn() && form:
		return Step{Title: "In the gateway’s own form is typed: " + methodList(t.Asked) + ".", Text: "It takes a code that is typed, and no push."}, true
	case t.LetsIn() && d.Outcome == policy.Ask && len(t.Asked) < len(d.Methods):
		return Step{Title: "Of these, what this door serves is asked for: " + methodList(t.Asked) + ".", Text: "The others are allowed, and not served here."}, true
	case t.LetsIn():
		return Step{}, false
	case form:
		return Step{Title: "The gateway’s own form has nothing to ask for, so the login is refused there.", Text: "It takes a code that is typed. " + otherwise}, true
	case d.Outcome == policy.Enrol:
		return Step{Title: "Nothing of it can be enrolled at this door, so the login is refused.", Text: "Have the user enrol on site, or issue a temporary code."}, true
	}
	return Step{Title: "Nothing of it is served at this door, so the login is refused.", Text: "What the user has is allowed, and cannot be asked for here. Issue a temporary code."}, true
}

func (r *request) tryAlert(t admin.TriedLogin) Alert {
	d := t.Decision
	switch {
	case d.Outcome == policy.Refuse:
		return Alert{"bad", "Refused", "The page says: " + export.Reason(d.Reason) + "."}
	case t.Closed != "":
		return Alert{"bad", "Refused", t.Closed}
	case !t.LetsIn() && t.Door == sallyport.DoorRADIUS && !t.Whole:
		return Alert{"bad", "Refused in the gateway’s own form", "There is no code that could be typed."}
	case !t.LetsIn():
		return Alert{"bad", "Refused", "The page says: " + export.Reason(sallyport.ReasonNotEnrolled) + "."}
	case d.Outcome == policy.Password:
		return Alert{"warn", "Let in on the password alone", enrolmentWords(t)}
	case d.Outcome == policy.Enrol:
		return Alert{"warn", "Has to enrol first", enrolmentWords(t)}
	}
	text := "With the password: " + methodList(t.Asked) + "."
	if d.NumberMatching && slices.Contains(t.Asked, sallyport.MethodPush) {
		text += " The number on the page is typed in the app."
	}
	return Alert{"ok", "A second factor is asked for", text}
}

// enrolmentWords say what is offered to be enrolled on the way.
func enrolmentWords(t admin.TriedLogin) string {
	if len(t.Enrols) == 0 {
		return ""
	}
	names := make([]string, len(t.Enrols))
	for i, k := range t.Enrols {
		names[i] = map[sallyport.AuthenticatorKind]string{sallyport.AuthenticatorApp: "the app", sallyport.AuthenticatorPhone: "a phone number", sallyport.AuthenticatorPasskey: "a passkey", sallyport.AuthenticatorOTP: "an OTP token"}[k]
	}
	words := "Offered to enrol: " + strings.Join(names, ", ") + "."
	if t.Decision.Enrolment.TemporaryCode {
		words += " That takes a temporary code."
	}
	return words
}

func methodList(methods []sallyport.Method) string {
	names := make([]string, len(methods))
	for i, m := range methods {
		names[i] = policy.MethodName(m)
	}
	return strings.Join(names, ", or ")
}

// tryFacts is all that plays a part, also what decided nothing this time.
func (r *request) tryFacts(t admin.TriedLogin) []Fact {
	s := t.Standing
	out := []Fact{}
	if u := s.User; u != nil {
		p := s.Policy
		out = append(out, Fact{"User policy", Cell{Text: p.Name, Path: "/user-policies/" + string(p.ID), Sub: "by " + string(u.PolicyFrom)}},
			fact("Consumes a licence", yesNo(p.Licensed)), fact("Remote access is live", yesNo(p.RemoteAccess)))
		rule := Cell{Text: "none"}
		if s.Rule != nil {
			rule = Cell{Text: s.Rule.Name, Path: "/enrol-rules/" + string(s.Rule.ID)}
		}
		out = append(out, Fact{"Enrol rule", rule}, fact("Devices with the app", fmt.Sprint(s.Has.Apps)),
			fact("OTP token", yesNo(s.Has.OTP)), fact("PIN before its codes", yesNo(s.Has.PIN)))
		code := Cell{Text: "none"}
		if c, good := s.Has.TemporaryCode(r.s.cfg.Now()); good {
			code = Cell{Badge: Badge{"warn", "Good"}, Sub: "until " + stamp(c.Expires)}
		}
		out = append(out, Fact{"Temporary code", code})
	}
	out = append(out, fact("Licences", licenceWords(s.Licences.Used, s.Licences.Total)), fact("Admits users without a licence", yesNo(t.Integration.AllowNonLicensed)),
		fact("Number matching", yesNo(s.Workflow.NumberMatching)), Fact{"Remembered devices", rememberedCell(t)})
	return out
}

func rememberedCell(t admin.TriedLogin) Cell {
	c := Cell{Text: "never skip the second factor"}
	switch {
	case t.Door == sallyport.DoorRADIUS:
		c.Sub = "The gateway’s own form remembers no browser."
	case t.Remembered:
		c = Cell{Text: "may skip it for " + span(t.Standing.Workflow.Remember.For)}
		if u := t.Standing.User; u != nil && !u.SecondFactorSince.IsZero() {
			c.Sub = "2FA required on all devices: those remembered before " + stamp(u.SecondFactorSince) + " count no more."
		}
	}
	return c
}
