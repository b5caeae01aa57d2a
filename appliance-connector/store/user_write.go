package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport"
)

// appliedUser is what the audit trail shows of one user of a batch.
type appliedUser struct {
	ID      sallyport.UserID      `json:"id"`
	Account sallyport.AccountName `json:"account"`
	Was     sallyport.AccountName `json:"was,omitempty"`
	What    string                `json:"what"`
	Fields  []string              `json:"fields,omitempty"`
}

// write writes the batch: names are let go before they are taken.
func (b *userBatch) write(ctx context.Context) error {
	if err := b.endThings(ctx); err != nil {
		return err
	}
	if len(b.moves)+len(b.parked) > 0 {
		if err := b.letGo(ctx); err != nil {
			return err
		}
	}
	if len(b.moves) > 0 {
		if err := b.moveThings(ctx); err != nil {
			return err
		}
	}
	if err := b.writeUsers(ctx); err != nil {
		return err
	}
	if err := b.park(ctx); err != nil {
		return err
	}
	if err := b.writeWords(ctx); err != nil {
		return err
	}
	return b.touch(ctx)
}

// letGo gives every user whose account gets another name one that nobody wants, and remembers who had
// the old ones.
func (b *userBatch) letGo(ctx context.Context) error {
	var ids []sallyport.UserID
	var former [][]any
	for _, m := range b.moves {
		ids = append(ids, m.user)
		former = append(former, []any{string(m.from), string(m.user)})
	}
	for _, m := range b.parked {
		ids = append(ids, m.user)
	}
	var c conditions
	c.add(`id IN (`+marks(len(ids))+`)`, texts(ids)...)
	if _, err := b.tx.ExecContext(ctx, `UPDATE users SET account = '/' || id`+c.where(), c.args...); err != nil {
		return fmt.Errorf("let accounts go: %w", err)
	}
	taken := make(map[sallyport.AccountName]bool)
	for _, p := range b.planned {
		taken[p.after.Account] = taken[p.after.Account] || p.after.State != sallyport.UserRemoved
	}
	rows := former[:0]
	for n, m := range b.moves {
		if !taken[m.from] && !strings.Contains(string(m.from), "/") { // nobody wants a parked name
			rows = append(rows, former[n])
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if err := b.store.engine.insertRows(ctx, b.tx.Tx, `INSERT INTO former_accounts (account, user_id)`,
		`ON CONFLICT (account) DO UPDATE SET user_id = excluded.user_id`, rows); err != nil {
		return fmt.Errorf("write former accounts: %w", err)
	}
	return nil
}

// park gives the users their parked names who lose their account and are not written otherwise.
func (b *userBatch) park(ctx context.Context) error {
	written := make(map[sallyport.UserID]bool)
	for _, p := range b.planned {
		if p.renamed() {
			written[p.after.ID] = true
		}
	}
	for _, m := range append(b.moves, b.parked...) {
		if written[m.user] {
			continue
		}
		if _, err := b.tx.ExecContext(ctx, `UPDATE users SET account = $2, version = version + 1 WHERE id = $1`, string(m.user), string(m.to)); err != nil {
			return fmt.Errorf("park account: %w", err)
		}
	}
	return nil
}

// writeUsers writes new users in one go and the others one by one.
func (b *userBatch) writeUsers(ctx context.Context) (err error) {
	var added [][]any
	update, err := b.tx.PrepareContext(ctx, `UPDATE users SET account = CASE WHEN $2 = '' THEN account ELSE $2 END, upn = $3, dn = $4,
		display_name = $5, mail = $6, state = $7, policy_id = $8, policy_from = $9, synchronised = $10, version = $11,
		name_folded = $12, path = $13 WHERE id = $1`)
	if err != nil {
		return fmt.Errorf("prepare writing of users: %w", err)
	}
	defer func() { err = errors.Join(err, update.Close()) }()
	for _, p := range b.planned {
		u := p.after
		path, _ := dnPath(u.DN) // a name that is none is below no OU
		path = cut(path, maxPath)
		if p.isNew() {
			added = append(added, []any{string(u.ID), string(u.Domain), u.GUID, string(u.Account), u.UPN, u.DN, u.DisplayName, u.Mail,
				string(u.State), string(u.Policy), string(u.PolicyFrom), int64(0), micros(u.Created), micros(u.Synchronised), u.Version,
				sortName(u), path})
			continue
		}
		account := string(u.Account)
		if !p.renamed() {
			account = "" // it may have been taken by another user just now
		}
		if _, err := update.ExecContext(ctx, string(u.ID), account, u.UPN, u.DN, u.DisplayName, u.Mail, string(u.State),
			string(u.Policy), string(u.PolicyFrom), micros(u.Synchronised), u.Version, sortName(u), path); err != nil {
			return fmt.Errorf("write user: %w", err)
		}
	}
	if len(added) == 0 {
		return nil
	}
	if err := b.store.engine.insertRows(ctx, b.tx.Tx, `INSERT INTO users (`+userColumns+`, name_folded, path)`, "", added); err != nil {
		return fmt.Errorf("write new users: %w", err)
	}
	return nil
}

// writeWords writes what new users, and those whose names changed, are found by.
func (b *userBatch) writeWords(ctx context.Context) (err error) {
	remove, err := b.tx.PrepareContext(ctx, `DELETE FROM user_words WHERE word = $1 AND user_id = $2`)
	if err != nil {
		return fmt.Errorf("prepare clearing of words: %w", err)
	}
	defer func() { err = errors.Join(err, remove.Close()) }()
	var rows [][]any
	for _, p := range b.planned {
		var before []string
		if !p.isNew() {
			before = userWords(p.before)
		}
		after := userWords(p.after)
		for _, word := range after {
			if _, found := slices.BinarySearch(before, word); !found {
				rows = append(rows, []any{word, string(p.after.ID)})
			}
		}
		for _, word := range before {
			if _, found := slices.BinarySearch(after, word); found {
				continue
			}
			if _, err := remove.ExecContext(ctx, word, string(p.after.ID)); err != nil {
				return fmt.Errorf("clear words of user: %w", err)
			}
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if err := b.store.engine.insertRows(ctx, b.tx.Tx, `INSERT INTO user_words (word, user_id)`, `ON CONFLICT (word, user_id) DO NOTHING`, rows); err != nil {
		return fmt.Errorf("write words of users: %w", err)
	}
	return nil
}

// touch notes that users were found as they are known.
func (b *userBatch) touch(ctx context.Context) error {
	if len(b.unchanged) == 0 {
		return nil
	}
	var c conditions
	c.add(`id IN (`+marks(len(b.unchanged))+`)`, texts(b.unchanged)...)
	c.args = append(c.args, micros(b.now))
	if _, err := b.tx.ExecContext(ctx, fmt.Sprintf(`UPDATE users SET synchronised = $%d%s`, len(c.args), c.where()), c.args...); err != nil {
		return fmt.Errorf("note synchronisation: %w", err)
	}
	return nil
}

// recordAll writes the audit record of the batch.
func (b *userBatch) recordAll() error {
	if len(b.planned) == 0 {
		return nil
	}
	after := struct {
		Applied
		Users []appliedUser `json:"users"`
	}{Applied: b.applied}
	for _, p := range b.planned {
		u := appliedUser{ID: p.after.ID, Account: p.after.Account, What: p.what}
		if p.renamed() {
			u.Was = p.before.Account
		}
		if !p.isNew() {
			u.Fields = p.fields
		}
		after.Users = append(after.Users, u)
	}
	return b.tx.record("users.synchronise", b.domainName, string(b.domain), nil, after)
}
