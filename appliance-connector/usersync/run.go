package usersync

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

const (
	// batchSize is how many users are written at once.
	batchSize = 500
	// fullEvery is how old the last full reading may be: what only it can notice waits no longer.
	fullEvery = 24 * time.Hour
	// A synchronisation asks before it removes more users than this, and more than one in askShare.
	askAbove = 5
	askShare = 10
)

// askError: many users would be removed.
type askError struct{ removed, of int }

func (e *askError) Error() string {
	return fmt.Sprintf("It would remove %d of %d users, so nothing was changed. If that is right, confirm it. "+
		"If not, look at the domain's base and scope, and at what its service account may see.", e.removed, e.of)
}

// cursor is where the last synchronisation ended.
type cursor struct {
	Invocation string    `json:"invocation"` // of the domain controller: its numbers are its own
	USN        int64     `json:"usn"`
	Full       time.Time `json:"full"` // when everything was read last
}

// run is one synchronisation at work.
type run struct {
	service *Service
	job     *job
	source  Source
	scope   *scope
	members members
	known   map[guid]bool // who is in the list; true: met in the directory
	batch   []store.UserChange
	told    time.Time
	renewed time.Time
	skipped int // users whose names the list does not take
}

func (r *run) synchronise(ctx context.Context) (err error) {
	if r.scope, err = r.service.scopeOf(ctx, r.job.domain); err != nil {
		return err
	}
	invocation, usn, err := r.source.Position(ctx)
	if err != nil {
		return err
	}
	now := cursor{Invocation: invocation, USN: usn, Full: r.job.record.Started}
	if r.members, err = r.membersOf(ctx); err != nil {
		return err
	}
	last, err := r.lastCursor(ctx, now)
	if err != nil {
		return err
	}
	if last == nil {
		err = r.full(ctx)
	} else {
		now.Full = last.Full
		err = r.changes(ctx, last.USN)
	}
	if err != nil {
		return err
	}
	if r.skipped > 0 {
		r.note(fmt.Sprintf("%d users were left out whose account names are too long or have characters in them that the list does not take.", r.skipped))
	}
	text, err := json.Marshal(now)
	if err != nil {
		return fmt.Errorf("encode cursor: %w", err)
	}
	return r.service.Store.SetSyncCursor(ctx, r.job.domain.ID, text)
}

// lastCursor returns where to go on from; nil: everything is to be read.
func (r *run) lastCursor(ctx context.Context, now cursor) (*cursor, error) {
	if r.job.record.Kind != sallyport.SynchroniseChanges {
		return nil, nil
	}
	text, err := r.service.Store.SyncCursor(ctx, r.job.domain.ID)
	if err != nil {
		return nil, err
	}
	var last cursor
	why := ""
	switch {
	case len(text) == 0:
		why = "it was the first time, or what is synchronised was changed"
	case json.Unmarshal(text, &last) != nil || last.Invocation == "" || last.USN > now.USN:
		why = "where the last synchronisation ended is not known"
	case last.Invocation != now.Invocation:
		why = "another domain controller answered"
	case now.Full.Sub(last.Full) >= fullEvery:
		why = "that is done once a day"
	default:
		changed, err := r.source.ContainersChanged(ctx, last.USN)
		if err != nil {
			return nil, err
		}
		if !changed {
			return &last, nil
		}
		why = "OUs were changed"
	}
	r.note("Everything was read: " + why + ".")
	return nil, nil
}

// note adds a sentence to what is said of the synchronisation.
func (r *run) note(sentence string) {
	y := &r.job.record
	y.Message = strings.TrimSpace(y.Message + " " + sentence)
}

// full reads everybody.
func (r *run) full(ctx context.Context) error {
	if err := r.readKnown(ctx, nil); err != nil {
		return err
	}
	if err := r.meetPresent(ctx); err != nil {
		return err
	}
	if err := r.remove(ctx, r.notMet()); err != nil {
		return err
	}
	if err := r.source.Users(ctx, func(u sallyport.User) error { return r.take(ctx, u) }); err != nil {
		return err
	}
	return r.flush(ctx)
}

