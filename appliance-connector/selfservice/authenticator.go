package selfservice

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// forgotten is why a remembered device is forgotten, for the audit trail.
const forgotten = "by its user, on the self-service page"

func (s *Server) authenticatorRoutes() {
	s.mux.HandleFunc("POST /me/add", s.handle(signedIn((*request).add)))
	s.mux.HandleFunc("GET /me/delete", s.handle(signedIn((*request).question)))
	s.mux.HandleFunc("POST /me/delete", s.handle(signedIn((*request).remove)))
}

// signedIn lets those through who are signed in.
func signedIn(h handler) handler {
	return func(r *request) error {
		if r.carried == nil || !r.carried.In {
			return r.goTo(Path)
		}
		return h(r)
	}
}

// actor is the user, as the audit trail names it.
func (r *request) actor() sallyport.Actor {
	return sallyport.Actor{Kind: sallyport.ActorUser, Name: string(r.carried.Account), Address: r.address()}
}

// thing is one authenticator, or a remembered device.
type thing struct {
	What, ID string
	Name     string
	Text     string
	Since    time.Time
	// Last: without it the user has no second factor.
	Last bool
	// Replace offers another phone in its place.
	Replace bool

	version int64
}

// things are what the user has.
type things struct {
	Factors    []thing
	Remembered []thing
	Add        []other
	// Unenrolled: there is nothing yet.
	Unenrolled bool
	// Passkeys: they are of use, and made at the Gateways, where those pages offer it.
	Passkeys bool
	Gateways []gateway
	// PIN is that before the codes of a token; nil: none is of use.
	PIN *pin

	standing sallyport.Standing
}

// read reads what the user has, and ends the session of somebody who is not to be here any more.
func (r *request) read(ctx context.Context) (v things, err error) {
	account, db := r.carried.Account, r.s.cfg.Store
	if v.standing, err = r.s.cfg.Standings.Standing(ctx, account); err != nil {
		return v, err
	}
	if u := v.standing.User; u == nil || u.State != sallyport.UserActive {
		return v, tell(sallyport.CodeDenied, "notAllowed", r.keep(nil))
	}
	devices, err := db.Devices(ctx, account)
	if err != nil {
		return v, err
	}
	for _, d := range devices {
		v.Factors = append(v.Factors, thing{What: "device", ID: string(d.ID), Name: d.Name, Text: r.say("kind_app"), Since: d.Enrolled, Replace: true})
	}
	phones, err := db.Phones(ctx, account)
	if err != nil {
		return v, err
	}
	for _, p := range phones {
		v.Factors = append(v.Factors, thing{What: "phone", ID: string(p.ID), Name: r.say("numberEnds", "to", p.Number.Tail()), Text: r.say("getsCodes"), Since: p.Enrolled})
	}
	tokens, err := db.OTPTokens(ctx, store.OTPTokenQuery{Account: account})
	if err != nil {
		return v, err
	}
	for _, t := range tokens.Tokens {
		text := r.say("kind_otp")
		if t.State != sallyport.OTPTokenActive {
			text = r.say("disabled", "what", text)
		}
		v.Factors = append(v.Factors, thing{What: "token", ID: string(t.ID), Name: r.say("token", "serial", t.Serial), Text: text, Since: t.Assigned, version: t.Version})
	}
	passkeys, err := db.UserPasskeys(ctx, account)
	if err != nil {
		return v, err
	}
	for _, p := range passkeys {
		text := r.say("kind_passkey", "host", p.Host)
		if !p.Copied.IsZero() {
			text = r.say("disabled", "what", text)
		}
		v.Factors = append(v.Factors, thing{What: "passkey", ID: string(p.ID), Name: p.Name, Text: text, Since: p.Enrolled})
	}
	if v.Unenrolled = len(v.Factors) == 0; len(v.Factors) == 1 {
		v.Factors[0].Last = true
	}
	if v.Remembered, err = r.remembered(ctx, v.standing); err != nil {
		return v, err
	}
	if v.PIN, err = r.pin(ctx, v.standing, tokens.Tokens); err != nil {
		return v, err
	}
	if v.Passkeys = slices.Contains(v.standing.Workflow.Allowed, sallyport.PasswordAndPasskey); v.Passkeys && v.Unenrolled && v.standing.Rule != nil && v.standing.Rule.PromptAtGateway {
		if v.Gateways, err = r.gateways(ctx); err != nil {
			return v, err
		}
	}
	for _, k := range r.addable(v.standing) {
		v.Add = append(v.Add, other{string(k), r.say("kind_" + string(k))})
	}
	return v, nil
}

// gateway is where passkeys are made: a passkey is bound to the host of the page that made it, so this page cannot make one.
type gateway struct{ Host, URL string }

func (r *request) gateways(ctx context.Context) (out []gateway, err error) {
	all, err := r.s.cfg.Store.Integrations(ctx)
	for _, in := range all {
		for _, o := range in.Origins {
			u, err := url.Parse(o)
			if err == nil && u.Scheme == "https" && (in.Experience == "" || in.Experience == sallyport.ExperienceCloud) && !slices.ContainsFunc(out, func(g gateway) bool { return g.Host == u.Host }) {
				out = append(out, gateway{u.Host, "https://" + u.Host + "/"})
			}
		}
	}
	return out, err
}

