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
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/internal/sealed"
)

// directoryTime is how long a directory may take to answer a form.
const directoryTime = time.Minute

// Rare is the number of the form's first field that is seldom needed: those are folded away.
const rareField = 5

// directoryFormData is the form of a directory's connection, with what was found when it was tried.
type directoryFormData struct {
	Tabs   []Tab
	Form   Form
	New    bool
	Found  *directory.Found
	Facts  []Fact // of what was found
	Delete *Dialog
	View   []Fact // for those who may not change it
}

func (r *request) newDirectoryPage() error {
	return r.showNewDirectory(http.StatusOK, directoryFormData{Form: r.directoryForm(sallyport.Domain{})})
}

func (r *request) showNewDirectory(status int, d directoryFormData) error {
	d.New, d.Form.Cancel = true, "/directories"
	return r.showAs(status, Page{Title: "Add a directory", Lead: "How this appliance reaches the domain. Who of it is synchronised comes next.",
		Crumbs: directoryCrumbs(), Content: "directoryform", Data: d})
}

// directoryForm is the form that shows a domain; the password is not among what it shows.
func (r *request) directoryForm(d sallyport.Domain) Form {
	password := Field{Kind: "password", Name: "bindPassword", Label: "Its password", Required: d.Version == 0 && d.BindPassword == "", Autocomplete: "new-password", Most: 1000}
	if d.Version != 0 {
		password.Help = "Leave it empty to keep the one that is saved. It has to be typed again when a server, the authority or the account is another, so that it goes to nobody new by accident."
	}
	kept := Field{Kind: "hidden", Name: "kept", Value: r.keepPassword(d.BindPassword)}
	if d.BindPassword != "" {
		password.Help = "Kept from what you typed a moment ago. Leave it empty, or type another one."
	}
	return r.form("Save", []Field{
		{Kind: "area", Name: "servers", Label: "Domain controllers", Value: strings.Join(d.Servers, "\n"), Rows: 3, Required: true, Focus: d.Version == 0 && len(d.Servers) == 0,
			Placeholder: "ldaps://dc1.hospital.example", Help: "One a line, in the order in which they are asked; name two or more. ldaps:// is LDAPS, ldap:// is LDAP with StartTLS before anything else. The PDC emulator may be the last one."},
		{Kind: "area", Name: "authority", Label: "Certificate of their issuer", Value: d.Authority, Rows: 4, Placeholder: "-----BEGIN CERTIFICATE-----",
			Help: "In PEM. Empty: the issuers that this appliance’s system trusts. Try shows what a server presents."},
		{Name: "bindName", Label: "Service account", Value: d.BindName, Required: true, Most: 1000, Placeholder: "svc-sallyport@hospital.example", Help: "A log-in name (UPN) or a distinguished name. It needs no rights beyond reading users and groups."},
		password, kept,
		{Kind: "area", Name: "upnSuffixes", Label: "Further UPN suffixes", Value: strings.Join(d.UPNSuffixes, "\n"), Rows: 2, Help: "One a line: suffixes under which an account name is a log-in name, besides those of the users themselves."},
		{Name: "name", Label: "DNS name", Value: d.Name, Most: 253, Placeholder: "hospital.example", Help: "Empty: the directory is asked."},
		{Name: "netbios", Label: "NetBIOS name", Value: d.NetBIOS, Most: 15, Placeholder: "HOSPITAL", Help: "Empty: the directory is asked."},
		{Kind: "checkbox", Name: "untried", Label: "Save it without asking the directory", Checked: r.FormValue("untried") != "", Help: "For a domain that cannot be reached now. It needs both names above."},
		{Kind: "hidden", Name: "version", Value: strconv.FormatInt(d.Version, 10)},
	}...)
}

// readDirectory reads the form over the domain that is there.
func (r *request) readDirectory(d sallyport.Domain) sallyport.Domain {
	d.Servers = nil
	for _, line := range lines(r.FormValue("servers")) {
		if !strings.Contains(line, "://") {
			line = "ldaps://" + line
		}
		d.Servers = append(d.Servers, strings.TrimSuffix(line, "/"))
	}
	d.Authority = strings.TrimSpace(strings.ReplaceAll(r.FormValue("authority"), "\r\n", "\n"))
	if d.Authority != "" {
		d.Authority += "\n"
	}
	d.BindName, d.BindPassword = strings.TrimSpace(r.FormValue("bindName")), sallyport.Secret(r.FormValue("bindPassword"))
	if d.BindPassword == "" {
		d.BindPassword = r.keptPassword()
	}
	d.UPNSuffixes = lines(r.FormValue("upnSuffixes"))
	d.Name, d.NetBIOS = strings.TrimSpace(r.FormValue("name")), strings.TrimSpace(r.FormValue("netbios"))
	return d
}

// A password that was typed to be tried goes back to the browser sealed, so that nobody who looks at the page or
// at the browser's memory of it finds it, and nobody but this session can hand it in.
func (r *request) keepPassword(p sallyport.Secret) string {
	if p == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(sealed.Seal(r.s.cfg.Key, []byte(p), r.keptFor()))
}

func (r *request) keptPassword() sallyport.Secret {
	box, err := base64.RawURLEncoding.DecodeString(r.FormValue("kept"))
	if err != nil || len(box) == 0 {
		return ""
	}
	p, err := sealed.Open(r.s.cfg.Key, box, r.keptFor())
	if err != nil {
		return ""
	}
	return sallyport.Secret(p)
}

func (r *request) keptFor() []byte {
	return sealed.Fields("sallyport/v1 console service account", r.session.CSRF())
}

