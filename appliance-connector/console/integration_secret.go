package console

import (
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// secretChange is what the page shows on which a gateway's secret is changed.
type secretChange struct {
	Running []Fact // of the change that goes on
	End     *Form  // ends it
	Form    Form
}

func overlaps(chosen string) []Option {
	return options(chosen, "1h", "1 hour", "24h", "1 day", "48h", "2 days", "168h", "7 days", "720h", "30 days", "0s", "Not at all: the old one is refused at once")
}

func (r *request) secretForm(in sallyport.Integration, own bool, overlap string) Form {
	fields := append(secretFields(own), Field{Kind: "select", Name: "overlap", Label: "Take the old secret as well for", Options: overlaps(overlap),
		Help: "Meanwhile enter the new one at the gateway. Each request is answered under the secret that it used, so nobody notices."},
		Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(in.Version, 10)})
	f := r.form("Change the secret", fields...)
	f.Cancel = integrationPath(in.ID)
	return f
}

func (r *request) secretPage() error {
	in, err := r.readIntegration()
	if err != nil {
		return err
	}
	return r.showSecret(http.StatusOK, in, r.secretForm(in, false, "24h"))
}

func (r *request) showSecret(status int, in sallyport.Integration, f Form) error {
	d := secretChange{Form: f}
	if !in.PreviousUntil.IsZero() {
		health, err := r.s.admin.IntegrationHealth(r.Request().Context(), r.Actor(), in.ID)
		if err != nil {
			return err
		}
		d.Running = []Fact{{"The secret before", overlapCell(in, health.Appliances)}}
		end := r.form("End the overlap now", Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(in.Version, 10)})
		end.Path, end.Danger = integrationPath(in.ID)+"/secret/end", true
		d.End = &end
	}
	return r.showAs(status, Page{Title: "Change the secret", Lead: "Without an outage: for a while both the old and the new one are taken.",
		Crumbs: integrationCrumbs(Link{in.Nickname, integrationPath(in.ID)}), Content: "secretchange", Data: d})
}

func (r *request) rotateSecret() error {
	in, err := r.readIntegration()
	if err != nil {
		return err
	}
	secret, err := r.readSecret()
	overlap, perr := time.ParseDuration(r.FormValue("overlap"))
	if err == nil && perr != nil {
		err = admin.FieldErrors{"overlap": "Choose for how long."}
	}
	var saved admin.SavedIntegration
	if err == nil {
		saved, err = r.s.admin.RotateIntegrationSecret(r.Request().Context(), r.Actor(), in.ID, r.version(), secret, overlap)
	}
	if err == nil {
		return r.showRotated(saved)
	}
	f, ok := r.secretForm(in, r.FormValue("secretKind") == "own", r.FormValue("overlap")).with(err)
	if !ok {
		return err
	}
	return r.showSecret(unprocessable, in, f)
}

// rotated is what is shown after a change of the secret.
type rotated struct {
	Secret   *Code // nil: the person has it
	Warnings []string
	Until    time.Time // zero: the old one is refused already
	Next     Link
}

func (r *request) showRotated(saved admin.SavedIntegration) error {
	in := saved.Integration
	d := rotated{Until: in.PreviousUntil, Next: Link{"Go on", integrationPath(in.ID)}, Warnings: saved.Warnings}
	if saved.Secret != "" {
		d.Secret = &Code{Label: "New RADIUS secret", Text: string(saved.Secret), Once: true}
	}
	return r.show(Page{Title: "The secret was changed", Crumbs: integrationCrumbs(Link{in.Nickname, integrationPath(in.ID)}), Content: "rotated", Data: d})
}

func (r *request) endOverlap() error {
	id := r.integrationID()
	_, err := r.s.admin.EndIntegrationOverlap(r.Request().Context(), r.Actor(), id, r.version())
	return r.orConflict(integrationPath(id), "Only the new secret is taken now.", err)
}
