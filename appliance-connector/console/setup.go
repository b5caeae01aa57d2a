package console

import (
	"net/http"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

func (s *Server) setupRoutes() {
	s.anybody("GET", "/setup", (*request).setupPage)
	s.anybody("POST", "/setup", (*request).setup)
}

func (r *request) setupForm() Form {
	f := r.form("Create the administrator",
		Field{Name: "code", Label: "Setup code", Value: r.FormValue("code"), Help: "It is in the link that 'sallyport appliance console-link' prints on the appliance.", Required: true, Most: 64, Autocomplete: "off"},
		Field{Name: "display_name", Label: "Your name", Value: r.FormValue("display_name"), Required: true, Most: 100, Autocomplete: "name"},
		Field{Name: "name", Label: "Sign-in name", Value: r.FormValue("name"), Required: true, Most: 64, Autocomplete: "username"},
		Field{Kind: "email", Name: "mail", Label: "E-mail address", Value: r.FormValue("mail"), Help: "Optional: for messages about this appliance.", Most: 254, Autocomplete: "email"})
	f.Fields = append(f.Fields, newPasswordFields()...)
	f.Fields[4].Label = "Password"
	return f
}

func (r *request) setupPage() error {
	need, err := r.s.admin.NeedsSetup(r.Request().Context())
	if err != nil {
		return err
	}
	if !need {
		return r.goTo("/sign-in")
	}
	return r.showSetup(http.StatusOK, r.setupForm())
}

func (r *request) showSetup(status int, f Form) error {
	return r.showDoor(status, door{Title: "Set up the console", Lead: "You become the first super administrator. Others are added later.", Content: "setup", Data: f})
}

func (r *request) setup() error {
	f := r.setupForm()
	err := error(nil)
	var session *admin.Session
	if r.FormValue("password") != r.FormValue("again") {
		err = sallyport.Errorf(sallyport.CodeInvalid, "The two passwords differ.", admin.FieldErrors{"again": "This is not the same as above."})
	} else {
		session, err = r.s.admin.Setup(r.Request().Context(), admin.SetupRequest{
			Code: sallyport.Secret(r.FormValue("code")), Name: r.FormValue("name"), DisplayName: r.FormValue("display_name"),
			Mail: r.FormValue("mail"), Password: sallyport.Secret(r.FormValue("password")), Visitor: r.visitor()})
	}
	if err == nil {
		r.enter(session)
		return r.onwards()
	}
	f, ok := f.with(err)
	if !ok {
		return err
	}
	return r.showSetup(http.StatusUnprocessableEntity, f)
}
