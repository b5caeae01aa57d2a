// Package store keeps what the appliances of one enterprise must agree on: integrations, users and
// their policies, devices, pending enrolments and invitations, administrators, what has been used once,
// and how often somebody guessed; and what happened: the audit trail, logins and RADIUS requests.
// It is one schema on two engines: SQLite in a file, which several processes of one host may have
// open (the running appliance and the command line), and PostgreSQL for several appliances.
//
// Secrets (RADIUS secrets, token code seeds, details keys, enrolment and invitation secrets) are
// encrypted before they reach the engine, under a key derived from a master key that never enters
// the database, and bound to their row. The store never decides about a login, and never logs what
// it keeps.
//
// Times are kept to the microsecond and come back in UTC. Every call ends within two seconds when
// its context has no deadline, and one about many users or records within a minute for each part of
// them. Errors are *sallyport.Error: not_found, conflict, invalid, expired, denied when the database is
// under another master key, unavailable when the engine does not answer, and internal.
package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
)

// defaultTimeout bounds a call whose context has no deadline.
const defaultTimeout = 2 * time.Second

// patientTimeout bounds a call about many users or records whose context has no deadline.
const patientTimeout = time.Minute

// openTimeout bounds Open, which may have to wait for another process that migrates.
const openTimeout = 30 * time.Second

// Store is one open database. It is safe for concurrent use; make it with Open.
type Store struct {
	*shared
	actor sallyport.Actor
}

// shared is what the views of one open database have in common.
type shared struct {
	engine *engine
	box    *sealer
	kept   map[string]sallyport.Key
	chain  string
	now    func() time.Time
	log    *slog.Logger
	// notices is nil where users are told nothing.
	notices Noticer
	stop    context.CancelFunc
	tasks   sync.WaitGroup
}

// Option changes how a Store works.
type Option func(*Store)

// WithNow sets the clock of the background sweep (time.Now if not given).
func WithNow(now func() time.Time) Option { return func(s *Store) { s.now = now } }

// WithLogger sets where the store says that the engine went away and came back (nowhere if not given).
func WithLogger(log *slog.Logger) Option { return func(s *Store) { s.log = log } }

// Open opens the database at address, brings its schema up to date, and starts the background
// sweep that Close ends. The address is "sqlite:/path/file.db", a plain path, or
// "postgres://user@host1,host2/database". A new database is bound to master (32 octets); opening an
// existing one with another master key is refused with the code denied.
func Open(ctx context.Context, address string, master sallyport.Key, options ...Option) (*Store, error) {
	if len(master) != masterSize {
		return nil, invalidf("The master key must have %d octets; this one has %d.", masterSize, len(master))
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	s := &Store{shared: &shared{chain: localChain, now: time.Now, log: slog.New(slog.DiscardHandler)}}
	for _, option := range options {
		option(s)
	}
	e, err := openEngine(ctx, address)
	if err != nil {
		return nil, err
	}
	s.engine = e
	if err := s.prepare(ctx, master); err != nil {
		return nil, closeAfter(err, e.close)
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.tasks.Go(func() { s.sweepUntil(run, sweepEvery) })
	return s, nil
}

func (s *Store) prepare(ctx context.Context, master sallyport.Key) error {
	if err := migrate(ctx, s.engine); err != nil {
		return err
	}
	return s.unlock(ctx, master)
}

// Close ends the background work and closes the database. Calls under way may fail.
func (s *Store) Close() error {
	s.stop()
	s.tasks.Wait()
	if err := s.engine.close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Ping reports whether the engine answers and can be written to.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	return s.engine.failure("ping store", s.engine.ping(ctx))
}

// deadline gives ctx the default deadline when it has none.
func deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, defaultTimeout)
}

// patiently gives ctx the deadline of a call about many users or records when it has none.
func patiently(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, patientTimeout)
}
