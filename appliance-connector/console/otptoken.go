package console

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func (s *Server) otpTokenRoutes() {
	s.page("/otp-tokens", "OTPTokens", (*request).otpTokens)
	s.page("/otp-tokens/import", "ImportOTPTokens", (*request).tokenImport)
	s.upload("/otp-tokens/import", "ImportOTPTokens", (*request).importTokens)
	s.page("/otp-tokens/:id", "OTPToken", (*request).otpToken)
	s.act("/otp-tokens/:id/assign", "AssignOTPToken", (*request).assignToken)
	s.act("/otp-tokens/:id/unassign", "UnassignOTPToken", (*request).unassignToken)
	s.act("/otp-tokens/:id/disable", "DisableOTPToken", (*request).disableToken)
	s.act("/otp-tokens/:id/enable", "EnableOTPToken", (*request).enableToken)
	s.act("/otp-tokens/:id/resynchronise", "ResynchroniseOTPToken", (*request).resynchroniseToken)
	s.act("/otp-tokens/:id/delete", "DeleteOTPToken", (*request).deleteOTPToken)
	s.act("/users/:id/otp-tokens", "AssignOTPToken", (*request).assignTokenToUser)
	s.act("/users/:id/pin", "SetOTPPIN", (*request).setPIN)
	s.act("/users/:id/delete-pin", "DeleteOTPPIN", (*request).deletePIN)
	s.finders = append(s.finders, finder{"OTP tokens", "OTPTokens", findTokens})
}

func (r *request) tokenQuery() store.OTPTokenQuery {
	q := store.OTPTokenQuery{Text: r.QueryParam("q"), State: sallyport.OTPTokenState(r.QueryParam("state")), Kind: sallyport.OTPKind(r.QueryParam("kind")), After: r.QueryParam("after")}
	if a := r.QueryParam("assigned"); a != "" {
		yes := a == "yes"
		q.Assigned = &yes
	}
	return q
}

func (r *request) otpTokens() error {
	q := r.tokenQuery()
	page, err := r.s.admin.OTPTokens(r.Request().Context(), r.Actor(), q)
	if err != nil {
		return err
	}
	t := Table{ID: "tokens", Caption: "OTP tokens", Path: "/otp-tokens", Next: r.nextPage(page.Next), First: r.firstPage(), Columns: tokenColumns(),
		Filters: []Field{{Kind: "search", Name: "q", Label: "Find", Value: q.Text, Placeholder: "Serial number or account"},
			{Kind: "select", Name: "assigned", Label: "Owner", Options: options(r.QueryParam("assigned"), "", "Any", "yes", "Assigned", "no", "Not assigned")},
			{Kind: "select", Name: "state", Label: "State", Options: options(string(q.State), "", "Any", "active", "Active", "disabled", "Disabled")},
			{Kind: "select", Name: "kind", Label: "Kind", Options: options(string(q.Kind), "", "Any", "totp", "By time", "hotp", "By button")}},
		Total: plural(page.Total, "OTP token", "OTP tokens"),
		Empty: Empty{Title: "No OTP tokens found", Text: "Tokens come from their maker with a file of secrets. Import it, or look with fewer words."}}
	for _, k := range page.Tokens {
		t.Rows = append(t.Rows, tokenRow(k))
	}
	p := Page{Title: "OTP tokens", Lead: "Hardware tokens, and programs that hold an imported secret, which show one-time codes.", Content: "cardlist", Data: CardList{Table: t}}
	if r.May("ImportOTPTokens") {
		p.Actions = []Action{{Label: "Import tokens", Path: "/otp-tokens/import"}}
	}
	return r.show(p)
}

func tokenColumns() []Column {
	return []Column{{Label: "Serial number"}, {Label: "Kind"}, {Label: "Owner"}, {Label: "State"}, {Label: "Last used"}}
}

func tokenRow(k sallyport.OTPToken) []Cell {
	return []Cell{{Text: k.Serial, Path: tokenPath(k), Sub: k.Maker}, {Text: tokenKind(k)}, {Text: orNone(string(k.Account)), Mono: k.Account != ""},
		{Badge: tokenBadge(k)}, {Time: k.Used, Text: "never"}}
}

func tokenPath(k sallyport.OTPToken) string { return "/otp-tokens/" + string(k.ID) }

func tokenKind(k sallyport.OTPToken) string {
	kind := "by button"
	if k.Kind == sallyport.TOTP {
		kind = "by time, every " + strconv.Itoa(int(k.Period.Seconds())) + " s"
	}
	return strconv.Itoa(k.Digits) + " digits, " + kind
}

