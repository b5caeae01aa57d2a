package selfservice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/internal/httpstatus"
)

const (
	// waitTime is shorter than the server lets an answer take.
	waitTime  = 20 * time.Second
	checkTime = 2 * time.Second
	maxName   = 256
	maxSecret = 1024
)

func (s *Server) signInRoutes() {
	s.mux.HandleFunc("GET "+Path, s.handle((*request).start))
	s.mux.HandleFunc("POST /me/sign-in", s.handle((*request).signIn))
	s.mux.HandleFunc("POST /me/act", s.handle((*request).act))
	s.mux.HandleFunc("POST /me/check", s.handle((*request).check))
	s.mux.HandleFunc("GET /me/wait", s.handle((*request).wait))
	s.mux.HandleFunc("POST /me/sign-out", s.handle((*request).signOut))
}

// start shows where somebody is.
func (r *request) start() error {
	switch c := r.carried; {
	case c == nil:
		return r.showSignIn(http.StatusOK, "", "")
	case c.Step != nil:
		return r.showStep(http.StatusOK, "")
	default:
		return r.list("")
	}
}

func (r *request) showSignIn(status int, name, trouble string) error {
	return r.show(status, "signin", page{Title: r.say("title"), Lead: r.say("lead"), Trouble: trouble, Data: name})
}

func (r *request) attempt() login.Attempt {
	return login.Attempt{Login: sallyport.LoginID(sallyport.NewID()), Integration: sallyport.Integration{Nickname: r.say("title")}, Place: r.address(),
		Door: sallyport.DoorSelfService, Language: r.language, BindStarted: func() error { return nil }}
}

func (r *request) signIn() error {
	name, password := strings.TrimSpace(r.PostFormValue("name")), r.PostFormValue("password")
	if name == "" || password == "" || len(name) > maxName || len(password) > maxSecret {
		return r.showSignIn(http.StatusUnprocessableEntity, "", r.say("typeBoth"))
	}
	ctx := r.Context()
	if err := r.s.attempt(ctx, strings.ToLower(name), r.address()); err != nil {
		if sallyport.ErrorCode(err) == sallyport.CodeLimited {
			return r.showSignIn(http.StatusTooManyRequests, name, r.failure(err))
		}
		return err
	}
	a := r.attempt()
	a.UserName, a.Password = name, sallyport.Secret(password)
	st, err := r.s.cfg.Engine.Begin(ctx, a)
	if err != nil {
		return r.showSignIn(httpstatus.Of(sallyport.ErrorCode(err)), name, r.failure(err))
	}
	r.carried = &carried{ID: string(a.Login), UserName: name, End: st.End}
	return r.goOn(st)
}

// goOn carries a step on, or ends it, and goes to the page that shows what came of it.
func (r *request) goOn(st login.State) error {
	trouble, err := r.took(st)
	if err != nil {
		return err
	}
	switch {
	case trouble == "":
		return r.goTo(next(st))
	case r.carried == nil:
		return r.showSignIn(http.StatusForbidden, st.UserName, trouble)
	}
	return r.list(trouble)
}

// next is the page after a step that went well.
func next(st login.State) string {
	if st.Kind == sallyport.PromptEnrol && st.Enrolling.Step == sallyport.EnrolFinished {
		return Path + "?done=added"
	}
	return Path
}

// took keeps what a step has come to; trouble says why it ended without success.
func (r *request) took(st login.State) (trouble string, err error) {
	c := *r.carried
	c.Step = nil
	switch {
	case st.Kind == sallyport.PromptDone:
		if err := r.once("signed in", string(st.Login)); err != nil {
			return "", err
		}
		return "", r.keep(&carried{ID: sallyport.NewID(), In: true, Account: st.Account, UserName: st.UserName, End: r.s.cfg.Now().Add(sessionLife).UnixMilli()})
	case st.Kind == sallyport.PromptDenied:
		return r.reason(st.Reason), r.keep(nil)
	case st.Kind == sallyport.PromptEnrol && st.Enrolling.Step == sallyport.EnrolFinished:
		return r.enrolled(c, st)
	case st.Kind == sallyport.PromptEnrol && st.Enrolling.Step == sallyport.EnrolStart:
		return r.reason(st.Reason), r.keep(&c)
	}
	c.Step = &st
	return "", r.keep(&c)
}

