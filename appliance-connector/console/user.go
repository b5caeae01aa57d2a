package console

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

const mostRecent = 10 // logins shown on a user's page

func (s *Server) userRoutes() {
	s.page("/users", "Users", (*request).users)
	s.act("/users/assign", "AssignPolicy", (*request).assignMany)
	s.page("/users/:id", "User", (*request).user)
	s.act("/users/:id/policy", "AssignPolicy", (*request).assignOne)
	s.act("/users/:id/release-policy", "ReleasePolicy", (*request).releasePolicy)
	s.act("/users/:id/require-second-factor", "RequireSecondFactor", (*request).requireSecondFactor)
	s.act("/users/:id/temporary-code", "IssueTemporaryCode", (*request).issueTemporaryCode)
	s.act("/users/:id/revoke-temporary-code", "RevokeTemporaryCode", (*request).revokeTemporaryCode)
	s.act("/users/:id/devices/:device/delete", "DeleteDevice", (*request).deleteDevice)
	s.act("/users/:id/remembered/:device/forget", "DeleteRememberedDevice", (*request).forgetRemembered)
	s.finders = append(s.finders, finder{"Users", "Users", findUsers})
}

// userQuery is what the filters of the page ask for.
func (r *request) userQuery() store.UserQuery {
	q := store.UserQuery{Text: r.QueryParam("q"), Policy: sallyport.UserPolicyID(r.QueryParam("policy")), OU: r.QueryParam("ou"), After: r.QueryParam("after")}
	switch state := r.QueryParam("state"); state {
	case "enrolled", "unenrolled":
		enrolled := state == "enrolled"
		q.Enrolled = &enrolled
	default:
		q.State = sallyport.UserState(state)
	}
	return q
}

func (r *request) users() error {
	ctx, q := r.Request().Context(), r.userQuery()
	page, err := r.s.admin.Users(ctx, r.Actor(), q)
	if err != nil {
		return err
	}
	policies, err := r.s.admin.UserPolicies(ctx, r.Actor())
	if err != nil {
		return err
	}
	t := Table{ID: "users", Caption: "Users", Path: "/users", Next: r.nextPage(page.Next), First: r.firstPage(),
		Columns: []Column{{Label: "Name"}, {Label: "Account"}, {Label: "E-mail"}, {Label: "User policy"}, {Label: "Synchronised"}},
		Filters: []Field{{Kind: "search", Name: "q", Label: "Find", Value: q.Text, Placeholder: "Name, account or e-mail address"},
			{Kind: "select", Name: "policy", Label: "User policy", Options: append([]Option{{Label: "All policies"}}, policyOptions(policies, q.Policy)...)},
			{Kind: "select", Name: "state", Label: "State", Options: options(r.QueryParam("state"), "", "All but removed", "active", "Active", "disabled", "Disabled", "removed", "Removed", "enrolled", "Enrolled", "unenrolled", "Not enrolled")}},
		Total: plural(page.Total, "user", "users"),
		Empty: Empty{Title: "Nobody found", Text: "Users come from your directories. Add a directory and synchronise it, or look with fewer words."}}
	if r.May("Domains") {
		t.Empty.Action = Link{"Directories", "/directories"}
	}
	names := policyNames(policies)
	for _, u := range page.Users {
		t.Rows = append(t.Rows, userRow(u, names))
	}
	p := Page{Title: "Users", Lead: "Everybody of your directories who is synchronised.", Content: "cardlist"}
	d := CardList{Table: t}
	if r.May("AssignPolicy") && page.Total > 0 {
		p.Actions = []Action{{Label: "Assign a policy", Dialog: "assign"}}
		d.Dialogs = []Dialog{r.assignDialog(page.Total, policies)}
	}
	p.Data = d
	return r.show(p)
}

