package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/sallyport/sallyport"
)

// minPoll bounds how often Watch asks the database.
const minPoll = 10 * time.Millisecond

// change runs fn, writes its audit records, and raises the revision in one transaction. The revision's
// row is written last and held until the commit, so that revisions become visible in their order.
func (s *Store) change(ctx context.Context, doing string, fn func(context.Context, *changing) error) error {
	return s.audited(ctx, doing, func(ctx context.Context, tx *changing) error {
		tx.raise = true
		return fn(ctx, tx)
	})
}

// audited is change for what the other appliances need not read again: it leaves the revision alone.
func (s *Store) audited(ctx context.Context, doing string, fn func(context.Context, *changing) error) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	err := s.engine.transact(ctx, func(tx *sql.Tx) error {
		if err := s.underKey(ctx, tx); err != nil {
			return err
		}
		c := &changing{Tx: tx}
		if err := fn(ctx, c); err != nil {
			return err
		}
		if err := s.tell(ctx, c); err != nil {
			return err
		}
		return s.finish(ctx, c)
	})
	return s.engine.failure(doing, err)
}

// finish writes what every change ends with.
func (s *Store) finish(ctx context.Context, c *changing) error {
	if err := s.appendAudit(ctx, c.Tx, c.records); err != nil || !c.raise {
		return err
	}
	_, err := c.ExecContext(ctx, `UPDATE revision SET value = value + 1`)
	return err
}

// takeTime lets the statements of a change run for long, on an engine that ends such ones by itself.
func (s *Store) takeTime(ctx context.Context, tx *changing) error {
	if s.engine.takeTime == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, s.engine.takeTime)
	return err
}

// Revision returns a number that grows with every change of integrations, devices or settings. Who
// reads the revision first and the things after it never holds things older than the revision says.
func (s *Store) Revision(ctx context.Context) (revision int64, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	revision, err = s.engine.number(ctx, s.engine.read, `SELECT value FROM revision`)
	return revision, s.engine.failure("read revision", err)
}

// Watch calls changed with the revision found first and then with each new one, asking every so
// often (10 ms at least), until ctx ends; it returns ctx's error. While the database does not answer
// it goes on asking. Revisions that follow quickly on one another are told once.
func (s *Store) Watch(ctx context.Context, every time.Duration, changed func(revision int64)) error {
	ticker := time.NewTicker(max(every, minPoll))
	defer ticker.Stop()
	var last int64
	var lost bool
	for {
		revision, err := s.Revision(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !lost:
			lost = true
			s.log.Warn("database does not answer; changes by others wait", "code", sallyport.ErrorCode(err), "error", err)
		case err == nil && lost:
			lost = false
			s.log.Info("database answers again")
		}
		// Not only greater: a standby that took over may be a little behind.
		if err == nil && revision != last {
			last = revision
			changed(revision)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
