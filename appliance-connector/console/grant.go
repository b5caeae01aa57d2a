package console

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport"
)

func (s *Server) grantRoutes() {
	s.page("/administrators/roles", "RoleGrants", (*request).grants)
	s.page("/administrators/roles/new", "SetRoleGrants", (*request).newGrantPage)
	s.act("/administrators/roles/new", "SetRoleGrants", (*request).newGrant)
	s.act("/administrators/roles/change", "SetRoleGrants", (*request).changeGrants)
}

// grantsPage is the list of groups with a role.
type grantsPage struct {
	listPage
	Dialogs []Dialog
}

func (r *request) grants() error {
	list, version, err := r.s.admin.RoleGrants(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	d := grantsPage{listPage: listPage{Tabs: administratorTabs("roles"), Table: Table{ID: "grants", Caption: "Directory groups with a role",
		Columns: []Column{{Label: "Order"}, {Label: "Group"}, {Label: "Role"}, {Label: "Looks after"}, {Label: ""}},
		Empty:   Empty{Title: "No group has a role", Text: "Give a directory group a role, and its members can sign in with their own password and a second factor."}}}}
	may := r.May("SetRoleGrants")
	if may {
		d.Table.Empty.Action = Link{"Add a group", "/administrators/roles/new"}
	}
	for i, g := range list {
		row := []Cell{{Text: strconv.Itoa(i + 1)}, {Text: commonName(g.Group), Sub: g.Group}, {Text: roleName(g.Role)}, {Text: scopeWords(g.Scope)}, {}}
		if may {
			id := fmt.Sprintf("remove-grant-%d", i)
			row[4] = Cell{Text: "Remove", Dialog: id, Danger: true}
			f := r.form("Remove the group", Field{Kind: "hidden", Name: "remove", Value: strconv.Itoa(i)}, Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(version, 10)})
			f.Path, f.Danger = "/administrators/roles/change", true
			d.Dialogs = append(d.Dialogs, Dialog{ID: id, Title: "Take the role from " + commonName(g.Group) + "?", Text: "Its members cannot sign in any more, unless another group gives them a role. Who is signed in now stays so until the session ends.", Form: f})
		}
		d.Table.Rows = append(d.Table.Rows, row)
	}
	p := Page{Title: "Administrators", Lead: "Members of a directory group, nested ones included, have its role. Who is in several has the role of the first in the list.", Content: "grants", Data: d}
	if may && len(list) > 0 {
		p.Actions = []Action{{Label: "Add a group", Path: "/administrators/roles/new"}}
	}
	return r.show(p)
}

// commonName is the first part of a DN, for people.
func commonName(dn string) string {
	start := 0
	for i := range dn {
		if dn[i] == '=' && start == 0 {
			start = i + 1
		}
		if dn[i] == ',' && i > 0 && dn[i-1] != '\\' {
			return dn[start:i]
		}
	}
	return dn[start:]
}

func (r *request) grantForm(version int64) (Form, error) {
	domains, err := r.s.admin.GrantDomains(r.Request().Context(), r.Actor())
	if err != nil {
		return Form{}, err
	}
	var choice []Option
	for _, id := range slices.SortedFunc(maps.Keys(domains), func(a, b sallyport.DomainID) int { return strings.Compare(domains[a], domains[b]) }) {
		choice = append(choice, Option{Value: string(id), Label: domains[id], Chosen: string(id) == r.FormValue("domain")})
	}
	role := sallyport.Role(r.FormValue("role"))
	if role == "" {
		role = sallyport.RoleHelpDesk
	}
	f := r.form("Add the group",
		Field{Kind: "select", Name: "domain", Label: "Domain", Options: choice, Required: true},
		Field{Name: "group", Label: "Group", Value: r.FormValue("group"), Placeholder: "CN=VPN help desk,OU=Groups,DC=hospital,DC=test", Help: "The group’s distinguished name.", Required: true, Focus: true, Most: 400, Autocomplete: "off"},
		Field{Kind: "radio", Name: "role", Label: "Role of its members", Options: roleOptions(sallyport.RoleSuper, role), Required: true},
		Field{Kind: "area", Name: "ous", Label: "Look after", Value: r.FormValue("ous"), Rows: 3, Help: "Distinguished names of OUs, one a line. Leave it empty for everybody."},
		Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(version, 10)})
	f.Cancel = "/administrators/roles"
	if len(domains) == 0 {
		f.Trouble = "There is no directory yet whose groups could have a role. Add one first."
	}
	return f, nil
}

func (r *request) showNewGrant(status int, f Form) error {
	return r.showAs(status, Page{Title: "Give a group a role", Crumbs: append(administratorCrumbs(), Link{"Roles by group", "/administrators/roles"}), Content: "formpage", Data: f})
}

func (r *request) newGrantPage() error {
	_, version, err := r.s.admin.RoleGrants(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	f, err := r.grantForm(version)
	if err != nil {
		return err
	}
	return r.showNewGrant(http.StatusOK, f)
}

// formVersion is the version of what a form changes: what it was when the page was opened.
func (r *request) formVersion() (int64, error) {
	v, err := strconv.ParseInt(r.FormValue("version"), 10, 64)
	if err != nil {
		return 0, sallyport.Errorf(sallyport.CodeInvalid, "The form is not complete. Open the page again.", err)
	}
	return v, nil
}

func (r *request) newGrant() error {
	ctx := r.Request().Context()
	version, err := r.formVersion()
	if err != nil {
		return err
	}
	list, _, err := r.s.admin.RoleGrants(ctx, r.Actor())
	if err != nil {
		return err
	}
	g := sallyport.RoleGrant{Domain: sallyport.DomainID(r.FormValue("domain")), Group: r.FormValue("group"), Role: sallyport.Role(r.FormValue("role")), Scope: sallyport.Scope{OUs: lines(r.FormValue("ous"))}}
	if err = r.s.admin.SetRoleGrants(ctx, r.Actor(), append(slices.Clone(list), g), version); err == nil {
		return r.done("/administrators/roles", commonName(g.Group)+" has the role now.")
	}
	f, ferr := r.grantForm(version)
	if ferr != nil {
		return ferr
	}
	f, ok := f.with(err)
	if !ok {
		return err
	}
	return r.showNewGrant(http.StatusUnprocessableEntity, f)
}

func (r *request) changeGrants() error {
	ctx := r.Request().Context()
	version, err := r.formVersion()
	if err != nil {
		return err
	}
	list, _, err := r.s.admin.RoleGrants(ctx, r.Actor())
	if err != nil {
		return err
	}
	i, err := strconv.Atoi(r.FormValue("remove"))
	if err != nil || i < 0 || i >= len(list) {
		return sallyport.Errorf(sallyport.CodeNotFound, "This group has no role any more.", err)
	}
	return r.orConflict("/administrators/roles", "The group has no role any more.", r.s.admin.SetRoleGrants(ctx, r.Actor(), slices.Delete(slices.Clone(list), i, i+1), version))
}