// tryDirectory tries what the form says when that is asked, and reports whether it was.
func (r *request) tryDirectory(d sallyport.Domain) (data directoryFormData, asked bool, err error) {
	data.Form = r.directoryForm(d)
	if r.FormValue("do") != "try" {
		return data, false, nil
	}
	ctx, cancel := r.within(directoryTime)
	defer cancel()
	found, err := r.s.admin.TryDomain(ctx, r.Actor(), d)
	if err == nil {
		data.Found, data.Facts = &found, foundFacts(found)
		return data, true, nil
	}
	f, ok := data.Form.with(err)
	if ok {
		data.Form, err = f, nil
	}
	return data, true, err
}

// Rare is the first field that is folded away.
func (d directoryFormData) Rare() int { return rareField }

// RareOpen reports whether the fields that are folded away matter now.
func (d directoryFormData) RareOpen() bool {
	return slices.ContainsFunc(d.Form.Fields[rareField:], func(f Field) bool { return f.Error != "" || f.Checked })
}

// status is that of the page with the form in data.
func (d directoryFormData) status() int {
	if d.Found != nil {
		return http.StatusOK
	}
	return http.StatusUnprocessableEntity
}

func (r *request) newDirectory() error {
	d := r.readDirectory(sallyport.Domain{})
	data, asked, err := r.tryDirectory(d)
	if err != nil {
		return err
	}
	if asked {
		return r.showNewDirectory(data.status(), data)
	}
	ctx, cancel := r.within(directoryTime)
	defer cancel()
	saved, err := r.s.admin.PutDomain(ctx, r.Actor(), d, r.FormValue("untried") != "")
	if err == nil {
		return r.done(directoryPath(saved.Domain.ID)+"/scope", "The directory was added. Choose who of it is synchronised, and how often.")
	}
	f, ok := data.Form.with(err)
	if !ok {
		return err
	}
	data.Form = f
	return r.showNewDirectory(http.StatusUnprocessableEntity, data)
}

func (r *request) directoryConnection() error {
	d, err := r.s.admin.Domain(r.Request().Context(), r.Actor(), r.domainID())
	if err != nil {
		return err
	}
	return r.showConnection(http.StatusOK, d, directoryFormData{Form: r.directoryForm(d)})
}

func (r *request) showConnection(status int, d sallyport.Domain, data directoryFormData) error {
	data.Tabs = directoryTabs(d.ID, "connection")
	p := Page{Title: d.Name, Lead: "The domain " + d.NetBIOS, Crumbs: directoryCrumbs(), Content: "directoryform"}
	if !r.May("PutDomain") {
		data.View = []Fact{{"Domain controllers", Cell{Text: strings.Join(d.Servers, ", "), Mono: true}}, {"Service account", Cell{Text: d.BindName, Mono: true}},
			fact("Issuer of the certificates", yesNoWords(d.Authority == "", "the system’s", "given here")), fact("Further UPN suffixes", orNone(strings.Join(d.UPNSuffixes, ", ")))}
	}
	if r.May("DeleteDomain") {
		f := r.form("Delete", Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(d.Version, 10)})
		f.Path, f.Danger = directoryPath(d.ID)+"/delete", true
		data.Delete = &Dialog{ID: "delete", Title: "Delete “" + d.Name + "”?", Text: "Its users are removed ones then, and nobody of the domain can log in any more; assignment rules about it are deleted. The directory itself is not touched.", Form: f}
		p.Actions = []Action{{Label: "Delete", Dialog: "delete", Danger: true}}
	}
	p.Data = data
	return r.showAs(status, p)
}

func (r *request) changeDirectory() error {
	before, err := r.s.admin.Domain(r.Request().Context(), r.Actor(), r.domainID())
	if err != nil {
		return err
	}
	d := r.readDirectory(before)
	d.Version = r.version()
	data, asked, err := r.tryDirectory(d)
	if err != nil {
		return err
	}
	if asked {
		return r.showConnection(data.status(), before, data)
	}
	ctx, cancel := r.within(directoryTime)
	defer cancel()
	if _, err = r.s.admin.PutDomain(ctx, r.Actor(), d, r.FormValue("untried") != ""); err == nil {
		return r.done(directoryPath(d.ID)+"/connection", "Saved. Every appliance uses it within a few seconds.")
	}
	f, ok := data.Form.with(err)
	if !ok {
		return err
	}
	data.Form = f
	return r.showConnection(http.StatusUnprocessableEntity, before, data)
}

func (r *request) deleteDirectory() error {
	return r.orConflict("/directories", "The directory was deleted, and its users with it.", r.s.admin.DeleteDomain(r.Request().Context(), r.Actor(), r.domainID(), r.version()))
}

// foundFacts are what a directory said about itself.
func foundFacts(f directory.Found) []Fact {
	out := []Fact{{"Domain", Cell{Text: f.DNSName, Sub: f.NetBIOS}}, {"Users are looked for below", Cell{Text: f.Base, Mono: true}}, fact("Accounts are locked", lockoutWords(f.Lockout))}
	if f.PDC != "" {
		out = append(out, fact("PDC emulator", f.PDC))
	}
	return out
}

func lockoutWords(l directory.Lockout) string {
	if l.Threshold == 0 {
		return "never"
	}
	words := fmt.Sprintf("after %s", plural(l.Threshold, "wrong password", "wrong passwords"))
	if l.Duration == 0 {
		return words + ", until somebody unlocks them"
	}
	return words + ", for " + span(l.Duration)
}

func yesNoWords(yes bool, one, other string) string {
	if yes {
		return one
	}
	return other
}