// remembered are the browsers that may skip the second factor by the policy of now.
func (r *request) remembered(ctx context.Context, standing sallyport.Standing) (out []thing, err error) {
	w := standing.Workflow.Remember
	if !w.Allowed {
		return nil, nil
	}
	list, err := r.s.cfg.Store.RememberedDevices(ctx, r.carried.Account)
	for _, d := range list {
		if r.s.cfg.Now().Before(d.Made.Add(w.For)) && !d.Made.Before(w.Since) && !d.Made.Before(standing.User.SecondFactorSince) {
			out = append(out, thing{What: "remembered", ID: string(d.ID), Name: d.Browser, Text: r.say("skips"), Since: d.Made})
		}
	}
	return out, err
}

// addable are the kinds that can be added here and are of use for a login.
func (r *request) addable(standing sallyport.Standing) (out []sallyport.AuthenticatorKind) {
	of := map[sallyport.AuthenticatorKind][]sallyport.Combination{
		sallyport.AuthenticatorApp: {sallyport.PasswordAndApp}, sallyport.AuthenticatorPhone: {sallyport.PasswordAndSMS},
		sallyport.AuthenticatorOTP: {sallyport.PasswordAndOTP, sallyport.PINAndOTP, sallyport.OTPAlone}}
	for _, k := range r.s.cfg.Enrols {
		if slices.ContainsFunc(of[k], func(c sallyport.Combination) bool { return slices.Contains(standing.Workflow.Allowed, c) }) {
			out = append(out, k)
		}
	}
	return out
}

func (r *request) list(trouble string) error {
	v, err := r.read(r.Context())
	if err != nil {
		return err
	}
	note := ""
	if done := r.FormValue("done"); slices.Contains([]string{"added", "replaced", "deleted", "forgotten", "pinSaved"}, done) {
		note = r.say(done)
	}
	return r.show(http.StatusOK, "list", page{Title: r.say("title"), Lead: string(r.carried.Account), Trouble: trouble, Note: note, Data: v})
}

// add begins to add an authenticator, or another phone in the place of one.
func (r *request) add() error {
	ctx := r.Context()
	v, err := r.read(ctx)
	if err != nil {
		return err
	}
	kind := sallyport.AuthenticatorKind(r.PostFormValue("kind"))
	if !slices.Contains(r.addable(v.standing), kind) {
		return tell(sallyport.CodeInvalid, "notHere", nil)
	}
	c := *r.carried
	if c.Replaces = ""; r.PostFormValue("replaces") != "" {
		old, ok := v.find("device", r.PostFormValue("replaces"))
		if !ok || kind != sallyport.AuthenticatorApp {
			return errGone
		}
		c.Replaces = sallyport.DeviceID(old.ID)
	}
	a := r.attempt()
	a.UserName = c.UserName
	st, err := r.s.cfg.Engine.BeginEnrolment(ctx, a, c.Account, kind)
	if err != nil {
		return err
	}
	r.carried = &c
	return r.goOn(st)
}

// enrolled ends an enrolment, and with it the device in whose place the new one is.
func (r *request) enrolled(c carried, st login.State) (trouble string, err error) {
	old := c.Replaces
	c.Replaces = ""
	if err := r.keep(&c); err != nil || old == "" {
		return "", err
	}
	devices, err := r.s.cfg.Store.Devices(r.Context(), c.Account)
	if err != nil {
		return "", err
	}
	// The same phone enrolled again has the same id when it kept its key: then there is nothing to end.
	if len(devices) < 2 || !slices.ContainsFunc(devices, func(d sallyport.Device) bool { return d.ID == old }) || devices[0].ID == old {
		return "", nil
	}
	return "", r.s.cfg.Store.As(r.actor()).DeleteDevice(r.Context(), old)
}

var errGone = tell(sallyport.CodeNotFound, "gone", nil)

func (v things) find(what, id string) (thing, bool) {
	for _, t := range append(slices.Clone(v.Factors), v.Remembered...) {
		if t.What == what && t.ID == id {
			return t, true
		}
	}
	return thing{}, false
}

// question asks before something is deleted.
func (r *request) question() error {
	v, err := r.read(r.Context())
	if err != nil {
		return err
	}
	t, ok := v.find(r.FormValue("what"), r.FormValue("id"))
	if !ok {
		return errGone
	}
	alone := v.standing.Rule != nil && v.standing.Rule.Unenrolled == sallyport.UnenrolledPassword
	return r.show(http.StatusOK, "question", page{Title: r.say("deleteTitle"), Data: struct {
		thing
		Alone bool
	}{t, alone}})
}

func (r *request) remove() error {
	ctx := r.Context()
	v, err := r.read(ctx)
	if err != nil {
		return err
	}
	t, ok := v.find(r.PostFormValue("what"), r.PostFormValue("id"))
	if !ok {
		return errGone
	}
	db, done := r.s.cfg.Store.As(r.actor()), "deleted"
	switch t.What {
	case "device":
		err = db.DeleteDevice(ctx, sallyport.DeviceID(t.ID))
	case "phone":
		err = db.DeletePhone(ctx, r.carried.Account, sallyport.PhoneID(t.ID))
	case "token":
		_, err = db.UnassignOTPToken(ctx, sallyport.OTPTokenID(t.ID), t.version)
	case "passkey":
		err = db.DeleteUserPasskey(ctx, r.carried.Account, sallyport.PasskeyID(t.ID))
	case "remembered":
		done = "forgotten"
		err = db.ForgetRemembered(ctx, r.carried.Account, sallyport.RememberedID(t.ID), forgotten)
	}
	if err != nil {
		return err
	}
	return r.goTo(Path + "?done=" + done)
}
