package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/sallyport/sallyport"
)

// Integrations returns all integrations by nickname, as of one moment.
func (s *Store) Integrations(ctx context.Context) ([]sallyport.Integration, error) {
	list, err := s.integrations(ctx, "")
	slices.SortFunc(list, func(a, b sallyport.Integration) int {
		return cmp.Or(cmp.Compare(fold(a.Nickname), fold(b.Nickname)), cmp.Compare(a.ID, b.ID))
	})
	return list, err
}

// Integration returns one integration, or not_found.
func (s *Store) Integration(ctx context.Context, id sallyport.IntegrationID) (sallyport.Integration, error) {
	if err := checkID("integration", string(id)); err != nil {
		return sallyport.Integration{}, err
	}
	list, err := s.integrations(ctx, id)
	switch {
	case err != nil:
		return sallyport.Integration{}, err
	case len(list) == 0:
		return sallyport.Integration{}, notFound("integration")
	}
	return list[0], nil
}

func (s *Store) integrations(ctx context.Context, only sallyport.IntegrationID) (list []sallyport.Integration, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		list, err = s.readIntegrations(ctx, tx, only)
		return err
	})
	return list, s.engine.failure("read integrations", err)
}

// PutIntegration adds an integration (Version 0) or replaces the one whose Version it has, and returns
// it as it is now. Its nickname, compared without case, its client networks and its host names must be
// its own: those of another integration are a conflict. With an empty Secret the secret, and the one before
// it, stay as they are. MessageAuthenticatorSeen is the store's own: it is forgotten when the policy
// changes, and kept otherwise.
func (s *Store) PutIntegration(ctx context.Context, i sallyport.Integration) (sallyport.Integration, error) {
	if err := checkIntegration(i); err != nil {
		return sallyport.Integration{}, err
	}
	var saved sallyport.Integration
	err := s.change(ctx, "save integration", func(ctx context.Context, tx *changing) error {
		old, found, err := s.lockIntegration(ctx, tx, i.ID)
		if err != nil {
			return err
		}
		if err := tx.checkVersion(ctx, "integration", string(i.ID), old.Version, i.Version); err != nil {
			return err
		}
		next := i
		next.MessageAuthenticatorSeen = time.Time{}
		if found {
			next = inherit(i, old)
		}
		if err := checkOwn(ctx, tx.Tx, next); err != nil {
			return err
		}
		next.Version++
		if err := s.writeIntegration(ctx, tx.Tx, next); err != nil {
			return err
		}
		saved = next
		if !found {
			return tx.record("integration.create", next.Nickname, string(next.ID), nil, next)
		}
		return tx.record("integration.change", next.Nickname, string(next.ID), old, recordedIntegration{next, next.Secret != old.Secret})
	})
	if err != nil {
		return sallyport.Integration{}, err
	}
	return saved, nil
}

// recordedIntegration is an integration as the audit trail has it after a change, which does not show
// the secret, but that there is another.
type recordedIntegration struct {
	sallyport.Integration
	NewSecret bool `json:",omitempty"`
}

// inherit gives i what it has from the integration that it replaces.
func inherit(i, old sallyport.Integration) sallyport.Integration {
	if i.Secret == "" {
		i.Secret, i.PreviousSecret, i.PreviousUntil = old.Secret, old.PreviousSecret, old.PreviousUntil
	}
	i.MessageAuthenticatorSeen = time.Time{}
	if i.MessageAuthenticator == old.MessageAuthenticator {
		i.MessageAuthenticatorSeen = old.MessageAuthenticatorSeen
	}
	return i
}

// DeleteIntegration removes the integration whose version this is; 0 is any.
func (s *Store) DeleteIntegration(ctx context.Context, id sallyport.IntegrationID, version int64) error {
	if err := checkID("integration", string(id)); err != nil {
		return err
	}
	return s.change(ctx, "delete integration", func(ctx context.Context, tx *changing) error {
		old, found, err := s.lockIntegration(ctx, tx, id)
		if spoiled(err) {
			old, found, err = sallyport.Integration{ID: id, Version: version}, true, nil
		}
		switch {
		case err != nil:
			return err
		case !found:
			return notFound("integration")
		case version != 0:
			if err := tx.checkVersion(ctx, "integration", string(id), old.Version, version); err != nil {
				return err
			}
		}
		if err := deleteOne(ctx, tx.Tx, "integration", `DELETE FROM integrations WHERE id = $1`, string(id)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM gateway_health WHERE integration_id = $1`, string(id)); err != nil {
			return fmt.Errorf("forget health of gateway: %w", err)
		}
		return tx.record("integration.delete", old.Nickname, string(id), old, nil)
	})
}

// lockIntegration keeps others from changing an integration until the transaction ends, and returns it.
func (s *Store) lockIntegration(ctx context.Context, tx *changing, id sallyport.IntegrationID) (i sallyport.Integration, found bool, err error) {
	if _, err := tx.ExecContext(ctx, `UPDATE integrations SET version = version WHERE id = $1`, string(id)); err != nil {
		return i, false, fmt.Errorf("lock integration: %w", err)
	}
	list, err := s.readIntegrations(ctx, tx.Tx, id)
	if err != nil || len(list) == 0 {
		return i, false, err
	}
	return list[0], true, nil
}

// fold makes nicknames comparable the way people compare them.
func fold(s string) string { return cases.Fold().String(norm.NFC.String(s)) }
