package adminapi

import (
	"net/http"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/appliance-connector/usersync"
)

func domainHandlers() map[string]handler {
	return map[string]handler{
		"listDomains": (*call).listDomains, "getDomain": (*call).getDomain, "tryDomain": (*call).tryDomain, "listTree": (*call).listTree,
		"findGroups": (*call).findGroups, "getDirectoryObject": (*call).getDirectoryObject, "listSynchronisations": (*call).listSynchronisations,
		"startSynchronisation": (*call).startSynchronisation, "previewSynchronisation": (*call).previewSynchronisation,
	}
}

// domainInput is what can be said of a domain.
type domainInput struct {
	ID           sallyport.DomainID          `json:"id,omitempty"`
	Name         string                      `json:"name"`
	NetBIOS      string                      `json:"netbios"`
	Servers      []string                    `json:"servers"`
	Authority    string                      `json:"authority"`
	BindName     string                      `json:"bindName"`
	Base         string                      `json:"base"`
	UPNSuffixes  []string                    `json:"upnSuffixes"`
	Scope        []sallyport.DirectoryObject `json:"scope"`
	EveryMinutes int64                       `json:"everyMinutes"`
}

// domain is one without its password.
type domain struct {
	domainInput
	Version int64 `json:"version"`
}

func showDomain(d sallyport.Domain) domain {
	return domain{domainInput{d.ID, d.Name, d.NetBIOS, orEmpty(d.Servers), d.Authority, d.BindName, d.Base, orEmpty(d.UPNSuffixes), orEmpty(d.Scope),
		int64(d.Every / time.Minute)}, d.Version}
}

// domainStatus is a domain and how it is doing.
type domainStatus struct {
	Domain    domain           `json:"domain"`
	Users     int              `json:"users"`
	Enrolled  int              `json:"enrolled"`
	Problem   string           `json:"problem,omitempty"`
	Last      *synchronisation `json:"last,omitempty"`
	Scheduled bool             `json:"scheduled"`
	Next      *time.Time       `json:"next,omitempty"`
}

func (c *call) domain() sallyport.DomainID { return sallyport.DomainID(c.text("domain")) }

func (c *call) listDomains() error {
	list, err := c.admin().Domains(c.ctx(), c.actor)
	if err != nil {
		return err
	}
	return part(c, list, func(d admin.DomainStatus) string { return byName(d.Domain.Name, string(d.Domain.ID)) }, func(d admin.DomainStatus) domainStatus {
		v := domainStatus{Domain: showDomain(d.Domain), Users: d.Users, Enrolled: d.Enrolled, Problem: d.Problem, Scheduled: d.Scheduled, Next: stamp(d.Next)}
		if d.Last.ID != "" {
			last := showSynchronisation(d.Last)
			v.Last = &last
		}
		return v
	})
}

func (c *call) getDomain() error {
	d, err := c.admin().Domain(c.ctx(), c.actor, c.domain())
	if err != nil {
		return err
	}
	return c.versioned(http.StatusOK, d.Version, showDomain(d))
}

// foundDomain is what a domain said of itself.
type foundDomain struct {
	Name    string `json:"name"`
	NetBIOS string `json:"netbios"`
	Base    string `json:"base"`
	PDC     string `json:"pdc,omitempty"`
	Lockout struct {
		Threshold       int   `json:"threshold"`
		DurationSeconds int64 `json:"durationSeconds"`
		WindowSeconds   int64 `json:"windowSeconds"`
	} `json:"lockout"`
	Warnings []string `json:"warnings"`
}