func tokenBadge(k sallyport.OTPToken) Badge {
	switch {
	case k.State != sallyport.OTPTokenActive:
		return Badge{"bad", "Disabled"}
	case k.Account == "":
		return Badge{"", "In the drawer"}
	}
	return Badge{"ok", "Active"}
}

func findTokens(r *request, words string) ([]found, error) {
	page, err := r.s.admin.OTPTokens(r.Request().Context(), r.Actor(), store.OTPTokenQuery{Text: words, Most: mostFound + 1})
	var out []found
	for _, k := range page.Tokens {
		out = append(out, found{Label: k.Serial, Hint: string(k.Account), Path: tokenPath(k)})
	}
	return out, err
}

func (r *request) tokenID() sallyport.OTPTokenID { return sallyport.OTPTokenID(r.Param("id")) }

func (r *request) otpToken() error {
	k, err := r.s.admin.OTPToken(r.Request().Context(), r.Actor(), r.tokenID())
	if err != nil {
		return err
	}
	return r.showToken(http.StatusOK, k, nil, nil)
}

// showToken shows the page of a token; assign and resync are its forms when something is wrong in them.
func (r *request) showToken(status int, k sallyport.OTPToken, assign, resync *Form) error {
	version := Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(k.Version, 10)}
	p := CardPage{Split: true, Cards: []Card{{Title: "Token", Facts: tokenFacts(k)}, r.tokenOwnerCard(k, assign)}}
	if r.May("ResynchroniseOTPToken") {
		if resync == nil {
			f := resyncForm(r)
			resync = &f
		}
		resync.Path = tokenPath(k) + "/resynchronise"
		p.Cards = append(p.Cards, Card{Title: "Resynchronise", Form: resync,
			Text: "When the codes of a token are refused although it is the right one: its button was pressed too often, or its clock is off. Have two codes read out that it shows one after the other."})
	}
	page := Page{Title: k.Serial, Lead: tokenKind(k), Crumbs: []Link{{"OTP tokens", "/otp-tokens"}}, Content: "cardpage"}
	act := func(op admin.Operation, id, label, title, text string, danger bool) {
		if r.May(op) {
			f := r.form(label, version)
			f.Path, f.Danger = tokenPath(k)+"/"+id, danger
			page.Actions = append(page.Actions, Action{Label: label, Dialog: id, Danger: danger})
			p.Dialogs = append(p.Dialogs, Dialog{ID: id, Title: title, Text: text, Form: f})
		}
	}
	if k.State == sallyport.OTPTokenActive {
		act("DisableOTPToken", "disable", "Disable", "Disable “"+k.Serial+"”?", "Its codes count no more until it is enabled again. The owner keeps it.", true)
	} else {
		act("EnableOTPToken", "enable", "Enable", "Enable “"+k.Serial+"”?", "Its codes count again. Make sure that it is back in its owner’s hands.", false)
	}
	act("DeleteOTPToken", "delete", "Delete", "Delete “"+k.Serial+"”?", "Its secret is forgotten, and so is which codes were used. To use the token again, it has to be imported again.", true)
	page.Data = p
	return r.showAs(status, page)
}

func tokenFacts(k sallyport.OTPToken) []Fact {
	facts := []Fact{{"State", Cell{Badge: tokenBadge(k)}}, fact("Serial number", k.Serial), fact("Maker", orNone(k.Maker)),
		fact("Codes", tokenKind(k)), fact("Algorithm", strings.ToUpper(string(k.Kind))+", HMAC-"+strings.ToUpper(string(k.Algorithm)))}
	if k.Kind == sallyport.HOTP {
		facts = append(facts, fact("Next counter", strconv.FormatInt(k.Next, 10)))
	} else {
		facts = append(facts, fact("Clock is off by", strconv.FormatInt(k.Drift*int64(k.Period.Seconds()), 10)+" s"))
	}
	return append(facts, factTime("Last used", k.Used), factTime("Imported", k.Imported))
}

func (r *request) tokenOwnerCard(k sallyport.OTPToken, assign *Form) Card {
	c := Card{Title: "Owner"}
	if k.Account != "" {
		c.Facts = []Fact{{"Account", Cell{Text: string(k.Account), Path: "/users?" + query("q", k.Account.User())}}, factTime("Assigned", k.Assigned)}
		if r.May("UnassignOTPToken") {
			f := r.form("Take it away", Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(k.Version, 10)})
			f.Path, f.Danger = tokenPath(k)+"/unassign", true
			c.Form = &f
		}
		return c
	}
	c.Text = "Nobody has it."
	if r.May("AssignOTPToken") {
		if assign == nil {
			f := assignTokenForm(r, k.Version, "")
			assign = &f
		}
		assign.Path = tokenPath(k) + "/assign"
		c.Form = assign
	}
	return c
}

