package usersync

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// Preview is what a full synchronisation would do.
type Preview struct {
	Run sallyport.Synchronisation // with the counts
	// The first of those who would be added, changed and removed.
	Added, Changed, Removed []Difference
	// Asks: the synchronisation would ask before it removes anybody.
	Asks bool
}

// Difference is one user who would not be as before.
type Difference struct {
	GUID        string                 `json:"guid"`
	Account     sallyport.AccountName  `json:"account"`
	DisplayName string                 `json:"displayName"`
	DN          string                 `json:"dn"`
	Policy      sallyport.UserPolicyID `json:"policy"` // as it would be
	// Fields names what would change: "account", "upn", "dn", "displayName", "mail", "state", "policy".
	Fields []string `json:"fields,omitempty"`
}

// Preview reads everything and changes nothing. most bounds each list of users; progress is in the store's
// Synchronisations, as of the others.
func (s *Service) Preview(ctx context.Context, domain sallyport.DomainID, most int, actor sallyport.Actor) (Preview, error) {
	d, err := s.Store.Domain(ctx, domain)
	if err != nil {
		return Preview{}, err
	}
	now := s.Now()
	j := &job{order: order{domain: domain, kind: sallyport.SynchronisePreview, actor: actor}, domain: d, record: sallyport.Synchronisation{
		ID: sallyport.NewID(), Domain: domain, Kind: sallyport.SynchronisePreview, State: sallyport.SynchronisationRunning, Started: now, Told: now, By: actor.Name}}
	if err := s.Store.PutSynchronisation(ctx, j.record); err != nil {
		return Preview{}, err
	}
	p := &preview{run: run{service: s, job: j, told: now, renewed: now}, most: most}
	err = s.Directory.Read(ctx, domain, func(src Source) error {
		p.run.source = src
		return p.look(ctx)
	})
	y := &j.record
	y.Ended, y.State = s.Now(), sallyport.SynchronisationDone
	if err != nil {
		y.State, y.Message = sallyport.SynchronisationFailed, words(err)
	}
	if putErr := s.Store.PutSynchronisation(context.WithoutCancel(ctx), *y); err == nil {
		err = putErr
	}
	p.result.Run = *y
	return p.result, err
}

// preview is a run that writes nothing.
type preview struct {
	run
	most   int
	sums   map[guid]uint64 // what is known of who is in the list
	result Preview
}

func (p *preview) look(ctx context.Context) (err error) {
	if p.scope, err = p.service.scopeOf(ctx, p.job.domain); err != nil {
		return err
	}
	if p.members, err = p.membersOf(ctx); err != nil {
		return err
	}
	p.sums = map[guid]uint64{}
	if err := p.readKnown(ctx, func(u sallyport.User, g guid) { p.sums[g] = sum(u) }); err != nil {
		return err
	}
	if err := p.source.Users(ctx, func(u sallyport.User) error { return p.compare(ctx, u) }); err != nil {
		return err
	}
	return p.lookForGone(ctx)
}

// compare looks at somebody who was read.
func (p *preview) compare(ctx context.Context, u sallyport.User) error {
	y := &p.job.record
	y.Read++
	g, ok := parseGUID(u.GUID)
	in := p.members.of(g)
	if !ok || !p.scope.includes(u.DN, in) || !keepable(u.Account) {
		return p.tick(ctx)
	}
	policy := p.scope.policy(u.DN, in)
	before, known := p.sums[g]
	if !known {
		y.Added++
		p.result.Added = p.list(p.result.Added, u, cmp.Or(policy, p.scope.standard), nil)
		return p.tick(ctx)
	}
	p.known[g] = true
	return p.compareKnown(ctx, u, policy, before)
}

func (p *preview) compareKnown(ctx context.Context, u sallyport.User, policy sallyport.UserPolicyID, before uint64) error {
	after := u
	after.Policy, after.PolicyFrom = cmp.Or(policy, p.scope.standard), sallyport.PolicyByRule
	if policy == "" {
		after.PolicyFrom = sallyport.PolicyByDefault
	}
	if sum(after) == before {
		return p.tick(ctx)
	}
	was, err := p.service.Store.UserByGUID(ctx, u.Domain, u.GUID)
	if err != nil {
		return err
	}
	if was.PolicyFrom == sallyport.PolicyByHand {
		after.Policy, after.PolicyFrom = was.Policy, was.PolicyFrom
	}
	if fields := differing(was, after); len(fields) > 0 {
		p.job.record.Changed++
		p.result.Changed = p.list(p.result.Changed, after, after.Policy, fields)
	}
	return p.tick(ctx)
}

func (p *preview) lookForGone(ctx context.Context) error {
	gone := p.notMet()
	y := &p.job.record
	y.Removed = len(gone)
	p.result.Asks = asks(len(gone), len(p.known), 0)
	for _, g := range gone[:min(len(gone), p.most)] {
		u, err := p.service.Store.UserByGUID(ctx, p.job.domain.ID, g.String())
		if err != nil {
			return err
		}
		p.result.Removed = p.list(p.result.Removed, u, u.Policy, nil)
	}
	return nil
}

func (p *preview) list(to []Difference, u sallyport.User, policy sallyport.UserPolicyID, fields []string) []Difference {
	if len(to) >= p.most {
		return to
	}
	return append(to, Difference{GUID: u.GUID, Account: u.Account, DisplayName: u.DisplayName, DN: u.DN, Policy: policy, Fields: fields})
}

// sum is a checksum of what a synchronisation writes of a user.
func sum(u sallyport.User) uint64 {
	h := fnv.New64a()
	for _, s := range []string{string(u.Account), u.UPN, u.DN, u.DisplayName, u.Mail, string(u.State), string(u.Policy), string(u.PolicyFrom)} {
		_, _ = fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return h.Sum64()
}

// differing names what differs, once the directory's texts are as the store keeps them.
func differing(was, will sallyport.User) (fields []string) {
	kept := store.AsKept(changeOf(will, ""))
	for _, f := range []struct {
		name string
		same bool
	}{
		{"account", was.Account == kept.Account}, {"upn", was.UPN == kept.UPN}, {"dn", was.DN == kept.DN},
		{"displayName", was.DisplayName == kept.DisplayName}, {"mail", was.Mail == kept.Mail}, {"state", was.State == kept.State},
		{"policy", was.Policy == will.Policy && was.PolicyFrom == will.PolicyFrom},
	} {
		if !f.same {
			fields = append(fields, f.name)
		}
	}
	return fields
}
