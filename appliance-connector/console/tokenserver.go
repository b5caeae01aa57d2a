package console

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/tokenserver"
)

func (s *Server) tokenServerRoutes() {
	s.page("/settings/tokens", "TokenServers", (*request).tokenServers)
	s.act("/settings/tokens", "SetTokenServers", (*request).setTokenSystem)
	s.act("/settings/tokens/try", "TryTokenServer", (*request).tryTokenServer)
	s.page("/settings/tokens/new", "SetTokenServers", (*request).newTokenServerPage)
	s.act("/settings/tokens/new", "SetTokenServers", (*request).newTokenServer)
	s.page("/settings/tokens/:id", "SetTokenServers", (*request).tokenServer)
	s.act("/settings/tokens/:id", "SetTokenServers", (*request).changeTokenServer)
	s.page("/settings/tokens/:id/delete", "SetTokenServers", (*request).deleteTokenServerPage)
	s.act("/settings/tokens/:id/delete", "SetTokenServers", (*request).deleteTokenServer)
}

const tokensPath = "/settings/tokens"

var tokenCrumbs = []Link{{"Settings", "/settings"}, {"Token servers", tokensPath}}

// tokenSystemForm is how all of the servers are asked, and for whom.
func (r *request) tokenSystemForm(v sallyport.TokenServers) (Form, error) {
	policies, err := r.s.admin.UserPolicies(r.Request().Context(), r.Actor())
	if err != nil {
		return Form{}, err
	}
	named := func(n sallyport.TokenUserName, label, help string) Option {
		return Option{Value: string(n), Label: label, Help: help, Chosen: v.UserName == n}
	}
	fields := []Field{
		{Name: "name", Label: "What users call their token", Value: v.Name, Required: true, Most: 64, Placeholder: "RSA SecurID"},
		{Kind: "radio", Name: "user_name", Label: "How users are named to the servers", Required: true, Options: []Option{
			named(sallyport.TokenUserShort, "Short name", "alice"), named(sallyport.TokenUserAccount, "With the domain", `hospital\alice`),
			named(sallyport.TokenUserTyped, "As typed", "Whatever the user typed as user name.")}},
		{Name: "timeout", Label: "Wait for an answer", Value: strconv.FormatFloat(v.Timeout.Seconds(), 'f', -1, 64), Required: true, Help: "Seconds, 0.5 to 10, each time a server is asked."},
		{Kind: "number", Name: "tries", Label: "Ask a server", Value: strconv.Itoa(v.Tries), Required: true, Help: "Times, 1 to 5, before the next server is asked."},
		{Kind: "checkbox", Name: "everyone", Label: "All users have a token", Checked: v.Everyone},
	}
	for _, p := range policies {
		fields = append(fields, Field{Kind: "checkbox", Name: "policy." + string(p.ID), Label: "Users with the user policy “" + p.Name + "” have one", Checked: slices.Contains(v.Policies, p.ID)})
	}
	f := r.form("Save", append(fields, versionField(v.Version))...)
	f.Path = tokensPath
	return f, nil
}

func versionField(v int64) Field {
	return Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(v, 10)}
}

// tokenTryForm asks for a code; with a state it answers a server's question.
func (r *request) tokenTryForm(v sallyport.TokenServers, id sallyport.TokenServerID, user string, state []byte) Form {
	servers := Field{Kind: "select", Name: "server", Label: "Server"}
	for _, x := range v.Servers {
		servers.Options = append(servers.Options, Option{Value: string(x.ID), Label: tokenAddress(x), Chosen: x.ID == id})
	}
	f := r.form("Ask the server", servers,
		Field{Name: "user", Label: "User name", Value: user, Required: true, Most: 253, Autocomplete: "off", Help: "As the server knows it."},
		Field{Kind: "code", Name: "code", Label: "What the token shows", Required: true, Most: 128, Autocomplete: "off"},
		Field{Kind: "hidden", Name: "state", Value: base64.RawURLEncoding.EncodeToString(state)})
	f.Path = tokensPath + "/try"
	return f
}

func tokenAddress(x sallyport.TokenServer) string {
	if x.Port == sallyport.TokenPort {
		return x.Host
	}
	return x.Host + ", port " + strconv.Itoa(x.Port)
}

