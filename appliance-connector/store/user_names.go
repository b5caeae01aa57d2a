package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport"
)

// accountMove gives a user's account another name.
type accountMove struct {
	user     sallyport.UserID
	from, to sallyport.AccountName
}

// endedAccount is a name that is taken by a user who must not get what is kept under it.
type endedAccount struct {
	account sallyport.AccountName
	holder  sallyport.UserID // who had it; empty when that is not known
}

// settleNames works out whose things move to which name, and whose end. A name that is wanted is free,
// or its holder gives it up in this batch, or was removed, or is to get another name in a later batch.
func (b *userBatch) settleNames(ctx context.Context) error {
	wanted := make(map[sallyport.AccountName]plannedUser)
	byID := make(map[sallyport.UserID]plannedUser)
	for _, p := range b.planned {
		byID[p.after.ID] = p
		if p.isNew() || p.renamed() {
			wanted[p.after.Account] = p
		}
		if p.renamed() {
			b.moves = append(b.moves, accountMove{p.after.ID, p.before.Account, p.after.Account})
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	names := make([]sallyport.AccountName, 0, len(wanted))
	for name := range wanted {
		names = append(names, name)
	}
	slices.Sort(names)
	holders, err := b.store.lockUsers(ctx, b.tx, inAccounts(names), texts(names)...)
	if err != nil {
		return err
	}
	held := make(map[sallyport.AccountName]bool, len(holders))
	for _, h := range holders {
		held[h.Account] = true
		p, inBatch := byID[h.ID]
		switch {
		case inBatch && p.renamed(): // gives it up
		case h.State == sallyport.UserRemoved || inBatch && p.after.State == sallyport.UserRemoved:
			b.ended = append(b.ended, endedAccount{h.Account, h.ID})
			b.parked = append(b.parked, accountMove{h.ID, h.Account, parkedName(h)})
		default:
			b.moves = append(b.moves, accountMove{h.ID, h.Account, parkedName(h)})
		}
	}
	return b.settleFree(ctx, names, held, wanted)
}

// settleFree looks at names that nobody has. What is left under one was another user's when it is known
// who had it last, or when a user takes it who had another name so far. A user who is new gets it:
// devices may have been enrolled before the first synchronisation.
func (b *userBatch) settleFree(ctx context.Context, names []sallyport.AccountName, held map[sallyport.AccountName]bool, wanted map[sallyport.AccountName]plannedUser) error {
	former, err := b.former(ctx, names)
	if err != nil {
		return err
	}
	for _, name := range names {
		last, known := former[name]
		if p := wanted[name]; !held[name] && last != p.after.ID && (known || !p.isNew()) {
			b.ended = append(b.ended, endedAccount{name, last})
		}
	}
	return nil
}

// former returns who had which name last, and forgets it: the names are taken now.
func (b *userBatch) former(ctx context.Context, names []sallyport.AccountName) (map[sallyport.AccountName]sallyport.UserID, error) {
	rows, err := b.tx.QueryContext(ctx, `DELETE FROM former_accounts `+inAccounts(names)+` RETURNING account, user_id`, texts(names)...)
	if err != nil {
		return nil, fmt.Errorf("read former accounts: %w", err)
	}
	list, err := collect(rows, func(rows *sql.Rows) (m accountMove, err error) { return m, rows.Scan(&m.from, &m.user) })
	if err != nil {
		return nil, fmt.Errorf("read former accounts: %w", err)
	}
	former := make(map[sallyport.AccountName]sallyport.UserID, len(list))
	for _, m := range list {
		former[m.from] = m.user
	}
	return former, nil
}

// parkedName is what the account of a user is called whose name another one took: nobody can have such
// a name in a directory, where "/" is not allowed in a sAMAccountName.
func parkedName(u sallyport.User) sallyport.AccountName {
	return sallyport.AccountName(cut(string(u.Account), maxUserAccount-1) + "/" + string(u.ID))
}

// inAccounts is the condition that the account is one of names, which are its values.
func inAccounts(names []sallyport.AccountName) string {
	var c conditions
	c.add(`account IN (`+marks(len(names))+`)`, texts(names)...)
	return c.where()
}
