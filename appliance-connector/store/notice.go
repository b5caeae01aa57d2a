package store

import (
	"context"

	"github.com/sallyport/sallyport"
)

// Noticer writes the message that tells a user of a change of authenticators; ok is false when none is to be sent. It runs inside
// the transaction of the change, asks nothing but the settings, and what it cannot do does not stop the change.
type Noticer func(ctx context.Context, settings *Settings, u sallyport.User, c sallyport.AuthenticatorChange) (m sallyport.Mail, ok bool, err error)

// Settings are those of the store as a transaction sees them.
type Settings struct {
	store *Store
	tx    *changing
	err   error // of the engine, which ends the transaction
}

// Section returns settings that belong together, as the store's method of this name does.
func (s *Settings) Section(ctx context.Context, name string) (value []byte, version int64, err error) {
	kept, err := s.store.scanSection(s.tx.QueryRowContext(ctx, `SELECT value, sealed_value, version FROM sections WHERE name = $1`, name), name)
	if err != nil {
		s.err = err
		return nil, 0, err
	}
	if kept.sealed {
		return nil, 0, conflictf("The setting %q is a secret one.", name)
	}
	return kept.value, kept.version, nil
}

// WithNotices has users told of every authenticator that comes or goes, whoever changes it (nobody is told if not given). The message is
// queued in the transaction of the change: it is there when the change is, and else is not.
func WithNotices(write Noticer) Option { return func(s *Store) { s.notices = write } }

// authenticator notes that an authenticator of an account came or went, for finish to tell its owner.
func (c *changing) authenticator(account sallyport.AccountName, kind sallyport.AuthenticatorKind, name string, enrolled bool) {
	c.told = append(c.told, sallyport.AuthenticatorChange{Account: account, Kind: kind, Name: name, Enrolled: enrolled})
}

// tell queues the messages of a change.
func (s *Store) tell(ctx context.Context, tx *changing) error {
	if s.notices == nil {
		return nil
	}
	for _, c := range tx.told {
		if c.Account == "" {
			continue // of a spoiled row nobody knows whose it was
		}
		c.Time, c.Actor = s.now(), s.actor
		if err := s.tellOf(ctx, tx, c); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) tellOf(ctx context.Context, tx *changing, c sallyport.AuthenticatorChange) error {
	silent := func(why string) error {
		s.log.WarnContext(ctx, "user not told of a change of authenticators", "account", c.Account, "kind", c.Kind, "enrolled", c.Enrolled, "why", why)
		return nil
	}
	rows, err := tx.QueryContext(ctx, `SELECT `+userColumns+` FROM users WHERE account = $1`, string(c.Account))
	if err != nil {
		return err
	}
	u, known, err := one(collect(rows, scanUser))
	if err != nil {
		return err
	}
	if !known {
		return silent("the account is not in the list of users")
	}
	settings := &Settings{store: s, tx: tx}
	m, ok, err := s.notices(ctx, settings, u, c)
	switch {
	case settings.err != nil:
		return settings.err
	case err == nil && ok:
		err = checkMessage(m)
	}
	if err != nil {
		return silent(err.Error())
	}
	if !ok {
		return nil
	}
	err = s.queueMail(ctx, tx.Tx, m)
	if sallyport.ErrorCode(err) == sallyport.CodeLimited {
		return silent(sallyport.ErrorMessage(err))
	}
	return err
}
