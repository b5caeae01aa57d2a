// Package usersync keeps the enterprise's list of users as the directory has them: it reads a domain's
// users within the domain's base and scope, gives them their user policy by the assignment rules, and
// writes what differs to the store. It reads everything, or what changed since it last read, previews what
// it would do, and asks a person before it removes many. One appliance at a time synchronises a domain.
//
// It never sees a password, and never changes the directory.
package usersync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// Directory reads the domains.
type Directory interface {
	// Read calls f with a source on one domain controller.
	Read(ctx context.Context, domain sallyport.DomainID, f func(Source) error) error
	// Groups returns the DNs of the groups that an account is in.
	Groups(ctx context.Context, domain sallyport.DomainID, dn string, nested bool) ([]string, error)
}

// Source is one domain on one domain controller. Its methods are not called from within each other's
// callbacks; directory.Reader says what each does.
type Source interface {
	Position(ctx context.Context) (invocation string, usn int64, err error)
	Users(ctx context.Context, each func(sallyport.User) error) error
	ChangedUsers(ctx context.Context, usn int64, each func(sallyport.User) error) error
	UsersByGUID(ctx context.Context, guids []string, each func(sallyport.User) error) error
	ContainersChanged(ctx context.Context, usn int64) (bool, error)
	Present(ctx context.Context, each func(guid, dn string) error) error
	Deleted(ctx context.Context, usn int64, each func(guid string) error) (visible bool, err error)
	Members(ctx context.Context, group string, each func(guid string) error) (found bool, err error)
}

// Options are what a Service works with.
type Options struct {
	Store     *store.Store
	Directory Directory
	// Holder names who synchronises: the appliance's id, or another name for another process beside it.
	Holder string
	Now    func() time.Time
	Log    *slog.Logger
}

// Lengths of time of the lease that keeps two appliances from synchronising one domain.
const (
	leaseFor   = sallyport.SynchronisationSilence
	renewEvery = 20 * time.Second
	// tellEvery is how often progress is written.
	tellEvery = time.Second
)

// Service synchronises. It is safe for concurrent use.
type Service struct {
	Options
	mu     sync.Mutex
	active map[sallyport.DomainID]bool
	tasks  context.Context // of Run; nil: not running
	wg     sync.WaitGroup
}

// New makes a Service.
func New(o Options) *Service { return &Service{Options: o, active: map[sallyport.DomainID]bool{}} }

// Start begins a synchronisation in the name of actor and returns at once; Run works on it, and the
// store's Synchronisations tell how far it is. CodeConflict while one of the domain is under way.
func (s *Service) Start(ctx context.Context, domain sallyport.DomainID, kind sallyport.SynchronisationKind, actor sallyport.Actor) (sallyport.Synchronisation, error) {
	return s.start(ctx, order{domain: domain, kind: kind, actor: actor})
}

// Synchronise is Start that waits for the end, and does not need Run. A synchronisation that failed is no error of
// its own: its State and Message say so.
func (s *Service) Synchronise(ctx context.Context, domain sallyport.DomainID, kind sallyport.SynchronisationKind, actor sallyport.Actor) (sallyport.Synchronisation, error) {
	j, err := s.begin(ctx, order{domain: domain, kind: kind, actor: actor})
	if err != nil {
		return sallyport.Synchronisation{}, err
	}
	return s.work(ctx, j), nil
}

// Confirm lets a synchronisation that asks remove the users that it asked about. It must be the domain's
// last one. Everything is read again; if more would be removed by then, it asks again.
func (s *Service) Confirm(ctx context.Context, domain sallyport.DomainID, id string, actor sallyport.Actor) (sallyport.Synchronisation, error) {
	asked, err := s.asked(ctx, domain, id)
	if err != nil {
		return sallyport.Synchronisation{}, err
	}
	return s.start(ctx, order{domain: domain, kind: sallyport.SynchroniseFull, actor: actor, permitted: asked.Removed, confirms: &asked})
}

// ConfirmNow is Confirm that waits for the end, and does not need Run.
func (s *Service) ConfirmNow(ctx context.Context, domain sallyport.DomainID, id string, actor sallyport.Actor) (sallyport.Synchronisation, error) {
	asked, err := s.asked(ctx, domain, id)
	if err != nil {
		return sallyport.Synchronisation{}, err
	}
	j, err := s.begin(ctx, order{domain: domain, kind: sallyport.SynchroniseFull, actor: actor, permitted: asked.Removed, confirms: &asked})
	if err != nil {
		return sallyport.Synchronisation{}, err
	}
	return s.work(ctx, j), nil
}

// asked finds the synchronisation that is to be confirmed.
func (s *Service) asked(ctx context.Context, domain sallyport.DomainID, id string) (sallyport.Synchronisation, error) {
	runs, err := s.Store.Synchronisations(ctx, domain, LookBack)
	if err != nil {
		return sallyport.Synchronisation{}, err
	}
	last, there := Last(runs)
	if !there || last.ID != id || last.State != sallyport.SynchronisationAsks {
		return sallyport.Synchronisation{}, sallyport.Errorf(sallyport.CodeConflict,
			"This synchronisation does not ask any more: another one came after it. Look at that one.", nil)
	}
	return last, nil
}

// order is a synchronisation that somebody wants.
type order struct {
	domain sallyport.DomainID
	kind   sallyport.SynchronisationKind
	actor  sallyport.Actor
	// permitted is how many users may be removed without asking; 0: as few as are always believed.
	permitted int
	confirms  *sallyport.Synchronisation
}

