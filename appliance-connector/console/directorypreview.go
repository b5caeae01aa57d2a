package console

import (
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/usersync"
)

const (
	// previewTime is how long a preview may read.
	previewTime = 10 * time.Minute
	// mostPreviewed is how many users of each kind it shows.
	mostPreviewed = 100
)

// previewData is what the page of the preview shows.
type previewData struct {
	CSRF    string
	Trouble string
	Done    bool
	Read    string
	Asks    *Alert
	Parts   []previewPart
	Back    string
}

// previewPart is one kind of difference.
type previewPart struct {
	Key, Title, Text string
	Table            Table
}

func (r *request) previewPage() error {
	d, err := r.s.admin.Domain(r.Request().Context(), r.Actor(), r.domainID())
	if err != nil {
		return err
	}
	return r.showPreview(http.StatusOK, d, previewData{})
}

func (r *request) showPreview(status int, d sallyport.Domain, data previewData) error {
	data.CSRF, data.Back = r.session.CSRF(), directoryPath(d.ID)
	return r.showAs(status, Page{Title: "Preview", Lead: "What a full synchronisation would do, without doing it.",
		Crumbs: append(directoryCrumbs(), Link{d.Name, directoryPath(d.ID)}), Content: "directorypreview", Data: data})
}

func (r *request) preview() error {
	ctx, cancel := r.within(previewTime)
	defer cancel()
	d, err := r.s.admin.Domain(ctx, r.Actor(), r.domainID())
	if err != nil {
		return err
	}
	policies, err := r.s.admin.UserPolicies(ctx, r.Actor())
	if err != nil {
		return err
	}
	p, err := r.s.admin.PreviewSynchronisation(ctx, r.Actor(), d.ID, mostPreviewed)
	if err != nil {
		data := previewData{Trouble: sallyport.ErrorMessage(err)}
		if sallyport.ErrorCode(err) == sallyport.CodeInternal {
			return err
		}
		return r.showPreview(http.StatusUnprocessableEntity, d, data)
	}
	return r.showPreview(http.StatusOK, d, previewOf(p, policies))
}

func previewOf(p usersync.Preview, policies []store.PolicyWithUsers) previewData {
	names := policyNames(policies)
	data := previewData{Done: true, Read: plural(p.Run.Read, "user was read.", "users were read."), Parts: []previewPart{
		part("added", "Added", p.Run.Added, p.Added, "Nobody would be added.", names),
		part("changed", "Changed", p.Run.Changed, p.Changed, "Nobody would be changed.", names),
		part("removed", "Removed", p.Run.Removed, p.Removed, "Nobody would be removed.", names)}}
	if p.Asks {
		data.Asks = &Alert{"warn", "It would ask before it removes anybody", "That many users would be removed at once. If it is not what you expect, look at who is synchronised, and at what the service account may see."}
	}
	return data
}

func part(key, title string, count int, list []usersync.Difference, none string, policies map[sallyport.UserPolicyID]string) previewPart {
	p := previewPart{Key: key, Title: title + ": " + plural(count, "user", "users"),
		Table: Table{ID: key, Caption: title, Columns: []Column{{Label: "Name"}, {Label: "Account"}, {Label: "User policy"}, {Label: "In the directory"}}, Empty: Empty{Title: none}}}
	if len(list) < count {
		p.Text = "The first " + plural(len(list), "user", "users") + " of them:"
	}
	if key == "changed" {
		p.Table.Columns = append(p.Table.Columns, Column{Label: "What changes"})
	}
	for _, d := range list {
		name := d.DisplayName
		if name == "" {
			name = d.Account.User()
		}
		row := []Cell{{Text: name}, {Text: string(d.Account), Mono: true}, {Text: policies[d.Policy]}, {Text: d.DN, Mono: true}}
		if key == "changed" {
			row = append(row, Cell{Text: changedWords(d.Fields)})
		}
		p.Table.Rows = append(p.Table.Rows, row)
	}
	return p
}

// changedWords names the fields that change as the page of a user does.
func changedWords(fields []string) string {
	out := make([]string, len(fields))
	for i, f := range fields {
		switch f {
		case "upn":
			out[i] = "log-in name"
		case "dn":
			out[i] = "place in the directory"
		case "displayName":
			out[i] = "name"
		case "mail":
			out[i] = "e-mail address"
		case "policy":
			out[i] = "user policy"
		default:
			out[i] = f
		}
	}
	return strings.Join(out, ", ")
}