// assignDialog gives a policy to everybody that the filters of the page leave.
func (r *request) assignDialog(total int, policies []store.PolicyWithUsers) Dialog {
	f := r.form("Assign", Field{Kind: "select", Name: "to", Label: "User policy", Options: policyOptions(policies, "")},
		Field{Kind: "hidden", Name: "expected", Value: strconv.Itoa(total)})
	f.Path = "/users/assign?" + r.Request().URL.RawQuery
	return Dialog{ID: "assign", Title: "Assign a policy to " + plural(total, "user", "users") + "?",
		Text: "Everybody that the list shows now, on all its pages. A policy given by hand is left alone by assignment rules.", Form: f}
}

func (r *request) assignMany() error {
	ctx, q := r.Request().Context(), r.userQuery()
	q.After = ""
	page, err := r.s.admin.Users(ctx, r.Actor(), q)
	if err != nil {
		return err
	}
	if strconv.Itoa(page.Total) != r.FormValue("expected") {
		return r.done("/users?"+r.Request().URL.RawQuery, "The list has changed meanwhile: it has "+plural(page.Total, "user", "users")+" now. Nobody was changed.")
	}
	n, err := r.s.admin.AssignPolicy(ctx, r.Actor(), q, sallyport.UserPolicyID(r.FormValue("to")))
	return r.orConflict("/users?"+r.Request().URL.RawQuery, plural(n, "user has", "users have")+" the policy now.", err)
}

func userRow(u sallyport.User, policies map[sallyport.UserPolicyID]string) []Cell {
	name := Cell{Text: displayName(u), Path: "/users/" + string(u.ID), Badge: stateBadge(u.State)}
	policy := Cell{Text: policies[u.Policy]}
	if u.PolicyFrom != sallyport.PolicyByDefault {
		policy.Sub = "by " + string(u.PolicyFrom)
	}
	return []Cell{name, {Text: string(u.Account), Mono: true}, {Text: u.Mail}, policy, {Time: u.Synchronised, Text: "never"}}
}

func displayName(u sallyport.User) string {
	if u.DisplayName == "" {
		return u.Account.User()
	}
	return u.DisplayName
}

func stateBadge(s sallyport.UserState) Badge {
	switch s {
	case sallyport.UserDisabled:
		return Badge{"warn", "Disabled"}
	case sallyport.UserRemoved:
		return Badge{"bad", "Removed"}
	}
	return Badge{}
}

func policyNames(list []store.PolicyWithUsers) map[sallyport.UserPolicyID]string {
	out := map[sallyport.UserPolicyID]string{}
	for _, p := range list {
		out[p.ID] = p.Name
	}
	return out
}

func policyOptions(list []store.PolicyWithUsers, chosen sallyport.UserPolicyID) (out []Option) {
	for _, p := range list {
		out = append(out, Option{Value: string(p.ID), Label: p.Name, Chosen: p.ID == chosen})
	}
	return out
}

// options makes the options of a select out of pairs of value and label.
func options(chosen string, pairs ...string) (out []Option) {
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, Option{Value: pairs[i], Label: pairs[i+1], Chosen: pairs[i] == chosen})
	}
	return out
}

func findUsers(r *request, words string) ([]found, error) {
	page, err := r.s.admin.Users(r.Request().Context(), r.Actor(), store.UserQuery{Text: words, Most: mostFound + 1})
	var out []found
	for _, u := range page.Users {
		out = append(out, found{Label: displayName(u), Hint: string(u.Account), Path: "/users/" + string(u.ID)})
	}
	return out, err
}

func (r *request) userID() sallyport.UserID { return sallyport.UserID(r.Param("id")) }

func (r *request) userPath() string { return "/users/" + string(r.userID()) }

// userData is all that the page of one user shows.
type userData struct {
	user     sallyport.User
	policies []store.PolicyWithUsers
	devices  []sallyport.Device
	phones   []sallyport.Phone
	passkeys []sallyport.Passkey
	browsers []admin.Remembered
	codes    []sallyport.TemporaryCode
	logins   []sallyport.LoginRecord
	tokens   []sallyport.OTPToken
	pin      *sallyport.OTPPIN
	forms    tokenForms
	addPhone *Form // that of a phone number when something is wrong in it
}