func (r *request) tokenServers() error {
	v, err := r.s.admin.TokenServers(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	f, err := r.tokenSystemForm(v.TokenServers)
	if err != nil {
		return err
	}
	return r.showTokenServers(http.StatusOK, v, f, r.tokenTryForm(v.TokenServers, "", "", nil), nil)
}

func (r *request) showTokenServers(status int, v admin.TokenServersStatus, form, try Form, result *Alert) error {
	table, err := r.tokenServerTable(v)
	if err != nil {
		return err
	}
	servers := Card{Title: "Servers", Table: &table}
	settings := Card{Title: "Tokens", Text: "The same for all appliances of the enterprise. Logins ask for a token when the login policy allows “Password and external token server”."}
	if r.May("SetTokenServers") {
		settings.Form = &form
		servers.Links = []Link{{"Add server", tokensPath + "/new"}}
	} else {
		settings.Facts = []Fact{fact("Called", v.Name), fact("Wait", v.Timeout.String()), fact("Tries", strconv.Itoa(v.Tries))}
	}
	if len(v.Servers) > 0 && !v.Everyone && len(v.Policies) == 0 {
		settings.Alert = &Alert{"warn", "Nobody has a token", "Choose whose tokens the servers know: all users, or those with some user policies."}
	}
	d := CardPage{Tabs: r.settingTabs("tokens"), Cards: []Card{servers, settings}}
	if r.May("TryTokenServer") && len(v.Servers) > 0 {
		d.Cards = append(d.Cards, Card{Title: "Try it", Text: "Asks one server, by the settings as they are saved, from this appliance. A code that is right is used up.", Alert: result, Form: &try})
	}
	return r.showAs(status, Page{Title: "External token servers", Lead: "Servers that know what a user’s token shows, asked over RADIUS in this order.",
		Crumbs: tokenCrumbs[:1], Content: "cardpage", Data: d})
}

func (r *request) tokenServerTable(v admin.TokenServersStatus) (Table, error) {
	sites, err := r.s.admin.Sites(r.Request().Context(), r.Actor())
	if err != nil {
		return Table{}, err
	}
	names := siteNames(sites)
	t := Table{ID: "token-servers", Caption: "Servers", Columns: []Column{{Label: "Server"}, {Label: "For"}, {Label: "Seen from this appliance"}},
		Empty: Empty{Title: "No token servers", Text: "Without one nobody is asked for an external token."}}
	for _, x := range v.Servers {
		host := Cell{Text: tokenAddress(x)}
		if r.May("SetTokenServers") {
			host.Path = tokensPath + "/" + string(x.ID)
		}
		at := "all sites without servers of their own"
		if len(x.Sites) > 0 {
			var list []string
			for _, id := range x.Sites {
				list = append(list, names[id])
			}
			at = some(list)
		}
		h, asked := v.Health[x.ID]
		t.Rows = append(t.Rows, []Cell{host, {Text: at}, tokenHealth(h, asked, r.s.cfg.Now())})
	}
	return t, nil
}

func tokenHealth(h tokenserver.Health, asked bool, now time.Time) Cell {
	switch {
	case !asked:
		return Cell{Text: "not asked by this appliance"}
	case h.Trouble != "":
		return Cell{Badge: Badge{"bad", "No answer"}, Sub: h.Trouble}
	case h.Answered.IsZero():
		return Cell{Text: "not asked yet"}
	}
	return Cell{Badge: Badge{"ok", "Answers"}, Sub: ago(h.Answered, now)}
}

func (r *request) setTokenSystem() error {
	ctx := r.Request().Context()
	version, err := r.formVersion()
	if err != nil {
		return err
	}
	before, err := r.s.admin.TokenServers(ctx, r.Actor())
	if err != nil {
		return err
	}
	v := before.TokenServers
	v.Version, v.Name, v.UserName, v.Everyone = version, strings.TrimSpace(r.FormValue("name")), sallyport.TokenUserName(r.FormValue("user_name")), r.FormValue("everyone") != ""
	seconds, err := strconv.ParseFloat(strings.TrimSpace(r.FormValue("timeout")), 64)
	if err != nil || !(seconds > 0 && seconds < 1000) {
		seconds = 0 // which the door refuses, with words for the field
	}
	v.Timeout = time.Duration(seconds * float64(time.Second)).Round(time.Millisecond)
	if v.Tries, err = strconv.Atoi(strings.TrimSpace(r.FormValue("tries"))); err != nil {
		v.Tries = 0
	}
	form, err := r.FormParams()
	if err != nil {
		return err
	}
	v.Policies = nil
	for name := range form {
		if id, ok := strings.CutPrefix(name, "policy."); ok {
			v.Policies = append(v.Policies, sallyport.UserPolicyID(id))
		}
	}
	slices.Sort(v.Policies)
	if _, err = r.s.admin.SetTokenServers(ctx, r.Actor(), v); err == nil {
		return r.done(tokensPath, "Saved. It holds for logins from now on.")
	}
	f, ferr := r.tokenSystemForm(v)
	f, ok := f.with(err)
	if !ok || ferr != nil {
		return err
	}
	return r.showTokenServers(http.StatusUnprocessableEntity, before, f, r.tokenTryForm(before.TokenServers, "", "", nil), nil)
}

func (r *request) tryTokenServer() error {
	ctx := r.Request().Context()
	v, err := r.s.admin.TokenServers(ctx, r.Actor())
	if err != nil {
		return err
	}
	f, err := r.tokenSystemForm(v.TokenServers)
	if err != nil {
		return err
	}
	id, user := sallyport.TokenServerID(r.FormValue("server")), strings.TrimSpace(r.FormValue("user"))
	state, err := base64.RawURLEncoding.DecodeString(r.FormValue("state"))
	if err != nil || len(state) == 0 {
		state = nil
	}
	tried, err := r.s.admin.TryTokenServer(ctx, r.Actor(), id, user, sallyport.Secret(strings.TrimSpace(r.FormValue("code"))), state)
	if err != nil {
		try, ok := r.tokenTryForm(v.TokenServers, id, user, state).with(err)
		if !ok {
			return err
		}
		return r.showTokenServers(http.StatusUnprocessableEntity, v, f, try, nil)
	}
	return r.showTokenServers(http.StatusOK, v, f, r.tokenTryForm(v.TokenServers, id, user, tried.State), tokenTried(tried))
}

func tokenTried(t admin.TokenTry) *Alert {
	took := fmt.Sprintf(" It took %d ms.", t.Took.Milliseconds())
	said := ""
	if t.Message != "" {
		said = "It says: “" + t.Message + "”."
	}
	switch {
	case t.Trouble != "":
		return &Alert{"bad", "The server did not answer", t.Trouble}
	case t.Outcome == tokenserver.Accepted:
		return &Alert{"ok", "The server took the code", strings.TrimSpace(said + took)}
	case t.Outcome == tokenserver.Challenged:
		return &Alert{"ok", "The server asks for more", strings.TrimSpace(said + took + " Type the answer below.")}
	}
	return &Alert{"warn", "The server refused the code", strings.TrimSpace(said + took + " Look at its log when the code was right.")}
}

// showTokenServer shows one server in a form, with what is wrong in it.
func (r *request) showTokenServer(status int, x sallyport.TokenServer, at, of int, version int64, wrong error) error {
	sites, err := r.s.admin.Sites(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	submit, secret := "Save", "Leave it empty to keep it; type it again when you change host or port."
	if x.ID == "" {
		submit, secret = "Add server", "The same as at the server’s entry for this appliance; 22 characters or more."
	}
	fields := []Field{
		{Name: "host", Label: "Host", Value: x.Host, Required: true, Most: 253, Focus: x.ID == "", Placeholder: "rsa1.hospital.example", Help: "Name or address."},
		{Kind: "number", Name: "port", Label: "Port", Value: strconv.Itoa(x.Port), Required: true, Help: "Usually 1812, of older servers 1645."},
		{Kind: "password", Name: "secret", Label: "Shared secret", Autocomplete: "new-password", Help: secret},
		{Kind: "checkbox", Name: "unsigned", Label: "Take answers without Message-Authenticator", Checked: x.Unsigned,
			Help: "Warning: somebody between this appliance and the server could turn a refusal into an acceptance (CVE-2024-3596). Only for servers that cannot send it, over a network that nobody else is in."},
		{Kind: "number", Name: "position", Label: "Asked as number", Value: strconv.Itoa(at + 1), Required: true, Help: "1 to " + strconv.Itoa(of) + "."},
	}
	for _, s := range sites {
		fields = append(fields, Field{Kind: "checkbox", Name: "site." + string(s.ID), Label: "Only for the site “" + s.Name + "”", Checked: slices.Contains(x.Sites, s.ID)})
	}
	f := r.form(submit, append(fields, versionField(version))...)
	f.Cancel = tokensPath
	if wrong != nil {
		var ok bool
		if f, ok = f.with(tokenFieldErrors(wrong, at)); !ok {
			return wrong
		}
	}
	p := Page{Title: "Add a token server", Crumbs: tokenCrumbs, Content: "cardpage"}
	if x.ID != "" {
		p.Title = x.Host
		p.Actions = []Action{{Label: "Remove", Path: tokensPath + "/" + string(x.ID) + "/delete", Danger: true}}
	}
	p.Data = CardPage{Cards: []Card{{Title: "Server", Text: "With sites chosen, the appliances of these sites ask this server, and none of those without sites.", Form: &f}}}
	return r.showAs(status, p)
}

// tokenFieldErrors names fields of one server as its form does.
func tokenFieldErrors(err error, at int) error {
	all, some := fields(err)
	if !some {
		return err
	}
	out := admin.FieldErrors{}
	for field, words := range all {
		out[strings.TrimPrefix(field, "server."+strconv.Itoa(at)+".")] = words
	}
	return out
}

func (r *request) newTokenServerPage() error {
	v, err := r.s.admin.TokenServers(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	n := len(v.Servers)
	return r.showTokenServer(http.StatusOK, sallyport.TokenServer{Port: sallyport.TokenPort}, n, n+1, v.Version, nil)
}

// readTokenServer puts what the form holds into x, and says where in the list of so many it is to stand.
func (r *request) readTokenServer(x sallyport.TokenServer, of int) (sallyport.TokenServer, int, error) {
	form, err := r.FormParams()
	if err != nil {
		return x, 0, err
	}
	x.Host, x.Secret, x.Unsigned, x.Sites = strings.ToLower(strings.TrimSpace(form.Get("host"))), sallyport.Secret(form.Get("secret")), form.Get("unsigned") != "", nil
	if x.Port, err = strconv.Atoi(strings.TrimSpace(form.Get("port"))); err != nil {
		x.Port = 0 // which the door refuses, with words for the field
	}
	at, err := strconv.Atoi(strings.TrimSpace(form.Get("position")))
	if err != nil {
		at = of
	}
	for name := range form {
		if id, ok := strings.CutPrefix(name, "site."); ok {
			x.Sites = append(x.Sites, sallyport.SiteID(id))
		}
	}
	slices.Sort(x.Sites)
	return x, min(max(at, 1), of) - 1, nil
}

func (r *request) newTokenServer() error {
	return r.saveTokenServer("", "The server was added. Try it below.")
}

func (r *request) changeTokenServer() error {
	return r.saveTokenServer(sallyport.TokenServerID(r.Param("id")), "Saved.")
}

// saveTokenServer saves what the form says of a server; "" for a new one.
func (r *request) saveTokenServer(id sallyport.TokenServerID, done string) error {
	ctx := r.Request().Context()
	version, err := r.formVersion()
	if err != nil {
		return err
	}
	v, err := r.s.admin.TokenServers(ctx, r.Actor())
	if err != nil {
		return err
	}
	x, others := sallyport.TokenServer{ID: id}, slices.DeleteFunc(slices.Clone(v.Servers), func(o sallyport.TokenServer) bool { return o.ID == id })
	if id != "" && len(others) == len(v.Servers) {
		return noTokenServer()
	}
	x, at, err := r.readTokenServer(x, len(others)+1)
	if err != nil {
		return err
	}
	next := v.TokenServers
	next.Version, next.Servers = version, slices.Insert(others, at, x)
	if _, err = r.s.admin.SetTokenServers(ctx, r.Actor(), next); err == nil {
		return r.done(tokensPath, done)
	}
	return r.showTokenServer(http.StatusUnprocessableEntity, x, at, len(others)+1, version, err)
}

func noTokenServer() error {
	return sallyport.Errorf(sallyport.CodeNotFound, "This token server does not exist, or no longer.", nil)
}

// tokenServerAt finds the server that the address names.
func (r *request) tokenServerAt() (v admin.TokenServersStatus, at int, err error) {
	v, err = r.s.admin.TokenServers(r.Request().Context(), r.Actor())
	if err != nil {
		return v, 0, err
	}
	at = slices.IndexFunc(v.Servers, func(x sallyport.TokenServer) bool { return string(x.ID) == r.Param("id") })
	if at < 0 {
		return v, 0, noTokenServer()
	}
	return v, at, nil
}

func (r *request) tokenServer() error {
	v, at, err := r.tokenServerAt()
	if err != nil {
		return err
	}
	return r.showTokenServer(http.StatusOK, v.Servers[at], at, len(v.Servers), v.Version, nil)
}

func (r *request) deleteTokenServerPage() error {
	v, at, err := r.tokenServerAt()
	if err != nil {
		return err
	}
	q := question{Text: "Logins ask the other servers then.", Form: r.form("Remove server", versionField(v.Version))}
	if len(v.Servers) == 1 {
		q.Text = "It is the last one: nobody is asked for an external token then, and who has no other second factor cannot log in."
	}
	q.Form.Danger, q.Form.Cancel = true, tokensPath+"/"+string(v.Servers[at].ID)
	return r.show(Page{Title: "Remove “" + v.Servers[at].Host + "”?", Crumbs: tokenCrumbs, Content: "question", Data: q})
}

func (r *request) deleteTokenServer() error {
	v, at, err := r.tokenServerAt()
	if err != nil {
		return err
	}
	next := v.TokenServers
	next.Version, next.Servers = r.version(), slices.Delete(slices.Clone(v.Servers), at, at+1)
	_, err = r.s.admin.SetTokenServers(r.Request().Context(), r.Actor(), next)
	return r.orConflict(tokensPath, "The server was removed.", err)
}
