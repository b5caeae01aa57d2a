package console

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

func (s *Server) accountRoutes() {
	s.own("GET", "/account", (*request).accountPage)
	s.own("POST", "/account/profile", (*request).profile)
	s.own("POST", "/account/password", (*request).password)
	s.ownConfirmed("GET", "/account/passkeys/new", (*request).newPasskeyPage)
	s.ownConfirmed("POST", "/account/passkeys/new", (*request).newPasskey)
	s.ownConfirmed("POST", "/account/passkeys/delete", (*request).deletePasskey)
	s.ownConfirmed("GET", "/account/code/new", (*request).newCodePage)
	s.ownConfirmed("POST", "/account/code/new", (*request).newCode)
	s.ownConfirmed("POST", "/account/code/delete", (*request).deleteCode)
	s.ownConfirmed("POST", "/account/recovery", (*request).newRecovery)
	s.own("POST", "/account/sessions/end", (*request).endSession)
	s.own("POST", "/account/sessions/end-others", (*request).endOthers)
	s.ownConfirmed("GET", "/account/tokens/new", (*request).newTokenPage)
	s.ownConfirmed("POST", "/account/tokens/new", (*request).newToken)
	s.own("POST", "/account/tokens/delete", (*request).deleteToken)
}

// ownConfirmed is own for what takes a second factor shown lately.
func (s *Server) ownConfirmed(method, path string, h handler) {
	s.own(method, path, func(r *request) error {
		if !r.session.Confirmed() || safe(method) && r.session.Age() > lately {
			return r.confirmFirst()
		}
		return h(r)
	})
}

// accountData is what the page of one's own account shows.
type accountData struct {
	Me       sallyport.Administrator
	Granted  bool
	Profile  Form
	Password Form
	Factors  admin.Factors
	Passkeys Table
	Sessions Table
	Others   bool // there are other sessions than this one
	Tokens   Table
	API      bool // there is an administrative API here
	CSRF     string
	Dialogs  []Dialog
}

func (r *request) accountPage() error { return r.showAccount(http.StatusOK, nil, nil) }

func (r *request) profileForm() Form {
	me := r.session.Administrator()
	f := r.form("Save",
		Field{Name: "display_name", Label: "Name", Value: me.DisplayName, Required: true, Most: 100, Autocomplete: "name"},
		Field{Kind: "email", Name: "mail", Label: "E-mail address", Value: me.Mail, Most: 254, Autocomplete: "email"})
	f.Path = "/account/profile"
	return f
}

func (r *request) passwordForm() Form {
	f := r.form("Change password", append([]Field{{Kind: "password", Name: "before", Label: "Password now", Required: true, Autocomplete: "current-password", Most: 1024}}, newPasswordFields()...)...)
	f.Path = "/account/password"
	return f
}

// showAccount shows the page, with a form that has something wrong in it in place of the untouched one.
func (r *request) showAccount(status int, profile, password *Form) (err error) {
	ctx := r.Request().Context()
	d := accountData{Me: r.session.Administrator(), CSRF: r.session.CSRF(), Profile: r.profileForm(), Password: r.passwordForm()}
	d.Granted = admin.Granted(d.Me)
	if profile != nil {
		d.Profile = *profile
	}
	if password != nil {
		d.Password = *password
	}
	if d.Factors, err = r.s.admin.Factors(ctx, r.session); err != nil {
		return err
	}
	d.Passkeys = r.passkeyTable(&d)
	sessions, err := r.s.admin.Sessions(ctx, r.session)
	if err != nil {
		return err
	}
	d.Sessions, d.Others = r.sessionTable(sessions), len(sessions) > 1
	tokens, err := r.s.admin.OwnTokens(ctx, r.session)
	if err != nil {
		return err
	}
	d.Tokens, d.API = r.tokenTable(tokens), r.s.cfg.API != nil
	return r.showAs(status, Page{Title: "My account", Lead: roleName(d.Me.Role) + ", signed in as " + d.Me.Name + ".", Content: "account", Data: d})
}

func (r *request) passkeyTable(d *accountData) Table {
	t := Table{ID: "passkeys", Caption: "Your passkeys", Columns: []Column{{Label: "Passkey"}, {Label: "Made"}, {Label: "Last used"}, {Label: ""}},
		Empty: Empty{Title: "No passkeys", Text: "A passkey is the safest second factor: nobody can be tricked into giving it away."}}
	for i, p := range d.Factors.Passkeys {
		id := fmt.Sprintf("delete-passkey-%d", i)
		t.Rows = append(t.Rows, []Cell{{Text: p.Name, Sub: "for " + p.Host}, {Time: p.Created}, {Time: p.Used, Text: "never"}, {Text: "Remove", Dialog: id, Danger: true}})
		f := r.form("Remove the passkey", Field{Kind: "hidden", Name: "id", Value: p.ID})
		f.Path, f.Danger = "/account/passkeys/delete", true
		d.Dialogs = append(d.Dialogs, Dialog{ID: id, Title: "Remove “" + p.Name + "”?", Text: "You cannot sign in with it any more. Also delete it on the device itself.", Form: f})
	}
	return t
}