func (r *request) readUser() (d userData, err error) {
	ctx, a := r.Request().Context(), r.Actor()
	if d.user, err = r.s.admin.User(ctx, a, r.userID()); err != nil {
		return d, err
	}
	var errs [9]error
	d.policies, errs[0] = r.s.admin.UserPolicies(ctx, a)
	d.devices, errs[1] = r.s.admin.Devices(ctx, a, d.user.ID)
	d.phones, errs[6] = r.s.admin.Phones(ctx, a, d.user.ID)
	d.codes, errs[2] = r.s.admin.TemporaryCodes(ctx, a, d.user.ID)
	page, err := r.s.admin.UserLogins(ctx, a, d.user.ID, "", mostRecent)
	d.logins, errs[3] = page.Logins, err
	d.tokens, errs[4] = r.s.admin.UserOTPTokens(ctx, a, d.user.ID)
	d.pin, errs[5] = r.s.admin.OTPPIN(ctx, a, d.user.ID)
	d.browsers, errs[7] = r.s.admin.RememberedDevices(ctx, a, d.user.ID)
	d.passkeys, errs[8] = r.s.admin.UserPasskeys(ctx, a, d.user.ID)
	return d, errors.Join(errs[:]...)
}

func (r *request) user() error {
	d, err := r.readUser()
	if err != nil {
		return err
	}
	return r.showUser(http.StatusOK, d, nil)
}

// showUser shows the page of a user; issue is the form of the temporary code when something is wrong in it.
func (r *request) showUser(status int, d userData, issue *Form) error {
	u := d.user
	// Two by two, what needs room on the left; the last one has the whole width.
	p := CardPage{Split: true, Cards: []Card{r.accountCard(d), r.temporaryCodeCard(d, issue), r.secondFactorCard(d), r.passkeysCard(d),
		r.tokenCard(d), r.pinCard(d), r.rememberedCard(d), r.phonesCard(d, d.addPhone), r.loginsCard(d)}}
	for _, v := range d.devices {
		if r.May("DeleteDevice") {
			f := r.form("Delete device")
			f.Path, f.Danger = r.userPath()+"/devices/"+string(v.ID)+"/delete", true
			p.Dialogs = append(p.Dialogs, Dialog{ID: "delete-" + string(v.ID), Title: "Delete “" + v.Name + "”?",
				Text: "It can approve nothing any more, and its token codes end. The user enrols it, or another one, anew.", Form: f})
		}
	}
	p.Dialogs = append(append(p.Dialogs, r.phoneDialogs(d)...), r.passkeyDialogs(d)...)
	if r.May("DeleteRememberedDevice") {
		for _, v := range d.browsers {
			p.Dialogs = append(p.Dialogs, r.forgetDialog(v))
		}
	}
	page := Page{Title: displayName(u), Lead: string(u.Account), Crumbs: []Link{{"Users", "/users"}}, Content: "cardpage"}
	if r.May("TryLogin") {
		page.Actions = append(page.Actions, Action{Label: "Try a login", Path: "/try?" + query("user", string(u.ID))})
	}
	if r.May("RequireSecondFactor") && u.State == sallyport.UserActive {
		f := r.form("Require 2FA on all devices")
		f.Path = r.userPath() + "/require-second-factor"
		page.Actions = append(page.Actions, Action{Label: "Require 2FA on all devices", Dialog: "require-2fa"})
		p.Dialogs = append(p.Dialogs, Dialog{ID: "require-2fa", Title: "Require 2FA on all devices of " + displayName(u) + "?",
			Text: "Every browser that was remembered for this user asks for the second factor again. After that the user can have it remembered anew.", Form: f})
	}
	page.Data = p
	return r.showAs(status, page)
}