func (c *call) tryDomain() error {
	var in struct {
		domainInput
		BindPassword string `json:"bindPassword"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	f, err := c.admin().TryDomain(c.ctx(), c.actor, sallyport.Domain{ID: in.ID, Name: in.Name, NetBIOS: in.NetBIOS, Servers: in.Servers, Authority: in.Authority,
		BindName: in.BindName, BindPassword: sallyport.Secret(in.BindPassword), Base: in.Base, UPNSuffixes: in.UPNSuffixes, Scope: in.Scope,
		Every: time.Duration(in.EveryMinutes) * time.Minute})
	if err != nil {
		return err
	}
	v := foundDomain{Name: f.DNSName, NetBIOS: f.NetBIOS, Base: f.Base, PDC: f.PDC, Warnings: orEmpty(f.Warnings)}
	v.Lockout.Threshold = f.Lockout.Threshold
	v.Lockout.DurationSeconds, v.Lockout.WindowSeconds = int64(f.Lockout.Duration/time.Second), int64(f.Lockout.Window/time.Second)
	return c.answer(v)
}

// branch is an OU or a group of the directory.
type branch struct {
	Kind        sallyport.ObjectKind `json:"kind"`
	DN          string               `json:"dn"`
	Name        string               `json:"name"`
	Description string               `json:"description,omitempty"`
}

// branches are found in the directory; More says that there are others.
type branches struct {
	Items []branch `json:"items"`
	More  bool     `json:"more"`
}

func showBranches(list []directory.Branch, more bool) branches {
	out := branches{[]branch{}, more}
	for _, b := range list {
		out.Items = append(out.Items, branch{b.Kind, b.DN, b.Name, b.Description})
	}
	return out
}

func (c *call) listTree() error {
	list, more, err := c.admin().DomainTree(c.ctx(), c.actor, c.domain(), c.text("parent"))
	if err != nil {
		return err
	}
	return c.answer(showBranches(list, more))
}

func (c *call) findGroups() error {
	list, err := c.admin().FindGroups(c.ctx(), c.actor, c.domain(), c.text("q"))
	if err != nil {
		return err
	}
	return c.answer(showBranches(list, len(list) >= admin.MaxGroupsFound))
}

func (c *call) getDirectoryObject() error {
	o, err := c.admin().DirectoryObject(c.ctx(), c.actor, c.domain(), c.text("dn"))
	if err != nil {
		return err
	}
	return c.answer(o)
}

// synchronisation is one run of reading a domain's users.
type synchronisation struct {
	ID      string                         `json:"id"`
	Domain  sallyport.DomainID             `json:"domain"`
	Kind    sallyport.SynchronisationKind  `json:"kind"`
	State   sallyport.SynchronisationState `json:"state"`
	Started *time.Time                     `json:"started,omitempty"`
	Ended   *time.Time                     `json:"ended,omitempty"`
	By      string                         `json:"by"`
	Read    int                            `json:"read"`
	Added   int                            `json:"added"`
	Changed int                            `json:"changed"`
	Removed int                            `json:"removed"`
	Message string                         `json:"message,omitempty"`
}

func showSynchronisation(s sallyport.Synchronisation) synchronisation {
	return synchronisation{s.ID, s.Domain, s.Kind, s.State, stamp(s.Started), stamp(s.Ended), s.By, s.Read, s.Added, s.Changed, s.Removed, s.Message}
}

// allRuns is more than the appliance keeps of a domain's synchronisations.
const allRuns = 1000

func (c *call) listSynchronisations() error {
	if _, err := c.admin().Domain(c.ctx(), c.actor, c.domain()); err != nil {
		return err
	}
	list, err := c.admin().Synchronisations(c.ctx(), c.actor, c.domain(), allRuns)
	if err != nil {
		return err
	}
	return part(c, list, func(s sallyport.Synchronisation) string { return newestFirst(s.Started, s.ID) }, showSynchronisation)
}

func (c *call) startSynchronisation() error {
	var in struct {
		Kind sallyport.SynchronisationKind `json:"kind"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	run, err := c.admin().Synchronise(c.ctx(), c.actor, c.domain(), in.Kind)
	if err != nil {
		return err
	}
	return c.send(http.StatusAccepted, showSynchronisation(run))
}

func (c *call) previewSynchronisation() error {
	p, err := c.admin().PreviewSynchronisation(c.ctx(), c.actor, c.domain(), int(c.number("limit")))
	if err != nil {
		return err
	}
	return c.answer(struct {
		Run     synchronisation       `json:"run"`
		Added   []usersync.Difference `json:"added"`
		Changed []usersync.Difference `json:"changed"`
		Removed []usersync.Difference `json:"removed"`
		Asks    bool                  `json:"asks"`
	}{showSynchronisation(p.Run), orEmpty(p.Added), orEmpty(p.Changed), orEmpty(p.Removed), p.Asks})
}