func (r *request) sessionTable(list []admin.OpenSession) Table {
	t := Table{ID: "sessions", Caption: "Where you are signed in", Columns: []Column{{Label: "Where"}, {Label: "Signed in"}, {Label: "Last seen"}, {Label: ""}}}
	for _, o := range list {
		row := []Cell{{Text: o.Place}, {Time: o.Created}, {Time: o.Seen}, {}}
		if o.Own {
			row[0].Badge = Badge{"info", "This one"}
		} else {
			row[3].Form = &RowForm{Path: "/account/sessions/end?" + query("id", o.ID), CSRF: r.session.CSRF(), Label: "Sign out"}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func (r *request) tokenTable(list []sallyport.APIToken) Table {
	t := Table{ID: "tokens", Caption: "Your API tokens", Columns: []Column{{Label: "Token"}, {Label: "May do"}, {Label: "Last used"}, {Label: "Ends"}, {Label: ""}},
		Empty: Empty{Title: "No API tokens", Text: "A token lets a program use the administrative API in your name.", Action: Link{"Make a token", "/account/tokens/new"}}}
	now := r.s.cfg.Now()
	for _, o := range list {
		row := []Cell{{Text: o.Name}, {Text: roleName(o.Role), Sub: accessName(o.Access)}, {Time: o.Used, Text: "never"}, {Time: o.Expires},
			{Form: &RowForm{Path: "/account/tokens/delete?" + query("id", o.ID), CSRF: r.session.CSRF(), Label: "Delete", Danger: true}}}
		if !now.Before(o.Expires) {
			row[0].Badge = Badge{"warn", "Ended"}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func accessName(a sallyport.TokenAccess) string {
	if a == sallyport.TokenWrites {
		return "reads and writes"
	}
	return "reads"
}

func (r *request) profile() error {
	f := r.profileForm()
	f.Fields[0].Value, f.Fields[1].Value = r.FormValue("display_name"), r.FormValue("mail")
	err := r.s.admin.ChangeProfile(r.Request().Context(), r.session, f.Fields[0].Value, f.Fields[1].Value)
	if err == nil {
		return r.done("/account", "Saved.")
	}
	f, ok := f.with(err)
	if !ok {
		return err
	}
	return r.showAccount(http.StatusUnprocessableEntity, &f, nil)
}

func (r *request) password() error {
	err := r.changePassword()
	if err == nil {
		return r.done("/account", "Your password was changed. Your other sessions have ended.")
	}
	f, ok := r.passwordForm().with(err)
	if !ok {
		return err
	}
	return r.showAccount(http.StatusUnprocessableEntity, nil, &f)
}

func accountCrumbs() []Link { return []Link{{"My account", "/account"}} }

func (r *request) newPasskeyPage() error { return r.showNewPasskey(http.StatusOK, nil) }

func (r *request) showNewPasskey(status int, wrong error) error {
	d, err := r.passkeyEnrolment("/account", wrong)
	if err != nil {
		return err
	}
	return r.showAs(status, Page{Title: "Make a passkey", Crumbs: accountCrumbs(), Content: "enrolpasskey", Data: d})
}

func (r *request) newPasskey() error {
	session, codes, err := r.s.admin.EnrolPasskey(r.Request().Context(), r.session, r.FormValue("state"), r.FormValue("name"), []byte(r.FormValue("answer")))
	if err != nil {
		return r.showNewPasskey(http.StatusUnprocessableEntity, err)
	}
	return r.added(session, codes, "The passkey was added.")
}

func (r *request) added(session *admin.Session, codes []sallyport.Secret, note string) error {
	r.enter(session)
	if len(codes) > 0 {
		return r.showRecovery(codes)
	}
	return r.done("/account", note)
}

func (r *request) showRecovery(codes []sallyport.Secret) error {
	return r.show(Page{Title: "Keep these recovery codes", Crumbs: accountCrumbs(), Content: "recovery", Data: recoveryOf(codes, "/account")})
}

func (r *request) deletePasskey() error {
	return r.orConflict("/account", "The passkey was removed.", r.s.admin.DeletePasskey(r.Request().Context(), r.session, r.FormValue("id")))
}

// orConflict ends a form that has no fields to mark: a note of what was done, or of why not.
func (r *request) orConflict(path, note string, err error) error {
	if err == nil {
		return r.done(path, note)
	}
	if said, ok := words(err); ok {
		return r.done(path, said)
	}
	return err
}

func (r *request) newCodePage() error {
	offer, err := r.s.admin.OfferTOTP(r.Request().Context(), r.session)
	if err != nil {
		return err
	}
	return r.showNewCode(http.StatusOK, offer, nil)
}

func (r *request) showNewCode(status int, offer admin.TOTPOffer, wrong error) error {
	d, err := r.codeEnrolment("/account", offer, wrong)
	if err != nil {
		return err
	}
	return r.showAs(status, Page{Title: "Set up an authenticator app", Crumbs: accountCrumbs(), Content: "enrolcode", Data: d})
}

func (r *request) newCode() error {
	ctx := r.Request().Context()
	session, codes, err := r.s.admin.EnrolTOTP(ctx, r.session, r.FormValue("state"), sallyport.Secret(r.FormValue("code")))
	if err == nil {
		return r.added(session, codes, "The authenticator app was set up.")
	}
	offer, again := r.s.admin.OfferTOTPAgain(ctx, r.session, r.FormValue("state"))
	if again != nil {
		return again
	}
	return r.showNewCode(http.StatusUnprocessableEntity, offer, err)
}

func (r *request) deleteCode() error {
	return r.orConflict("/account", "The authenticator app was removed.", r.s.admin.DeleteTOTP(r.Request().Context(), r.session))
}

func (r *request) newRecovery() error {
	codes, err := r.s.admin.NewRecoveryCodes(r.Request().Context(), r.session)
	if err != nil {
		return err
	}
	return r.showRecovery(codes)
}

func (r *request) endSession() error {
	return r.orConflict("/account", "Signed out there.", r.s.admin.EndSession(r.Request().Context(), r.session, r.QueryParam("id")))
}

func (r *request) endOthers() error {
	n, err := r.s.admin.SignOutOthers(r.Request().Context(), r.session)
	return r.orConflict("/account", "Signed out in "+plural(n, "other place", "other places")+".", err)
}

func (r *request) tokenForm() Form {
	me := r.session.Administrator()
	role := sallyport.Role(r.FormValue("role"))
	if role == "" {
		role = me.Role
	}
	days := []Option{{Value: "30", Label: "30 days"}, {Value: "90", Label: "90 days"}, {Value: "365", Label: "A year"}}
	for i := range days {
		days[i].Chosen = days[i].Value == r.FormValue("days")
	}
	access := []Option{{Value: string(sallyport.TokenReads), Label: "Read", Help: "Look things up and export; change nothing."},
		{Value: string(sallyport.TokenWrites), Label: "Read and write", Help: "Also change what the role may change."}}
	chosen := cmp.Or(r.FormValue("access"), access[0].Value)
	for i := range access {
		access[i].Chosen = access[i].Value == chosen
	}
	f := r.form("Make the token",
		Field{Name: "name", Label: "What it is for", Value: r.FormValue("name"), Placeholder: "Nightly export", Required: true, Focus: true, Most: 64, Autocomplete: "off"},
		Field{Kind: "radio", Name: "role", Label: "What it may do", Help: "As little as it needs.", Options: roleOptions(me.Role, role), Required: true},
		Field{Kind: "radio", Name: "access", Label: "Scope", Options: access, Required: true},
		Field{Kind: "select", Name: "days", Label: "How long it lasts", Options: days})
	f.Cancel = "/account"
	return f
}

func (r *request) newTokenPage() error { return r.showNewToken(http.StatusOK, r.tokenForm()) }

func (r *request) showNewToken(status int, f Form) error {
	return r.showAs(status, Page{Title: "New API token", Crumbs: accountCrumbs(), Content: "formpage", Data: f})
}

// shownOnce is a secret that is shown this one time.
type shownOnce struct {
	Text string
	Code Code
	Next Link
}

func (r *request) newToken() error {
	days, _ := strconv.Atoi(r.FormValue("days")) // not a number: too short, which the door says
	t, token, err := r.s.admin.NewToken(r.Request().Context(), r.session, admin.NewToken{Name: r.FormValue("name"), Role: sallyport.Role(r.FormValue("role")),
		Access: sallyport.TokenAccess(r.FormValue("access")), Life: time.Duration(days) * 24 * time.Hour})
	if err != nil {
		f, ok := r.tokenForm().with(err)
		if !ok {
			return err
		}
		return r.showNewToken(http.StatusUnprocessableEntity, f)
	}
	return r.show(Page{Title: "Your API token", Crumbs: accountCrumbs(), Content: "shownonce", Data: shownOnce{
		Text: "“" + t.Name + "” lasts until " + date(t.Expires) + ". Copy the token now: it is not shown again.",
		Code: Code{Label: "API token", Text: string(token), Once: true}, Next: Link{"Back to my account", "/account"}}})
}

func (r *request) deleteToken() error {
	return r.orConflict("/account", "The token was deleted. Programs that use it are refused from now on.", r.s.admin.DeleteToken(r.Request().Context(), r.session, r.QueryParam("id")))
}
