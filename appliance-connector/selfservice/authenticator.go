package selfservice

import (
	"context"
	"net/http"
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

	standing sallyport.Standing
}

// read reads what the user has, and ends the session of somebody who is not to be here any more.
func (r *request) read(ctx context.Context) (v things, err error) {
	account, db := r.carried.Account, r.s.cfg.Store
	if v.standing, err = r.s.cfg.Standings.Standing(ctx, account); err != nil {
		return v, err
	}
	if u := v.standing.User; u == nil || u.State != sallyport.UserActive {
		return v, sallyport.Errorf(sallyport.CodeDenied, "This account may not use remote access any more.", r.keep(nil))
	}
	devices, err := db.Devices(ctx, account)
	if err != nil {
		return v, err
	}
	for _, d := range devices {
		v.Factors = append(v.Factors, thing{What: "device", ID: string(d.ID), Name: d.Name, Text: kindWords(sallyport.AuthenticatorApp), Since: d.Enrolled, Replace: true})
	}
	phones, err := db.Phones(ctx, account)
	if err != nil {
		return v, err
	}
	for _, p := range phones {
		v.Factors = append(v.Factors, thing{What: "phone", ID: string(p.ID), Name: "Number that ends in " + p.Number.Tail(), Text: "Gets codes by text message", Since: p.Enrolled})
	}
	tokens, err := db.OTPTokens(ctx, store.OTPTokenQuery{Account: account})
	if err != nil {
		return v, err
	}
	for _, t := range tokens.Tokens {
		text := kindWords(sallyport.AuthenticatorOTP)
		if t.State != sallyport.OTPTokenActive {
			text += ", disabled"
		}
		v.Factors = append(v.Factors, thing{What: "token", ID: string(t.ID), Name: "Token " + t.Serial, Text: text, Since: t.Assigned, version: t.Version})
	}
	if v.Unenrolled = len(v.Factors) == 0; len(v.Factors) == 1 {
		v.Factors[0].Last = true
	}
	if v.Remembered, err = r.remembered(ctx, v.standing); err != nil {
		return v, err
	}
	for _, k := range r.addable(v.standing) {
		v.Add = append(v.Add, other{string(k), kindWords(k)})
	}
	return v, nil
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
			out = append(out, thing{What: "remembered", ID: string(d.ID), Name: d.Browser, Text: "Logs in without the second factor", Since: d.Made})
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
	note := map[string]string{"added": "It was added.", "replaced": "The new phone counts from now on, and the old one no more.", "deleted": "It was deleted.", "forgotten": "That browser asks for the second factor again."}[r.FormValue("done")]
	return r.show(http.StatusOK, "list", page{Title: "Your second factors", Lead: string(r.carried.Account), Trouble: trouble, Note: note, Data: v})
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
		return sallyport.Errorf(sallyport.CodeInvalid, "This cannot be added here.", nil)
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

var errGone = sallyport.Errorf(sallyport.CodeNotFound, "This is not there any more. Open the page again.", nil)

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
	return r.show(http.StatusOK, "question", page{Title: "Delete this?", Data: struct {
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
	case "remembered":
		done = "forgotten"
		err = db.ForgetRemembered(ctx, r.carried.Account, sallyport.RememberedID(t.ID), forgotten)
	}
	if err != nil {
		return err
	}
	return r.goTo(Path + "?done=" + done)
}
