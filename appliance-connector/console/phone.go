package console

import (
	"net/http"

	"github.com/sallyport/sallyport"
)

func (s *Server) phoneRoutes() {
	s.act("/users/:id/phones", "AddPhone", (*request).addPhone)
	s.act("/users/:id/phones/:phone/delete", "DeletePhone", (*request).deletePhone)
}

func (r *request) phoneForm(typed string) Form {
	f := r.form("Add", Field{Name: "number", Label: "Phone number", Value: typed, Required: true, Most: 64, Autocomplete: "off", Placeholder: "+44 7700 900123",
		Help: "Codes are sent there. Make sure whose phone it is."})
	f.Path = r.userPath() + "/phones"
	return f
}

// phonesCard shows a user's phone numbers by their last two digits; add is the form when something is wrong in it.
func (r *request) phonesCard(d userData, add *Form) Card {
	t := &Table{ID: "phones", Caption: "Phone numbers", Columns: []Column{{Label: "Number"}, {Label: "Enrolled"}, {}},
		Empty: Empty{Title: "No phone number", Text: "Codes by text message need one. The user enrols it at the gateway, where the enrol rule allows it, or it is added here."}}
	for _, p := range d.phones {
		row := []Cell{{Text: "ends in " + p.Number.Tail()}, {Time: p.Enrolled}, {}}
		if r.May("DeletePhone") {
			row[2] = Cell{Text: "Delete", Dialog: "delete-" + string(p.ID), Danger: true}
		}
		t.Rows = append(t.Rows, row)
	}
	c := Card{Title: "Phone numbers", Table: t}
	if r.May("AddPhone") && d.user.State != sallyport.UserRemoved && len(d.phones) < sallyport.PhonesMost {
		if add == nil {
			f := r.phoneForm("")
			add = &f
		}
		c.Form = add
	}
	return c
}

func (r *request) phoneDialogs(d userData) (out []Dialog) {
	if !r.May("DeletePhone") {
		return nil
	}
	for _, p := range d.phones {
		f := r.form("Delete phone number")
		f.Path, f.Danger = r.userPath()+"/phones/"+string(p.ID)+"/delete", true
		out = append(out, Dialog{ID: "delete-" + string(p.ID), Title: "Delete the number that ends in " + p.Number.Tail() + "?",
			Text: "No codes are sent there any more. The user enrols it, or another one, anew.", Form: f})
	}
	return out
}

func (r *request) addPhone() error {
	typed := r.FormValue("number")
	p, err := r.s.admin.AddPhone(r.Request().Context(), r.Actor(), r.userID(), typed)
	if err == nil {
		return r.done(r.userPath(), "The number that ends in "+p.Number.Tail()+" was added.")
	}
	f, ok := r.phoneForm(typed).with(err)
	if !ok {
		return err
	}
	d, rerr := r.readUser()
	if rerr != nil {
		return rerr
	}
	d.addPhone = &f
	return r.showUser(http.StatusUnprocessableEntity, d, nil)
}

func (r *request) deletePhone() error {
	return r.orConflict(r.userPath(), "The phone number was deleted.", r.s.admin.DeletePhone(r.Request().Context(), r.Actor(), r.userID(), sallyport.PhoneID(r.Param("phone"))))
}
