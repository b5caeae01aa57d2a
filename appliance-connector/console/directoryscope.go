package console

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport"
)

// scopeData is the page on which it is chosen who of a directory is synchronised.
type scopeData struct {
	Tabs      []Tab
	CSRF      string
	Trouble   string
	Version   string
	Base      string
	Domain    string
	Chosen    []sallyport.DirectoryObject
	Every     Field
	Picker    Picker
	MayChange bool
	New       bool // it was never synchronised: the interval is still to be chosen
}

func (r *request) directoryScope() error {
	ctx := r.Request().Context()
	d, err := r.s.admin.Domain(ctx, r.Actor(), r.domainID())
	if err != nil {
		return err
	}
	runs, err := r.s.admin.Synchronisations(ctx, r.Actor(), d.ID, 1)
	if err != nil {
		return err
	}
	isNew := d.Version == 1 && d.Every == 0 && len(runs) == 0
	if isNew {
		d.Every = time.Hour
	}
	return r.showScope(http.StatusOK, scoped{domain: d, isNew: isNew})
}

// scoped is what the page is to show: a domain as it would be saved, and what was wrong.
type scoped struct {
	domain           sallyport.Domain
	dnError, trouble string
	isNew            bool
}

func (r *request) showScope(status int, in scoped) error {
	d := in.domain
	data := scopeData{Tabs: directoryTabs(d.ID, "scope"), CSRF: r.session.CSRF(), Trouble: in.trouble, Version: strconv.FormatInt(d.Version, 10), Base: d.Base,
		Domain: d.Name, Chosen: d.Scope, MayChange: r.May("PutDomain"), New: in.isNew,
		Every: Field{Kind: "select", Name: "every", Label: "Synchronise", Options: everyOptions(d.Every),
			Help: "What changed is read each time, and everything once a day. To look at the preview before anything happens, choose “on demand only” first."}}
	if data.MayChange {
		data.Picker = r.pick(d.ID, func(o sallyport.DirectoryObject) []PickAct { return scopeActs(d, o) })
		if data.Picker.DNError = in.dnError; in.dnError != "" {
			data.Picker.DN = clip(r.FormValue("dn"), mostDN)
		}
	} else {
		data.Every.Value = everyWords(d.Every)
	}
	return r.showAs(status, Page{Title: d.Name, Lead: "The domain " + d.NetBIOS, Crumbs: directoryCrumbs(), Content: "directoryscope", Data: data})
}

func scopeActs(d sallyport.Domain, o sallyport.DirectoryObject) (acts []PickAct) {
	add := PickAct{Do: "add|" + objectValue(o), Label: "Add"}
	if i := indexOf(d.Scope, o); i >= 0 {
		add = PickAct{Do: "remove|" + objectValue(d.Scope[i]), Label: "Remove", Chosen: true}
	}
	if o.Kind == sallyport.ObjectOU {
		base := PickAct{Do: "base|" + o.DN, Label: "As base"}
		if sallyport.SameDN(d.Base, o.DN) {
			base = PickAct{Do: "base|", Label: "Not the base", Chosen: true}
		}
		acts = append(acts, base)
	}
	return append(acts, add)
}

func indexOf(list []sallyport.DirectoryObject, o sallyport.DirectoryObject) int {
	return slices.IndexFunc(list, func(x sallyport.DirectoryObject) bool { return sameObject(x, o) })
}

// readScope reads the form over the domain that is there.
func (r *request) readScope(d sallyport.Domain) (sallyport.Domain, error) {
	form, err := r.FormParams()
	if err != nil {
		return d, err
	}
	d.Version, d.Base, d.Scope = r.version(), clip(form.Get("base"), mostDN), nil
	if d.Every, err = time.ParseDuration(form.Get("every")); err != nil {
		d.Every = 0
	}
	for _, value := range form["chosen"] {
		if o, ok := readObject(value); ok && indexOf(d.Scope, o) < 0 {
			d.Scope = append(d.Scope, o)
		}
	}
	return d, nil
}

// changeDirectoryScope does what one of the page's buttons asks for: what is chosen stays in the form until it is saved.
func (r *request) changeDirectoryScope() error {
	ctx, cancel := r.within(directoryTime)
	defer cancel()
	before, err := r.s.admin.Domain(ctx, r.Actor(), r.domainID())
	if err != nil {
		return err
	}
	d, err := r.readScope(before)
	if err != nil {
		return err
	}
	isNew := r.FormValue("new") != ""
	verb, about := r.doing()
	if verb == "save" {
		return r.saveScope(before, d, isNew)
	}
	dnError := ""
	switch verb {
	case "base":
		d.Base = clip(about, mostDN)
	case "add":
		if o, ok := readObject(about); ok && indexOf(d.Scope, o) < 0 {
			d.Scope = append(d.Scope, o)
		}
	case "remove":
		if o, ok := readObject(about); ok {
			d.Scope = slices.DeleteFunc(d.Scope, func(x sallyport.DirectoryObject) bool { return sameObject(x, o) })
		}
	case "type":
		var o sallyport.DirectoryObject
		if o, dnError = r.typedObject(d.ID); dnError == "" && indexOf(d.Scope, o) < 0 {
			d.Scope = append(d.Scope, o)
		}
	}
	return r.showScope(http.StatusOK, scoped{domain: d, dnError: dnError, isNew: isNew})
}

func (r *request) saveScope(before, d sallyport.Domain, isNew bool) error {
	ctx, cancel := r.within(directoryTime)
	defer cancel()
	// A directory that does not answer now cannot say whether it has the new base; the other choices are no question to it.
	_, err := r.s.admin.PutDomain(ctx, r.Actor(), d, sallyport.SameDN(before.Base, d.Base) || before.Base == d.Base)
	if err == nil {
		note := "Saved. The next synchronisation reads everything."
		if isNew && d.Every > 0 {
			note = "Saved. The first synchronisation begins within a few seconds."
		}
		return r.done(directoryPath(d.ID), note)
	}
	wrong, ok := words(err)
	if !ok {
		return err
	}
	return r.showScope(http.StatusUnprocessableEntity, scoped{domain: d, trouble: wrong, isNew: isNew})
}
