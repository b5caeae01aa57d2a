package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// Watched is what the overview asks of the running appliance. Each may be nil.
type Watched struct {
	// Parts are asked whether they work; an error says what to look at.
	Parts []Part
	// Streams tells of the tunnel.
	Streams func() Tunnel
	// Version is the program's, Appliance the one that it runs on.
	Version   string
	Appliance sallyport.ApplianceID
	// CertificateEnds is when the console's certificate does.
	CertificateEnds func() time.Time
	// OwnCertificate: the console's certificate is made by the appliance itself.
	OwnCertificate bool
}

// Part is one part of the appliance that can be well or not.
type Part struct {
	Name  string // for people: "Directory"
	Check func(context.Context) error
	// Help says what to do when it is not well.
	Help string
}

// Tunnel is the connection to the cloud.
type Tunnel struct {
	Streams []Stream
	Trouble string // why the latest try failed; empty after a success
}

// Stream is one open connection to the cloud.
type Stream struct {
	Replica  string
	Since    time.Time
	Draining bool
}

// Overview is the state of things at a glance.
type Overview struct {
	Version  string
	Parts    []PartState
	Tunnel   Tunnel
	Gateways int
	// Users are those whom the actor looks after, Enrolled those of them who have a device.
	Users, Enrolled int
	// Logins counts those of the last day, an hour each.
	Logins       []store.LoginCount
	Attention    []Attention
	AllWell      bool
	AsksForHands bool // something is broken, not only advised
}

// PartState is a part and its trouble, nil when it is well.
type PartState struct {
	Name    string
	Trouble error
	Took    time.Duration
}

// Attention is something that somebody should see to.
type Attention struct {
	Urgent bool
	Title  string
	Text   string
	// Path is where in the console to see to it; empty: nowhere.
	Path   string
	Action string // what the link is called
}

// checkTime bounds all checks of the overview together.
const checkTime = 3 * time.Second

// Overview asks every part at once.
func (s *Service) Overview(ctx context.Context, actor sallyport.Actor) (Overview, error) {
	db, err := s.as(actor, "Overview")
	if err != nil {
		return Overview{}, err
	}
	o := Overview{Version: s.cfg.Watched.Version, Parts: s.checkParts(ctx)}
	if s.cfg.Watched.Streams != nil {
		o.Tunnel = s.cfg.Watched.Streams()
	}
	list, err := db.Integrations(ctx)
	if err != nil {
		return o, err
	}
	o.Gateways = len(list)
	if err := s.countPeople(ctx, db, actor.Scope, &o); err != nil {
		return o, err
	}
	o.Attention = s.partTroubles(o)
	if o.AsksForHands = len(o.Attention) > 0; o.Gateways == 0 {
		o.Attention = append(o.Attention, Attention{Title: "No gateway is connected yet", Text: "Users can log in once a gateway is added as an integration.", Path: "/integrations", Action: "Add a gateway"})
	}
	if err := s.adviseAppliances(ctx, db, actor, &o); err != nil {
		return o, err
	}
	for _, look := range s.advice(actor) {
		some, err := look(ctx, db)
		if err != nil {
			return o, err
		}
		o.Attention = append(o.Attention, some...)
	}
	slices.SortStableFunc(o.Attention, func(a, b Attention) int { return cmp.Compare(b2i(b.Urgent), b2i(a.Urgent)) })
	if May(actor, "Administrators") == nil {
		if err := s.adviseAdministrators(ctx, &o); err != nil {
			return o, err
		}
	}
	o.AllWell = len(o.Attention) == 0
	return o, nil
}

func (s *Service) countPeople(ctx context.Context, db *store.Store, scope sallyport.Scope, o *Overview) error {
	yes, now := true, s.now()
	all, err := db.Users(ctx, store.UserQuery{Scope: scope, Most: 1})
	if err != nil {
		return err
	}
	enrolled, err := db.Users(ctx, store.UserQuery{Scope: scope, Enrolled: &yes, Most: 1})
	if err != nil {
		return err
	}
	o.Users, o.Enrolled = all.Total, enrolled.Total
	from := now.Truncate(time.Hour).Add(-23 * time.Hour)
	o.Logins, err = db.LoginCounts(ctx, from, from.Add(24*time.Hour), time.Hour)
	return err
}

func (s *Service) checkParts(ctx context.Context) []PartState {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	out := make([]PartState, len(s.cfg.Watched.Parts))
	var all sync.WaitGroup
	for i, p := range s.cfg.Watched.Parts {
		all.Go(func() {
			start := s.now()
			out[i] = PartState{Name: p.Name, Trouble: p.Check(ctx), Took: s.now().Sub(start)}
		})
	}
	all.Wait()
	return out
}

func (s *Service) partTroubles(o Overview) (out []Attention) {
	for i, p := range o.Parts {
		if p.Trouble != nil {
			out = append(out, Attention{Urgent: true, Title: p.Name + " does not work", Text: s.cfg.Watched.Parts[i].Help})
		}
	}
	return out
}

func (s *Service) adviseAdministrators(ctx context.Context, o *Overview) error {
	list, err := s.db.Administrators(ctx)
	if err != nil {
		return err
	}
	supers := 0
	for _, a := range list {
		if a.Role == sallyport.RoleSuper && !a.Disabled {
			supers++
		}
	}
	if supers < 2 {
		o.Attention = append(o.Attention, Attention{Title: "There is one super administrator only",
			Text: "If they lose their second factor, nobody can help them from the console. Add a second one.", Path: "/administrators/new", Action: "Add an administrator"})
	}
	if s.cfg.Watched.OwnCertificate {
		o.Attention = append(o.Attention, Attention{Title: "The console shows a certificate that it made itself",
			Text: fmt.Sprintf("Browsers warn of it. Give the appliance a certificate of your authority with %s and %s.", "--console-cert", "--console-key")})
	}
	return nil
}
