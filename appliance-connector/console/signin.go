package console

import (
	"html/template"
	"net/http"
	"strings"

	"github.com/skip2/go-qrcode"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/internal/httpstatus"
)

func (s *Server) signInRoutes() {
	s.anybody("GET", "/sign-in", (*request).signInPage)
	s.anybody("POST", "/sign-in", (*request).signIn)
	s.step("GET", "/sign-in/factor", admin.StageFactor, (*request).factorPage)
	s.step("POST", "/sign-in/code", admin.StageFactor, (*request).factorCode)
	s.step("POST", "/sign-in/passkey", admin.StageFactor, (*request).factorPasskey)
	s.step("GET", "/sign-in/enrol", admin.StageEnrol, (*request).enrolPage)
	s.step("GET", "/sign-in/enrol/code", admin.StageEnrol, (*request).enrolCodePage)
	s.step("POST", "/sign-in/enrol/code", admin.StageEnrol, (*request).enrolCode)
	s.step("GET", "/sign-in/enrol/passkey", admin.StageEnrol, (*request).enrolPasskeyPage)
	s.step("POST", "/sign-in/enrol/passkey", admin.StageEnrol, (*request).enrolPasskey)
	s.step("GET", "/sign-in/password", admin.StagePassword, (*request).initialPasswordPage)
	s.step("POST", "/sign-in/password", admin.StagePassword, (*request).initialPassword)
	s.echo.POST("/sign-out", s.inSession((*request).signOut))
}

// stepPath is where somebody goes on who is not signed in yet; empty for who is.
func stepPath(stage admin.Stage) string {
	switch stage {
	case admin.StageFactor:
		return "/sign-in/factor"
	case admin.StageEnrol:
		return "/sign-in/enrol"
	case admin.StagePassword:
		return "/sign-in/password"
	}
	return ""
}

// step adds a page or a form of one stage of signing in.
func (s *Server) step(method, path string, stage admin.Stage, h handler) {
	s.echo.Add(method, path, s.inSession(func(r *request) error {
		if now := r.session.Stage(); now != stage {
			if next := stepPath(now); next != "" {
				return r.goTo(next)
			}
			return r.goTo(r.next())
		}
		return h(r)
	}))
}

// next is where somebody wanted to go who had to sign in first.
func (r *request) next() string {
	to := r.FormValue("next")
	if to == "" {
		return "/"
	}
	return localPath(to)
}

// signInForm is what the sign-in page shows.
type signInForm struct {
	Form
	Ended bool
}

func (r *request) signInPage() error {
	if need, err := r.s.admin.NeedsSetup(r.Request().Context()); err != nil {
		return err
	} else if need {
		return r.goTo("/setup")
	}
	if r.cookie() != "" {
		if session, err := r.s.admin.Resume(r.Request().Context(), r.cookie(), r.visitor(), true); err == nil && session.Stage() == admin.StageIn {
			return r.goTo(r.next())
		}
	}
	return r.showSignIn(http.StatusOK, signInForm{Form: r.signInFields("", ""), Ended: r.QueryParam("ended") != ""})
}

func (r *request) signInFields(name, trouble string) Form {
	f := r.form("Sign in",
		Field{Name: "name", Label: "Name", Value: name, Required: true, Autocomplete: "username", Focus: name == "", Most: 256},
		Field{Kind: "password", Name: "password", Label: "Password", Required: true, Autocomplete: "current-password", Focus: name != "", Most: 1024},
		Field{Kind: "hidden", Name: "next", Value: r.FormValue("next")})
	f.Path, f.Trouble = "/sign-in", trouble
	return f
}

func (r *request) showSignIn(status int, f signInForm) error {
	return r.showDoor(status, door{Title: "Sign in", Lead: r.s.cfg.Enterprise, Content: "signin", Data: f})
}

