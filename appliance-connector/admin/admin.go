// Package admin is the one door for everything that an administrator does to an appliance: the console,
// the HTTP API and the command line call its methods, and nothing else changes the store in a person's
// name (docs/decisions/0008-administration.md).
//
// One noun is one file. Every operation is a method of Service that takes the actor, and begins with
//
//	db, err := s.as(actor, "PutAdministrator")
//
// which looks the operation up in the table of permission.go and gives the store in the actor's name. There
// is no other way to the store, so an operation that is not in the table cannot be done by anybody. An
// operation then checks its input (FieldErrors), what the actor's scope leaves of it (inScope), calls the
// store, and returns a noun of the root package. Errors are *sallyport.Error.
//
// The package draws nothing, listens to nothing, and never decides about a login at a gateway.
package admin

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/internal/sealed"
)

// Config is what a Service works with.
type Config struct {
	// Store may be opened by others as well; nothing of it is kept here.
	Store *store.Store
	// Enterprise is what the scripts of integrations name.
	Enterprise Enterprise
	// Groups tells whose member an account is; nil: nobody can tell here.
	Groups Groups
	// Domains and Synchroniser are those of the appliance.
	Domains      Domains
	Synchroniser Synchroniser
	// Key (32 octets, the same on all appliances of the enterprise) seals what a browser carries between
	// two steps of signing in.
	Key sallyport.Key
	// Directory checks those whose password is the directory's; nil: there are none.
	Directory Directory
	// Served is what logins can ask for and have people enrol here; nothing else is promised by TryLogin.
	Served Served
	// Tokens asks external token servers; nil: nobody does.
	Tokens TokenAsker
	// Changed has this appliance use changed domains at once, rather than when it next looks: who adds one goes on with
	// it. nil: nothing uses them here.
	Changed func(context.Context)
	// Logs are those of this appliance; nil: there are none.
	Logs Logs
	// Texts sends test messages; nil: nobody does here.
	Texts Texts
	// Watched are the parts of the appliance whose health the overview shows.
	Watched Watched
	// Now and Sleep are the clock; nil: the system's.
	Now   func() time.Time
	Sleep func(context.Context, time.Duration)
	Log   *slog.Logger
}

// Service is the door. It is safe for concurrent use.
type Service struct {
	cfg Config
	db  *store.Store // in nobody's name: for what comes before there is an actor
	now func() time.Time
	log *slog.Logger
}

// New makes a Service.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || len(cfg.Key) != sealed.KeySize {
		return nil, errors.New("make administration: it needs a store and a key")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Sleep == nil {
		cfg.Sleep = sleep
	}
	return &Service{cfg: cfg, db: cfg.Store, now: cfg.Now, log: cfg.Log}, nil
}

// as opens the store in the actor's name for an operation, or says why the actor may not.
func (s *Service) as(actor sallyport.Actor, op Operation) (*store.Store, error) {
	if err := May(actor, op); err != nil {
		return nil, err
	}
	return s.db.As(actor), nil
}

// changed says that domains were changed, unless err says that they were not.
func (s *Service) changed(ctx context.Context, err error) {
	if err == nil && s.cfg.Changed != nil {
		s.cfg.Changed(ctx)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