// job is a synchronisation that has begun: it holds the lease.
type job struct {
	order
	domain sallyport.Domain
	record sallyport.Synchronisation
}

func (s *Service) start(ctx context.Context, o order) (sallyport.Synchronisation, error) {
	s.mu.Lock()
	tasks := s.tasks
	s.mu.Unlock()
	if tasks == nil {
		return sallyport.Synchronisation{}, sallyport.Errorf(sallyport.CodeUnavailable, "The appliance is starting or stopping. Please try again in a moment.", nil)
	}
	j, err := s.begin(ctx, o)
	if err != nil {
		return sallyport.Synchronisation{}, err
	}
	record := j.record
	s.wg.Go(func() { s.work(tasks, j) })
	return record, nil
}

// begin takes the lease and writes that the synchronisation runs.
func (s *Service) begin(ctx context.Context, o order) (*job, error) {
	domain, err := s.Store.Domain(ctx, o.domain)
	if err != nil {
		return nil, err
	}
	if !s.claim(o.domain) {
		return nil, underWay()
	}
	now := s.Now()
	mine, err := s.Store.LeaseSynchronisation(ctx, o.domain, s.Holder, now, now.Add(leaseFor))
	if err == nil && !mine {
		err = underWay()
	}
	if err != nil {
		s.unclaim(o.domain)
		return nil, err
	}
	j := &job{order: o, domain: domain, record: sallyport.Synchronisation{
		ID: sallyport.NewID(), Domain: o.domain, Kind: o.kind, State: sallyport.SynchronisationRunning, Started: now, Told: now, By: o.actor.Name}}
	if err := s.tellBegin(ctx, j); err != nil {
		s.release(ctx, o.domain)
		return nil, err
	}
	return j, nil
}

// tellBegin writes that a synchronisation runs, that those which an appliance left running do not, and
// that the one it confirms has been.
func (s *Service) tellBegin(ctx context.Context, j *job) error {
	runs, err := s.Store.Synchronisations(ctx, j.domain.ID, LookBack)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if r.State == sallyport.SynchronisationRunning && r.Kind != sallyport.SynchronisePreview {
			r.State, r.Ended, r.Message = sallyport.SynchronisationInterrupted, j.record.Started, sallyport.SynchronisationInterruptedWords
			if err := s.Store.PutSynchronisation(ctx, r); err != nil {
				return err
			}
		}
	}
	if c := j.confirms; c != nil {
		c.State, c.Message = sallyport.SynchronisationDone, fmt.Sprintf("Confirmed by %s; the one after it does it.", j.actor.Name)
		if err := s.Store.PutSynchronisation(ctx, *c); err != nil {
			return err
		}
	}
	return s.Store.PutSynchronisation(ctx, j.record)
}

// work synchronises, and writes how it ended.
func (s *Service) work(ctx context.Context, j *job) sallyport.Synchronisation {
	r := &run{service: s, job: j, told: j.record.Started, renewed: j.record.Started}
	err := s.Directory.Read(ctx, j.domain.ID, func(src Source) error {
		r.source = src
		return r.synchronise(ctx)
	})
	// The end is written also when ctx has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	y := &j.record
	y.Ended = s.Now()
	var asks *askError
	switch {
	case err == nil:
		y.State = sallyport.SynchronisationDone
		s.Log.InfoContext(ctx, "users synchronised", "domain", j.domain.Name, "kind", y.Kind, "read", y.Read, "added", y.Added, "changed", y.Changed, "removed", y.Removed)
	case errors.As(err, &asks):
		y.State, y.Message = sallyport.SynchronisationAsks, asks.Error()
		s.Log.WarnContext(ctx, "synchronisation waits for a person: it would remove many users", "domain", j.domain.Name, "would_remove", y.Removed)
	default:
		y.State, y.Message = sallyport.SynchronisationFailed, words(err)
		s.Log.ErrorContext(ctx, "synchronisation failed", "domain", j.domain.Name, "kind", y.Kind, "err", err)
	}
	if err := s.Store.PutSynchronisation(ctx, *y); err != nil {
		s.Log.ErrorContext(ctx, "end of a synchronisation not written", "domain", j.domain.Name, "err", err)
	}
	s.release(ctx, j.domain.ID)
	return *y
}

// words are what is said of an error to an administrator.
func words(err error) string {
	var e *sallyport.Error
	if errors.As(err, &e) {
		return e.Message
	}
	if errors.Is(err, context.Canceled) {
		return "The appliance was stopped meanwhile."
	}
	return "It failed for a reason that is in the appliance's log."
}

func (s *Service) claim(domain sallyport.DomainID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active[domain] {
		return false
	}
	s.active[domain] = true
	return true
}

func (s *Service) unclaim(domain sallyport.DomainID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.active, domain)
}

// release gives the lease back; what is not given back ends by itself.
func (s *Service) release(ctx context.Context, domain sallyport.DomainID) {
	now := s.Now()
	if _, err := s.Store.LeaseSynchronisation(ctx, domain, s.Holder, now, now); err != nil && sallyport.ErrorCode(err) != sallyport.CodeNotFound {
		s.Log.WarnContext(ctx, "lease of a synchronisation not given back", "domain", domain, "err", err)
	}
	s.unclaim(domain)
}

func underWay() error {
	return sallyport.Errorf(sallyport.CodeConflict, "A synchronisation of this domain is under way.", nil)
}