// changes reads who changed after usn, who is gone, and whose membership of a group that matters is
// another one than what the list says.
func (r *run) changes(ctx context.Context, usn int64) error {
	var gone, unsettled guids
	if err := r.readKnown(ctx, func(u sallyport.User, g guid) {
		in := r.members.of(g)
		switch {
		case !r.scope.includes(u.DN, in):
			gone = append(gone, g)
		case !r.scope.settled(u, r.scope.policy(u.DN, in)):
			unsettled = append(unsettled, g)
		}
	}); err != nil {
		return err
	}
	gone, err := r.whoIsGone(ctx, usn, gone)
	if err != nil {
		return err
	}
	if err := r.remove(ctx, gone); err != nil {
		return err
	}
	if err := r.source.ChangedUsers(ctx, usn, func(u sallyport.User) error { return r.take(ctx, u) }); err != nil {
		return err
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	again := append(unsettled, r.newcomers()...)
	again.complete()
	if err := r.source.UsersByGUID(ctx, again.strings(), func(u sallyport.User) error { return r.take(ctx, u) }); err != nil {
		return err
	}
	return r.flush(ctx)
}

// whoIsGone corrects the list of who is no longer within what is synchronised, as the list of users has
// it, by what the directory says now.
func (r *run) whoIsGone(ctx context.Context, usn int64, gone guids) (guids, error) {
	gone.complete()
	var back guids
	err := r.source.ChangedUsers(ctx, usn, func(u sallyport.User) error {
		g, ok := parseGUID(u.GUID)
		if _, known := r.known[g]; ok && known {
			if r.scope.includes(u.DN, r.members.of(g)) {
				back = append(back, g)
			} else {
				gone = append(gone, g)
			}
		}
		return r.tick(ctx)
	})
	if err != nil {
		return nil, err
	}
	visible, err := r.source.Deleted(ctx, usn, func(text string) error {
		if g, ok := parseGUID(text); ok {
			if _, known := r.known[g]; known {
				gone = append(gone, g)
			}
		}
		return r.tick(ctx)
	})
	if err != nil {
		return nil, err
	}
	if !visible { // then all that is there tells what is not
		if err := r.meetPresent(ctx); err != nil {
			return nil, err
		}
		back = nil
		gone = append(gone[:0:0], r.notMet()...)
	}
	back.complete()
	gone.complete()
	kept := gone[:0]
	for _, g := range gone {
		if !back.has(g) {
			kept = append(kept, g)
		}
	}
	return kept, nil
}

// readKnown reads who is in the list, and calls each, unless nil, with everybody.
func (r *run) readKnown(ctx context.Context, each func(sallyport.User, guid)) error {
	r.known = map[guid]bool{}
	return r.service.Store.EachUser(ctx, store.UserQuery{Domain: r.job.domain.ID, Most: 1000}, func(u sallyport.User) error {
		g, ok := parseGUID(u.GUID)
		if !ok {
			return nil
		}
		r.known[g] = false
		if each != nil {
			each(u, g)
		}
		return r.tick(ctx)
	})
}

// meetPresent marks those of the list who are in the directory, within what is synchronised.
func (r *run) meetPresent(ctx context.Context) error {
	return r.source.Present(ctx, func(text, dn string) error {
		g, ok := parseGUID(text)
		if _, known := r.known[g]; ok && known && r.scope.includes(dn, r.members.of(g)) {
			r.known[g] = true
		}
		return r.tick(ctx)
	})
}

func (r *run) notMet() guids {
	var list guids
	for g, met := range r.known {
		if !met {
			list = append(list, g)
		}
	}
	list.complete()
	return list
}

// newcomers are members of the scope's groups who are not in the list.
func (r *run) newcomers() guids {
	var list guids
	ofScope, _ := r.scope.groups()
	for _, group := range ofScope {
		for _, g := range r.members.all(group) {
			if _, known := r.known[g]; !known {
				list = append(list, g)
			}
		}
	}
	return list
}

// remove removes users, unless they are so many that a person has to say so.
func (r *run) remove(ctx context.Context, gone guids) error {
	if n := len(gone); asks(n, len(r.known), r.job.permitted) {
		r.job.record.Removed = n
		return &askError{n, len(r.known)}
	}
	for _, g := range gone {
		delete(r.known, g)
		if err := r.change(ctx, store.UserChange{GUID: g.String(), State: sallyport.UserRemoved}); err != nil {
			return err
		}
	}
	return r.flush(ctx)
}

// asks reports whether a person is asked before so many of the users are removed.
func asks(removed, of, permitted int) bool {
	return removed > permitted && removed > askAbove && removed*askShare > of
}

// take puts somebody who was read into the list, if he is within what is synchronised.
func (r *run) take(ctx context.Context, u sallyport.User) error {
	r.job.record.Read++
	g, ok := parseGUID(u.GUID)
	if !ok {
		return nil
	}
	in := r.members.of(g)
	if !r.scope.includes(u.DN, in) {
		return r.tick(ctx)
	}
	if !keepable(u.Account) {
		r.skipped++
		return r.tick(ctx)
	}
	r.known[g] = true
	if err := r.change(ctx, changeOf(u, r.scope.policy(u.DN, in))); err != nil {
		return err
	}
	return r.tick(ctx)
}

// maxAccount is how long an account's name may be in the list, in octets.
const maxAccount = 200

// keepable reports whether the list takes an account's name; one that it does not take must not keep the others out.
func keepable(a sallyport.AccountName) bool {
	return len(a) <= maxAccount && strings.TrimSpace(string(a)) == string(a) && utf8.ValidString(string(a)) && !strings.ContainsFunc(string(a), unicode.IsControl)
}

func changeOf(u sallyport.User, policy sallyport.UserPolicyID) store.UserChange {
	return store.UserChange{GUID: u.GUID, State: u.State, Account: u.Account, DN: u.DN, UPN: u.UPN,
		DisplayName: u.DisplayName, Mail: u.Mail, Policy: policy}
}

// change adds to the batch. Two of one batch who have the same name were renamed between their pages:
// the later one comes in a batch of its own.
func (r *run) change(ctx context.Context, c store.UserChange) error {
	for i := range r.batch {
		if b := &r.batch[i]; b.GUID == c.GUID || c.Account != "" && b.Account == c.Account {
			if err := r.flush(ctx); err != nil {
				return err
			}
			break
		}
	}
	r.batch = append(r.batch, c)
	if len(r.batch) >= batchSize {
		return r.flush(ctx)
	}
	return nil
}

// flush writes the batch.
func (r *run) flush(ctx context.Context) error {
	if len(r.batch) == 0 {
		return nil
	}
	applied, err := r.service.Store.As(r.job.actor).ApplyUsers(ctx, r.job.domain.ID, r.batch)
	if err != nil {
		return err
	}
	r.batch = r.batch[:0]
	y := &r.job.record
	y.Added, y.Changed, y.Removed = y.Added+applied.Added, y.Changed+applied.Changed, y.Removed+applied.Removed
	return r.tick(ctx)
}

// tick keeps the lease and tells how far it is, now and then.
func (r *run) tick(ctx context.Context) error {
	now := r.service.Now()
	if now.Sub(r.told) < tellEvery {
		return nil
	}
	r.told, r.job.record.Told = now, now
	if err := r.service.Store.PutSynchronisation(ctx, r.job.record); err != nil {
		return err
	}
	if now.Sub(r.renewed) < renewEvery || r.job.record.Kind == sallyport.SynchronisePreview {
		return ctx.Err()
	}
	mine, err := r.service.Store.LeaseSynchronisation(ctx, r.job.domain.ID, r.service.Holder, now, now.Add(leaseFor))
	if err == nil && !mine {
		err = sallyport.Errorf(sallyport.CodeConflict, "Another appliance has taken the synchronisation over.", nil)
	}
	r.renewed = now
	return err
}