func (r *request) accountCard(d userData) Card {
	u := d.user
	policy := Cell{Text: policyNames(d.policies)[u.Policy], Sub: "by " + string(u.PolicyFrom)}
	c := Card{Title: "Account", Facts: []Fact{
		{"State", Cell{Badge: accountBadge(u.State)}}, fact("Log-in name", orNone(u.UPN)), fact("E-mail address", orNone(u.Mail)),
		{"In the directory", Cell{Text: u.DN, Mono: true}}, {"User policy", policy}, factTime("Synchronised", u.Synchronised),
	}}
	if r.May("AssignPolicy") && u.State != sallyport.UserRemoved {
		f := r.form("Assign", Field{Kind: "select", Name: "to", Label: "Another user policy", Options: policyOptions(d.policies, u.Policy)})
		f.Path = r.userPath() + "/policy"
		c.Form = &f
	}
	return c
}

func accountBadge(s sallyport.UserState) Badge {
	if b := stateBadge(s); b.Label != "" {
		return b
	}
	return Badge{"ok", "Active"}
}

func (r *request) secondFactorCard(d userData) Card {
	t := &Table{ID: "devices", Caption: "Devices", Columns: []Column{{Label: "Device"}, {Label: "Kind"}, {Label: "App"}, {Label: "Enrolled"}, {}},
		Empty: Empty{Title: "No device", Text: "This user has not enrolled the app. At the gateway the enrol rule says what happens; meanwhile a temporary code helps."}}
	for _, v := range d.devices {
		app := Cell{Text: orNone(v.App.Version)}
		if v.App.WithoutNumberMatching {
			app.Sub = "cannot match numbers: to be updated"
		}
		row := []Cell{{Text: v.Name}, {Text: v.Platform}, app, {Time: v.Enrolled}, {}}
		if r.May("DeleteDevice") {
			row[4] = Cell{Text: "Delete", Dialog: "delete-" + string(v.ID), Danger: true}
		}
		t.Rows = append(t.Rows, row)
	}
	return Card{Title: "Devices", Table: t}
}

// rememberedCard lists the browsers that may skip the second factor.
func (r *request) rememberedCard(d userData) Card {
	t := &Table{ID: "remembered", Caption: "Remembered devices", Columns: []Column{{Label: "Browser"}, {Label: "Remembered"}, {Label: "Used last"}, {Label: "Until"}, {}},
		Empty: Empty{Title: "No remembered device", Text: "No browser may skip the second factor for this user now."}}
	for _, v := range d.browsers {
		row := []Cell{{Text: browserOf(v), Sub: "from " + orNone(v.Place)}, {Time: v.Made}, {Time: v.LastUsed, Text: "not yet"}, {Time: v.Until}, {}}
		if v.LastPlace != "" {
			row[2].Sub = "from " + v.LastPlace
		}
		if r.May("DeleteRememberedDevice") {
			row[4] = Cell{Text: "Forget", Dialog: "forget-" + string(v.ID), Danger: true}
		}
		t.Rows = append(t.Rows, row)
	}
	c := Card{Title: "Remembered devices", Table: t}
	if !d.user.SecondFactorSince.IsZero() {
		c.Facts = []Fact{factTime("2FA required on all devices", d.user.SecondFactorSince)}
	}
	return c
}

func browserOf(v admin.Remembered) string {
	if v.Browser == "" {
		return "A browser"
	}
	return v.Browser
}

func (r *request) forgetDialog(v admin.Remembered) Dialog {
	f := r.form("Forget device")
	f.Path, f.Danger = r.userPath()+"/remembered/"+string(v.ID)+"/forget", true
	return Dialog{ID: "forget-" + string(v.ID), Title: "Forget “" + browserOf(v) + "”?",
		Text: "At its next login this browser asks for the second factor, whatever else it has kept. Then the user can have it remembered anew.", Form: f}
}

func (r *request) forgetRemembered() error {
	return r.orConflict(r.userPath(), "The device was forgotten.", r.s.admin.DeleteRememberedDevice(r.Request().Context(), r.Actor(), r.userID(), sallyport.RememberedID(r.Param("device"))))
}

// lives are how long a temporary code can last, as the form offers it.
func lives(chosen string) []Option {
	return options(chosen, "1h", "1 hour", "8h", "8 hours", "24h", "1 day", "72h", "3 days", "168h", "1 week", "720h", "30 days", "2160h", "90 days")
}