func (r *request) signIn() error {
	name := r.FormValue("name")
	session, err := r.s.admin.SignIn(r.Request().Context(), admin.SignInRequest{
		Name: name, Password: sallyport.Secret(r.FormValue("password")), Visitor: r.visitor(), Before: r.cookie()})
	switch code := sallyport.ErrorCode(err); code {
	case "":
		r.enter(session)
		return r.onwards()
	case sallyport.CodeDenied, sallyport.CodeLimited:
		return r.showSignIn(httpstatus.Of(code), signInForm{Form: r.signInFields(name, sallyport.ErrorMessage(err))})
	}
	return err
}

// onwards goes to the next step of signing in, and from the last one to where somebody wanted to go.
func (r *request) onwards() error {
	step := stepPath(r.session.Stage())
	to := r.next()
	switch {
	case step == "":
		return r.goTo(to)
	case to == "/":
		return r.goTo(step)
	}
	return r.goTo(step + "?" + query("next", to))
}

func (r *request) signOut() error {
	if err := r.s.admin.SignOut(r.Request().Context(), r.session); err != nil {
		return err
	}
	r.setCookie("")
	return r.goTo("/sign-in")
}

// factorData is what a page shows that asks for the second factor.
type factorData struct {
	CSRF    string
	Next    string
	Replay  string // a form that is sent again afterwards
	Passkey *passkeyAsk
	// CanCode: there is a code generator. Without one a recovery code is still taken.
	Code    Form
	CanCode bool
	Path    string // where the forms go, without their last part
	Cancel  string
}

// passkeyAsk is one half of a passkey's ceremony, for the browser.
type passkeyAsk struct {
	Options string
	State   string
}

func (r *request) factorPage() error { return r.showFactor(http.StatusOK, "") }

func (r *request) showFactor(status int, trouble string) error {
	d, err := r.factorData("/sign-in", trouble)
	if err != nil {
		return err
	}
	return r.showDoor(status, door{Title: "Second step", Lead: "Signing in as " + r.session.Administrator().Name + ".", Content: "factor", Data: d, Scripts: []string{"passkey.js"}})
}

func (r *request) factorData(path, trouble string) (factorData, error) {
	ctx := r.Request().Context()
	have, err := r.s.admin.Factors(ctx, r.session)
	if err != nil {
		return factorData{}, err
	}
	d := factorData{CSRF: r.session.CSRF(), Next: r.FormValue("next"), Replay: r.FormValue("replay"), CanCode: have.TOTP, Path: path}
	ask, err := r.s.admin.AskPasskey(ctx, r.session)
	switch sallyport.ErrorCode(err) {
	case "":
		d.Passkey = &passkeyAsk{string(ask.Options), ask.State}
	case sallyport.CodeNotFound, sallyport.CodeUnsupported:
	default:
		return d, err
	}
	code := Field{Kind: "code", Name: "code", Label: "Code", Help: "Six digits from your authenticator app, or a recovery code.", Required: true, Most: 64, Focus: d.Passkey == nil}
	if !have.TOTP {
		code.Label, code.Help, code.Autocomplete, code.Kind = "Recovery code", "If you cannot use your passkey.", "off", "text"
	}
	d.Code = r.form("Continue", code, Field{Kind: "hidden", Name: "next", Value: d.Next}, Field{Kind: "hidden", Name: "replay", Value: d.Replay})
	d.Code.Path, d.Code.Trouble = path+"/code", trouble
	return d, nil
}

func (r *request) factorCode() error {
	session, err := r.s.admin.CheckCode(r.Request().Context(), r.session, sallyport.Secret(r.FormValue("code")))
	return r.factorShown(session, err)
}

func (r *request) factorPasskey() error {
	session, err := r.s.admin.CheckPasskey(r.Request().Context(), r.session, r.FormValue("state"), []byte(r.FormValue("answer")))
	return r.factorShown(session, err)
}

func (r *request) factorShown(session *admin.Session, err error) error {
	switch code := sallyport.ErrorCode(err); code {
	case "":
		r.enter(session)
		return r.onwards()
	case sallyport.CodeDenied, sallyport.CodeLimited, sallyport.CodeExpired:
		return r.showFactor(httpstatus.Of(code), sallyport.ErrorMessage(err))
	}
	return err
}