// act takes what somebody did at a step.
func (r *request) act() error {
	c := r.carried
	if c == nil || c.Step == nil {
		return r.goTo(Path)
	}
	do := r.PostFormValue("do")
	if do == "leave" {
		return r.leave()
	}
	if err := r.once("step", string(c.Step.Login), fmt.Sprint(c.Step.Version)); err != nil {
		return err
	}
	code := func(name string) sallyport.Secret {
		v := r.PostFormValue(name)
		return sallyport.Secret(v[:min(len(v), maxSecret)])
	}
	a := login.Action{Do: do, Method: sallyport.Method(r.PostFormValue("method")), Code: code("code")}
	if do == "enrol" {
		a.Number, a.Serial = string(code("number")), string(code("serial"))
		if a.Serial != "" {
			a.Code, a.Codes = "", []sallyport.Secret{code("code1"), code("code2")}
		}
	}
	st, err := r.s.cfg.Engine.Act(r.Context(), *c.Step, a)
	if err != nil {
		again := *c
		step := *c.Step
		step.Version++ // this one was taken, and the person may try again
		again.Step = &step
		return errors.Join(err, r.keep(&again))
	}
	return r.goOn(st)
}

// leave ends a step at the user's wish.
func (r *request) leave() error {
	c := *r.carried
	if !c.In {
		if st, err := r.s.cfg.Engine.Act(r.Context(), *c.Step, login.Action{Do: "cancel"}); err == nil {
			r.s.cfg.Log.InfoContext(r.Context(), "sign-in cancelled", "login", st.Login)
		}
		if err := r.keep(nil); err != nil {
			return err
		}
		return r.goTo(Path)
	}
	c.Step, c.Replaces = nil, ""
	if err := r.keep(&c); err != nil {
		return err
	}
	return r.goTo(Path)
}

// wait answers a script when something has happened, or after a while.
func (r *request) wait() error {
	changed, to := true, Path
	if r.carried != nil && r.carried.Step != nil {
		ctx, cancel := context.WithTimeout(r.Context(), waitTime)
		defer cancel()
		st, err := r.s.cfg.Engine.Wait(ctx, *r.carried.Step)
		if err != nil {
			return err
		}
		if changed = st.Version != r.carried.Step.Version; changed {
			if err := r.keepFor(st); err != nil {
				return err
			}
			to = next(st)
		}
	}
	r.w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(r.w).Encode(map[string]any{"changed": changed, "to": to})
}

// keepFor keeps a step for the page that the script opens next: that page says how it ended.
func (r *request) keepFor(st login.State) error {
	if st.Kind == sallyport.PromptDenied || st.Kind == sallyport.PromptEnrol && st.Enrolling.Step == sallyport.EnrolStart {
		c := *r.carried
		c.Step = &st
		return r.keep(&c)
	}
	_, err := r.took(st)
	return err
}

// check is wait for browsers without scripts.
func (r *request) check() error {
	if r.carried == nil || r.carried.Step == nil {
		return r.goTo(Path)
	}
	ctx, cancel := context.WithTimeout(r.Context(), checkTime)
	defer cancel()
	st, err := r.s.cfg.Engine.Wait(ctx, *r.carried.Step)
	if err != nil {
		return err
	}
	return r.goOn(st)
}

func (r *request) signOut() error {
	if c := r.carried; c != nil && c.In {
		if _, err := r.s.cfg.Store.Failure(r.Context(), counted("session", c.ID), kindEnded, r.s.cfg.Now(), sessionLife); err != nil {
			return err
		}
	}
	if err := r.keep(nil); err != nil {
		return err
	}
	return r.goTo(Path)
}

// step is what the page of a step shows.
type step struct {
	Prompt sallyport.Prompt
	Enrol  *sallyport.EnrolPrompt
	QR     template.URL
	Asks   string
	Others []other
}

type other struct{ Method, Label string }

func (r *request) showStep(status int, trouble string) error {
	st := *r.carried.Step
	p := r.s.cfg.Engine.Prompt(st)
	if st.Kind == sallyport.PromptDenied || st.Kind == sallyport.PromptEnrol && st.Enrolling.Step == sallyport.EnrolStart {
		return r.goOn(st)
	}
	if trouble == "" {
		trouble = r.reason(p.Reason)
	}
	if p.Kind == sallyport.PromptPush && p.Device == "" {
		p.Device = r.say("yourPhone")
	}
	d := step{Prompt: p, Enrol: p.Enrol}
	pg := page{Title: r.say("signIn"), Trouble: trouble}
	switch {
	case p.Kind == sallyport.PromptPush:
		pg.Title, pg.Wait = r.say("pushTitle"), true
	case p.Kind == sallyport.PromptCode && len(p.Methods) > 0:
		d.Asks = r.asks(p)
	case p.Enrol != nil:
		pg.Title = r.say("add_app")
		switch p.Enrol.Step {
		case sallyport.EnrolApp:
			pg.Wait = true
			qr, err := picture(p.Enrol.Link)
			if err != nil {
				return err
			}
			d.QR = qr
		case sallyport.EnrolPhone, sallyport.EnrolPhoneCode:
			pg.Title = r.say("add_phone")
		case sallyport.EnrolOTP:
			pg.Title = r.say("add_otp")
		}
	}
	for i, m := range p.Methods {
		if i > 0 {
			d.Others = append(d.Others, other{string(m), r.say("use_" + string(m))})
		}
	}
	pg.Data = d
	return r.show(status, "step", pg)
}