func (r *request) temporaryCodeCard(d userData, issue *Form) Card {
	c := Card{Title: "Temporary code", Text: "A second factor for somebody who does not have the phone at hand. It ends by itself, when a factor is enrolled, and when the usual factor is used again."}
	now := r.s.cfg.Now()
	if len(d.codes) > 0 && d.codes[0].Ended.IsZero() && d.codes[0].Expires.After(now) {
		t := d.codes[0]
		c.Facts = []Fact{{"Now", Cell{Badge: Badge{"ok", "Good"}, Text: "until " + stamp(t.Expires)}}, fact("Issued by", t.By), factTime("Issued", t.Issued)}
		if r.May("RevokeTemporaryCode") {
			c.Facts = append(c.Facts, Fact{"End it", Cell{Form: &RowForm{Path: r.userPath() + "/revoke-temporary-code", CSRF: r.session.CSRF(), Label: "Revoke", Danger: true}}})
		}
	}
	if r.May("IssueTemporaryCode") && d.user.State == sallyport.UserActive {
		if issue == nil {
			f := r.form("Issue a code", Field{Kind: "select", Name: "life", Label: "Good for", Options: lives("24h")})
			issue = &f
		}
		issue.Path = r.userPath() + "/temporary-code"
		c.Form = issue
	}
	return c
}

func (r *request) loginsCard(d userData) Card {
	t := &Table{ID: "recent", Caption: "Recent logins", Columns: loginColumns(), Empty: Empty{Title: "No logins yet"}}
	for _, l := range d.logins {
		t.Rows = append(t.Rows, loginRow(l))
	}
	return Card{Title: "Recent logins", Table: t}
}

func (r *request) assignOne() error {
	_, err := r.s.admin.AssignPolicy(r.Request().Context(), r.Actor(), store.UserQuery{IDs: []sallyport.UserID{r.userID()}}, sallyport.UserPolicyID(r.FormValue("to")))
	return r.orConflict(r.userPath(), "The user has the policy now.", err)
}

func (r *request) releasePolicy() error {
	return r.orConflict(r.userPath(), "The policy follows the rules again.", r.s.admin.ReleasePolicy(r.Request().Context(), r.Actor(), r.userID()))
}

func (r *request) requireSecondFactor() error {
	return r.orConflict(r.userPath(), "Every device of this user asks for the second factor again.", r.s.admin.RequireSecondFactor(r.Request().Context(), r.Actor(), r.userID()))
}

func (r *request) issueTemporaryCode() error {
	life, err := time.ParseDuration(r.FormValue("life"))
	if err != nil {
		life = 0 // refused with words by the operation
	}
	t, code, err := r.s.admin.IssueTemporaryCode(r.Request().Context(), r.Actor(), r.userID(), life)
	if err == nil {
		return r.show(Page{Title: "Temporary code", Crumbs: []Link{{"Users", "/users"}, {string(t.Account), r.userPath()}}, Content: "shownonce", Data: shownOnce{
			Text: "Make sure who is on the phone, then read this code out. It is typed where the page asks for a code, and is good until " + stamp(t.Expires) + ".",
			Code: Code{Label: "Temporary code", Text: string(code), Once: true}, Next: Link{"Back to the user", r.userPath()}}})
	}
	f, ok := r.form("Issue a code", Field{Kind: "select", Name: "life", Label: "Good for", Options: lives(r.FormValue("life"))}).with(err)
	if !ok {
		return err
	}
	d, rerr := r.readUser()
	if rerr != nil {
		return rerr
	}
	return r.showUser(http.StatusUnprocessableEntity, d, &f)
}

func (r *request) revokeTemporaryCode() error {
	return r.orConflict(r.userPath(), "The temporary code is no longer good.", r.s.admin.RevokeTemporaryCode(r.Request().Context(), r.Actor(), r.userID()))
}

func (r *request) deleteDevice() error {
	return r.orConflict(r.userPath(), "The device was deleted.", r.s.admin.DeleteDevice(r.Request().Context(), r.Actor(), r.userID(), sallyport.DeviceID(r.Param("device"))))
}
