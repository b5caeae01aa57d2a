package appliance

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/usersync"
)

// OpenDirectory returns a directory of the domains in the store, as they are now.
func OpenDirectory(ctx context.Context, s *store.Store, leave int, log *slog.Logger) (*directory.Directory, error) {
	d, err := directory.New(directory.Options{Leave: leave, Log: log, Now: time.Now})
	if err != nil {
		return nil, err
	}
	if err := setDomains(ctx, s, d, log); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// setDomains gives the directory the domains in the store. One that cannot be used is told and left out.
func setDomains(ctx context.Context, s *store.Store, d *directory.Directory, log *slog.Logger) error {
	list, err := s.Domains(ctx)
	if err != nil {
		return fmt.Errorf("read domains: %w", err)
	}
	if err := d.Set(list); err != nil {
		log.ErrorContext(ctx, "a domain cannot be used; the others are", "err", err)
	}
	return nil
}

// NewSynchroniser returns what keeps the list of users as the domains have it. holder names who
// synchronises: no two at work at the same time have the same name.
func NewSynchroniser(s *store.Store, d *directory.Directory, holder string, log *slog.Logger) *usersync.Service {
	return usersync.New(usersync.Options{Store: s, Directory: synchronised{d}, Holder: holder, Now: time.Now, Log: log})
}

// synchronised is the directory as the synchronisation reads it.
type synchronised struct{ *directory.Directory }

func (s synchronised) Read(ctx context.Context, domain sallyport.DomainID, f func(usersync.Source) error) error {
	return s.Directory.Read(ctx, domain, func(r *directory.Reader) error { return f(r) })
}

// AccountGroups tells whose member an account is: by whatever way of those in the list of users, directly
// of others.
type AccountGroups struct {
	Store     *store.Store
	Directory *directory.Directory
}

// Groups returns the DNs of an account's groups.
func (g AccountGroups) Groups(ctx context.Context, account sallyport.AccountName) ([]string, error) {
	a, err := g.Directory.LookUp(ctx, string(account))
	if err != nil {
		return nil, err
	}
	u, err := g.Store.UserByGUID(ctx, a.Domain, a.GUID)
	if err != nil && sallyport.ErrorCode(err) != sallyport.CodeNotFound {
		return nil, err
	}
	return g.Directory.Groups(ctx, a.Domain, a.DN, err == nil && u.State != sallyport.UserRemoved)
}