func assignTokenForm(r *request, version int64, user string) Form {
	return r.form("Assign", Field{Name: "user", Label: "User", Value: user, Required: true, Most: 256, Placeholder: "alice, or alice@hospital.example", Help: "Account, log-in name or e-mail address, as a whole."},
		Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(version, 10)})
}

func resyncForm(r *request) Form {
	return r.form("Resynchronise", Field{Kind: "code", Name: "first", Label: "Code", Required: true, Most: 12, Autocomplete: "off"},
		Field{Kind: "code", Name: "second", Label: "Next code", Required: true, Most: 12, Autocomplete: "off", Help: "The one right after it: leave none out."})
}

// userNamed finds the one user whose name the words are.
func (r *request) userNamed(words string) (sallyport.User, error) {
	const most = 100
	words = strings.TrimSpace(words)
	page, err := r.s.admin.Users(r.Request().Context(), r.Actor(), store.UserQuery{Text: words, Most: most})
	if err != nil {
		return sallyport.User{}, err
	}
	var named []sallyport.User
	for _, u := range page.Users {
		for _, name := range []string{string(u.Account), u.Account.User(), u.UPN, u.Mail} {
			if name != "" && strings.EqualFold(name, words) {
				named = append(named, u)
				break
			}
		}
	}
	switch len(named) {
	case 0:
		return sallyport.User{}, admin.FieldErrors{"user": "There is nobody of this name."}
	case 1:
		return named[0], nil
	}
	return sallyport.User{}, admin.FieldErrors{"user": "Several have this name. Type the log-in name."}
}

func (r *request) assignToken() error {
	ctx := r.Request().Context()
	k, err := r.s.admin.OTPToken(ctx, r.Actor(), r.tokenID())
	if err != nil {
		return err
	}
	u, err := r.userNamed(r.FormValue("user"))
	if err == nil {
		_, err = r.s.admin.AssignOTPToken(ctx, r.Actor(), k.ID, r.version(), u.ID)
	}
	if err == nil {
		return r.done(tokenPath(k), "The token belongs to "+displayName(u)+" now.")
	}
	if k.Account != "" { // its page has no such form
		return r.orConflict(tokenPath(k), "", err)
	}
	f, ok := assignTokenForm(r, k.Version, r.FormValue("user")).with(err)
	if !ok {
		return err
	}
	return r.showToken(http.StatusUnprocessableEntity, k, &f, nil)
}

func (r *request) unassignToken() error {
	_, err := r.s.admin.UnassignOTPToken(r.Request().Context(), r.Actor(), r.tokenID(), r.version())
	return r.orConflict("/otp-tokens/"+string(r.tokenID()), "The token belongs to nobody now.", err)
}

func (r *request) disableToken() error {
	_, err := r.s.admin.DisableOTPToken(r.Request().Context(), r.Actor(), r.tokenID(), r.version())
	return r.orConflict("/otp-tokens/"+string(r.tokenID()), "The token’s codes count no more.", err)
}

func (r *request) enableToken() error {
	_, err := r.s.admin.EnableOTPToken(r.Request().Context(), r.Actor(), r.tokenID(), r.version())
	return r.orConflict("/otp-tokens/"+string(r.tokenID()), "The token’s codes count again.", err)
}

func (r *request) resynchroniseToken() error {
	ctx := r.Request().Context()
	_, err := r.s.admin.ResynchroniseOTPToken(ctx, r.Actor(), r.tokenID(), []sallyport.Secret{sallyport.Secret(r.FormValue("first")), sallyport.Secret(r.FormValue("second"))})
	if err == nil {
		return r.done("/otp-tokens/"+string(r.tokenID()), "The token is found again. The next code that it shows is taken.")
	}
	f, ok := resyncForm(r).with(err)
	if !ok {
		return err
	}
	k, rerr := r.s.admin.OTPToken(ctx, r.Actor(), r.tokenID())
	if rerr != nil {
		return rerr
	}
	return r.showToken(http.StatusUnprocessableEntity, k, nil, &f)
}

func (r *request) deleteOTPToken() error {
	return r.orConflict("/otp-tokens", "The token was deleted.", r.s.admin.DeleteOTPToken(r.Request().Context(), r.Actor(), r.tokenID(), r.version()))
}
