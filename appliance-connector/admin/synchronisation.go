package admin

import (
	"context"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/usersync"
)

// Synchroniser keeps the list of users as the domains have it.
type Synchroniser interface {
	Start(ctx context.Context, domain sallyport.DomainID, kind sallyport.SynchronisationKind, actor sallyport.Actor) (sallyport.Synchronisation, error)
	Confirm(ctx context.Context, domain sallyport.DomainID, id string, actor sallyport.Actor) (sallyport.Synchronisation, error)
	Preview(ctx context.Context, domain sallyport.DomainID, most int, actor sallyport.Actor) (usersync.Preview, error)
}

// Bounds of what is shown of synchronisations.
const (
	maxPreview = 200
	maxRuns    = 200
)

// Synchronise begins a synchronisation of a domain: of everything, or of what changed. Synchronisations
// tells how far it is.
func (s *Service) Synchronise(ctx context.Context, actor sallyport.Actor, id sallyport.DomainID, kind sallyport.SynchronisationKind) (sallyport.Synchronisation, error) {
	if _, err := s.as(actor, "Synchronise"); err != nil {
		return sallyport.Synchronisation{}, err
	}
	if kind != sallyport.SynchroniseFull && kind != sallyport.SynchroniseChanges {
		return sallyport.Synchronisation{}, sallyport.Errorf(sallyport.CodeInvalid, "Synchronise everything or what changed.", nil)
	}
	return s.cfg.Synchroniser.Start(ctx, id, kind, actor)
}

// ConfirmSynchronisation lets a synchronisation that asks remove the users it asked about.
func (s *Service) ConfirmSynchronisation(ctx context.Context, actor sallyport.Actor, id sallyport.DomainID, run string) (sallyport.Synchronisation, error) {
	if _, err := s.as(actor, "ConfirmSynchronisation"); err != nil {
		return sallyport.Synchronisation{}, err
	}
	return s.cfg.Synchroniser.Confirm(ctx, id, run, actor)
}

// PreviewSynchronisation tells what a full synchronisation would do, with the first most (at most 200) users
// of each kind.
func (s *Service) PreviewSynchronisation(ctx context.Context, actor sallyport.Actor, id sallyport.DomainID, most int) (usersync.Preview, error) {
	if _, err := s.as(actor, "PreviewSynchronisation"); err != nil {
		return usersync.Preview{}, err
	}
	return s.cfg.Synchroniser.Preview(ctx, id, min(max(most, 0), maxPreview), actor)
}

// Synchronisations returns the last synchronisations of a domain (at most 200), the newest first.
func (s *Service) Synchronisations(ctx context.Context, actor sallyport.Actor, id sallyport.DomainID, most int) ([]sallyport.Synchronisation, error) {
	db, err := s.as(actor, "Synchronisations")
	if err != nil {
		return nil, err
	}
	runs, err := db.Synchronisations(ctx, id, min(max(most, 1), maxRuns))
	return usersync.Seen(runs, s.now()), err
}
