package stack

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/sallyport/sallyport"
	appliance "github.com/sallyport/sallyport/appliance-connector"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/usersync"
	"github.com/sallyport/sallyport/test/golive"
)

// userList is the list of users of an enterprise, which all users of the directory are in.
type userList struct {
	store *store.Store
	dir   *directory.Directory
	sync  *usersync.Service
	shut  sync.Once
}

// userLists are those of all enterprises.
type userLists struct {
	mu   sync.Mutex
	open []*userList
}

// goLive opens the store of an enterprise, reads its users from the directory, and makes remote access
// live for all of them. The store stays open until tb ends.
func (s *Stack) goLive(tb testing.TB, dir, address string) (*store.Store, error) {
	ring, err := keyring.Load(dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	log := slog.New(slog.DiscardHandler)
	list := &userList{}
	if list.store, err = appliance.OpenStore(ctx, dir, address, ring, log); err != nil {
		return nil, err
	}
	tb.Cleanup(func() { s.lists.leave(list) })
	if list.dir, err = appliance.OpenDirectory(ctx, list.store, 0, log); err != nil {
		return nil, err
	}
	list.sync = appliance.NewSynchroniser(list.store, list.dir, "test", log)
	if err := golive.Prepare(ctx, list.store); err != nil {
		return nil, err
	}
	return list.store, s.lists.join(ctx, list)
}

// goLiveForAll does so in the enterprise that all tests share.
func (s *Stack) goLiveForAll() (err error) {
	s.Store, err = s.goLive(s.tb, s.ApplianceDir(0), s.address)
	return err
}

func (l *userLists) join(ctx context.Context, list *userList) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = append(l.open, list)
	domains, err := list.store.Domains(ctx)
	if err != nil {
		return err
	}
	for _, d := range domains {
		y, err := list.sync.Synchronise(ctx, d.ID, sallyport.SynchroniseFull, sallyport.Actor{Kind: sallyport.ActorSystem, Name: "test"})
		if err == nil && y.State != sallyport.SynchronisationDone {
			err = fmt.Errorf("%s: %s", y.State, y.Message)
		}
		if err != nil {
			return fmt.Errorf("read users: %w", err)
		}
	}
	return nil
}

func (l *userLists) leave(list *userList) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = slices.DeleteFunc(l.open, func(other *userList) bool { return other == list })
	list.shut.Do(func() {
		if list.dir != nil {
			list.dir.Close()
		}
		_ = list.store.Close()
	})
}

// leaveStore is leave for whose store it is.
func (l *userLists) leaveStore(db *store.Store) {
	l.mu.Lock()
	at := slices.IndexFunc(l.open, func(list *userList) bool { return list.store == db })
	var list *userList
	if at >= 0 {
		list = l.open[at]
	}
	l.mu.Unlock()
	if list != nil {
		l.leave(list)
	}
}

// add puts a new account of the directory into every list.
func (l *userLists) add(account sallyport.AccountName) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, list := range l.open {
		a, err := list.dir.LookUp(ctx, string(account))
		if err != nil {
			return fmt.Errorf("look up %s: %w", account, err)
		}
		if _, ok, err := list.sync.Admit(ctx, a); err != nil || !ok {
			return fmt.Errorf("admit %s: %t, %w", account, ok, err)
		}
	}
	return nil
}