// enrolChoice is what the page shows on which somebody chooses their first second factor.
type enrolChoice struct {
	Passkey bool
	Query   template.URL
}

func (r *request) enrolPage() error {
	d := enrolChoice{Passkey: admin.CanPasskey(origin(r.Context))}
	if n := r.FormValue("next"); n != "" {
		d.Query = template.URL("?" + query("next", localPath(n))) // query escaped it
	}
	return r.showDoor(http.StatusOK, door{Title: "Add a second factor", Lead: "Signing in always takes two: your password, and something that only you have.", Content: "enrol", Data: d})
}

// codeEnrolment is what the page shows that sets up a code generator.
type codeEnrolment struct {
	Form
	QR     template.URL
	Secret string
	Back   string
}

func (r *request) enrolCodePage() error {
	offer, err := r.s.admin.OfferTOTP(r.Request().Context(), r.session)
	if err != nil {
		return err
	}
	return r.showEnrolCode(http.StatusOK, offer, nil)
}

func (r *request) showEnrolCode(status int, offer admin.TOTPOffer, wrong error) error {
	d, err := r.codeEnrolment("/sign-in/enrol", offer, wrong)
	if err != nil {
		return err
	}
	return r.showDoor(status, door{Title: "Set up an authenticator app", Content: "enrolcode", Data: d})
}

func (r *request) codeEnrolment(back string, offer admin.TOTPOffer, wrong error) (d codeEnrolment, err error) {
	if d.QR, err = qrPicture(offer.URI); err != nil {
		return d, err
	}
	d.Secret, d.Back = groups(string(offer.Secret)), back
	d.Form = r.form("Continue", Field{Kind: "code", Name: "code", Label: "Code that the app shows", Required: true, Focus: true, Most: 16},
		Field{Kind: "hidden", Name: "state", Value: offer.State}, Field{Kind: "hidden", Name: "next", Value: r.FormValue("next")})
	if wrong != nil {
		var ok bool
		if d.Form, ok = d.Form.with(wrong); !ok {
			return d, wrong
		}
	}
	return d, nil
}

func (r *request) enrolCode() error {
	ctx := r.Request().Context()
	session, codes, err := r.s.admin.EnrolTOTP(ctx, r.session, r.FormValue("state"), sallyport.Secret(r.FormValue("code")))
	if err == nil {
		return r.enrolled(session, codes)
	}
	offer, again := r.s.admin.OfferTOTPAgain(ctx, r.session, r.FormValue("state"))
	if again != nil {
		return again
	}
	return r.showEnrolCode(http.StatusUnprocessableEntity, offer, err)
}

// passkeyEnrolment is what the page shows that makes a passkey.
type passkeyEnrolment struct {
	Form
	Ask  passkeyAsk
	Back string
}

func (r *request) enrolPasskeyPage() error { return r.showEnrolPasskey(http.StatusOK, nil) }

func (r *request) showEnrolPasskey(status int, wrong error) error {
	d, err := r.passkeyEnrolment("/sign-in/enrol", wrong)
	if err != nil {
		return err
	}
	return r.showDoor(status, door{Title: "Make a passkey", Content: "enrolpasskey", Data: d, Scripts: []string{"passkey.js"}})
}

func (r *request) passkeyEnrolment(back string, wrong error) (d passkeyEnrolment, err error) {
	step, err := r.s.admin.OfferPasskey(r.Request().Context(), r.session)
	if err != nil {
		return d, err
	}
	name := r.FormValue("name")
	if name == "" {
		name = "Passkey"
	}
	d.Ask, d.Back = passkeyAsk{string(step.Options), step.State}, back
	d.Form = r.form("Make the passkey", Field{Name: "name", Label: "What it is called", Value: name, Help: "So that you know it again, such as “Work laptop” or “Key on my ring”.", Required: true, Most: 64, Autocomplete: "off"},
		Field{Kind: "hidden", Name: "state", Value: step.State}, Field{Kind: "hidden", Name: "answer"}, Field{Kind: "hidden", Name: "next", Value: r.FormValue("next")})
	if wrong == nil {
		return d, nil
	}
	if sallyport.ErrorCode(wrong) == sallyport.CodeDenied {
		d.Form.Trouble = sallyport.ErrorMessage(wrong)
		return d, nil
	}
	var ok bool
	if d.Form, ok = d.Form.with(wrong); !ok {
		return d, wrong
	}
	return d, nil
}

