package console

import "github.com/sallyport/sallyport"

func (s *Server) userPasskeyRoutes() {
	s.act("/users/:id/passkeys/:passkey/delete", "DeleteUserPasskey", (*request).deleteUserPasskey)
}

// passkeysCard shows a user's passkeys.
func (r *request) passkeysCard(d userData) Card {
	t := &Table{ID: "passkeys", Caption: "Passkeys", Columns: []Column{{Label: "Passkey"}, {Label: "Enrolled"}, {Label: "Used last"}, {}},
		Empty: Empty{Title: "No passkey", Text: "The user enrols one at the gateway, where the workflow policy allows passkeys and the enrol rule asks for it."}}
	for _, p := range d.passkeys {
		row := []Cell{{Text: p.Name, Sub: "for " + p.Host}, {Time: p.Enrolled}, {Time: p.Used, Text: "not yet"}, {}}
		if !p.Copied.IsZero() {
			row[0].Sub = "Not taken any more: there may be a copy of it. For " + p.Host
		}
		if r.May("DeleteUserPasskey") {
			row[3] = Cell{Text: "Delete", Dialog: "delete-" + string(p.ID), Danger: true}
		}
		t.Rows = append(t.Rows, row)
	}
	return Card{Title: "Passkeys", Table: t}
}

func (r *request) passkeyDialogs(d userData) (out []Dialog) {
	if !r.May("DeleteUserPasskey") {
		return nil
	}
	for _, p := range d.passkeys {
		f := r.form("Delete passkey")
		f.Path, f.Danger = r.userPath()+"/passkeys/"+string(p.ID)+"/delete", true
		out = append(out, Dialog{ID: "delete-" + string(p.ID), Title: "Delete “" + p.Name + "”?",
			Text: "It opens nothing any more. The user enrols it, or another one, anew.", Form: f})
	}
	return out
}

func (r *request) deleteUserPasskey() error {
	return r.orConflict(r.userPath(), "The passkey was deleted.",
		r.s.admin.DeleteUserPasskey(r.Request().Context(), r.Actor(), r.userID(), sallyport.PasskeyID(r.Param("passkey"))))
}