func (r *request) enrolPasskey() error {
	session, codes, err := r.s.admin.EnrolPasskey(r.Request().Context(), r.session, r.FormValue("state"), r.FormValue("name"), []byte(r.FormValue("answer")))
	if err != nil {
		return r.showEnrolPasskey(http.StatusUnprocessableEntity, err)
	}
	return r.enrolled(session, codes)
}

// recovery is what the page shows that hands out recovery codes.
type recovery struct {
	Codes []string
	All   string
	Next  string
}

// enrolled goes on with a new factor: over the recovery codes, when there are new ones.
func (r *request) enrolled(session *admin.Session, codes []sallyport.Secret) error {
	r.enter(session)
	if len(codes) == 0 {
		return r.onwards()
	}
	next := stepPath(session.Stage())
	if next == "" {
		next = r.next()
	}
	return r.showDoor(http.StatusOK, door{Title: "Keep these recovery codes", Content: "recovery", Data: recoveryOf(codes, next)})
}

func recoveryOf(codes []sallyport.Secret, next string) recovery {
	d := recovery{Next: next}
	for _, c := range codes {
		d.Codes = append(d.Codes, string(c))
	}
	d.All = strings.Join(d.Codes, "\n")
	return d
}

func (r *request) initialPasswordPage() error {
	return r.showInitialPassword(http.StatusOK, r.initialPasswordForm())
}

func (r *request) initialPasswordForm() Form { return r.form("Continue", newPasswordFields()...) }

func newPasswordFields() []Field {
	return []Field{
		{Kind: "password", Name: "password", Label: "New password", Help: "At least 12 characters. Several words make a good one.", Required: true, Autocomplete: "new-password", Most: 1024},
		{Kind: "password", Name: "again", Label: "The same again", Required: true, Autocomplete: "new-password", Most: 1024},
	}
}

func (r *request) showInitialPassword(status int, f Form) error {
	return r.showDoor(status, door{Title: "Choose your password", Lead: "The one that you were given was for the first time only.", Content: "doorform", Data: f})
}

func (r *request) initialPassword() error {
	err := r.changePassword()
	if err == nil {
		return r.goTo("/")
	}
	f, ok := r.initialPasswordForm().with(err)
	if !ok {
		return err
	}
	return r.showInitialPassword(http.StatusUnprocessableEntity, f)
}

func (r *request) changePassword() error {
	if r.FormValue("password") != r.FormValue("again") {
		return sallyport.Errorf(sallyport.CodeInvalid, "The two passwords differ.", admin.FieldErrors{"again": "This is not the same as above."})
	}
	return r.s.admin.ChangePassword(r.Request().Context(), r.session, sallyport.Secret(r.FormValue("before")), sallyport.Secret(r.FormValue("password")))
}

// qrPicture draws a text as a QR code, as a picture that stands in the page itself.
func qrPicture(text sallyport.Secret) (template.URL, error) {
	code, err := qrcode.New(string(text), qrcode.Medium)
	if err != nil {
		return "", err
	}
	png, err := code.PNG(-5) // five dots a module
	if err != nil {
		return "", err
	}
	return template.URL("data:image/png;base64," + base64Of(png)), nil // base64 has nothing to escape
}

// groups writes a secret in groups of four, for typing.
func groups(s string) string {
	var out []string
	for ; len(s) > 4; s = s[4:] {
		out = append(out, s[:4])
	}
	return strings.Join(append(out, s), " ")
}
