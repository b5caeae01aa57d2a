package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/sallyport/sallyport"
)

const (
	integrationColumns = `id, kind, nickname, sealed_secret, require_message_authenticator`
	integrationByID    = `SELECT ` + integrationColumns + ` FROM integrations WHERE id = $1`
)

// Integrations returns all integrations by nickname, as of one moment.
func (s *Store) Integrations(ctx context.Context) ([]sallyport.Integration, error) {
	list, err := s.integrations(ctx, `SELECT `+integrationColumns+` FROM integrations`)
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
	list, err := s.integrations(ctx, integrationByID, string(id))
	switch {
	case err != nil:
		return sallyport.Integration{}, err
	case len(list) == 0:
		return sallyport.Integration{}, notFound("integration")
	}
	return list[0], nil
}

// PutIntegration adds or replaces an integration. Its nickname, compared without case, and its
// client networks must be its own: those of another integration are a conflict.
func (s *Store) PutIntegration(ctx context.Context, i sallyport.Integration) error {
	if err := checkIntegration(i); err != nil {
		return err
	}
	return s.change(ctx, "save integration", func(ctx context.Context, tx *changing) error {
		if err := checkOwn(ctx, tx.Tx, i); err != nil {
			return err
		}
		before, err := s.integrationsIn(ctx, tx.Tx, integrationByID, string(i.ID))
		if err != nil {
			return err
		}
		if err := s.writeIntegration(ctx, tx.Tx, i); err != nil {
			return fmt.Errorf("write integration: %w", err)
		}
		if err := writeLists(ctx, tx.Tx, i); err != nil {
			return err
		}
		if len(before) == 0 {
			return tx.record("integration.create", i.Nickname, string(i.ID), nil, i)
		}
		return tx.record("integration.change", i.Nickname, string(i.ID), before[0], recordedIntegration{i, i.Secret != before[0].Secret})
	})
}

// recordedIntegration is an integration as the audit trail has it after a change, which does not show
// the secret, but that there is another.
type recordedIntegration struct {
	sallyport.Integration
	NewSecret bool `json:",omitempty"`
}

// DeleteIntegration removes an integration, or says not_found.
func (s *Store) DeleteIntegration(ctx context.Context, id sallyport.IntegrationID) error {
	if err := checkID("integration", string(id)); err != nil {
		return err
	}
	return s.change(ctx, "delete integration", func(ctx context.Context, tx *changing) error {
		list, err := s.integrationsIn(ctx, tx.Tx, integrationByID, string(id))
		before, err := only("integration", list, err)
		if err != nil {
			return err
		}
		if err := deleteOne(ctx, tx.Tx, "integration", `DELETE FROM integrations WHERE id = $1`, string(id)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM gateway_health WHERE integration_id = $1`, string(id)); err != nil {
			return fmt.Errorf("forget health of gateway: %w", err)
		}
		return tx.record("integration.delete", before.Nickname, string(id), before, nil)
	})
}

func (s *Store) writeIntegration(ctx context.Context, tx *sql.Tx, i sallyport.Integration) error {
	var require int64
	if i.RequireMessageAuthenticator {
		require = 1
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO integrations (`+integrationColumns+`, nickname_folded) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, nickname = excluded.nickname,
			nickname_folded = excluded.nickname_folded, sealed_secret = excluded.sealed_secret,
			require_message_authenticator = excluded.require_message_authenticator`,
		string(i.ID), i.Kind, i.Nickname, s.box.seal(secretPlace(i.ID), []byte(i.Secret)), require, fold(i.Nickname))
	return err
}

func writeLists(ctx context.Context, tx *sql.Tx, i sallyport.Integration) error {
	for _, table := range []string{"integration_clients", "integration_origins"} {
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE integration_id = $1`, string(i.ID)); err != nil {
			return fmt.Errorf("clear %s: %w", table, err)
		}
	}
	for n, prefix := range i.Clients {
		if _, err := tx.ExecContext(ctx, `INSERT INTO integration_clients (integration_id, position, prefix) VALUES ($1, $2, $3)`,
			string(i.ID), n, prefix.String()); err != nil {
			return fmt.Errorf("write client network: %w", err)
		}
	}
	for n, origin := range i.Origins {
		if _, err := tx.ExecContext(ctx, `INSERT INTO integration_origins (integration_id, position, origin) VALUES ($1, $2, $3)`,
			string(i.ID), n, origin); err != nil {
			return fmt.Errorf("write origin: %w", err)
		}
	}
	return nil
}

// checkOwn looks for another integration with the same nickname or network, to name it to the
// administrator; the schema's keys settle the case of two at once.
func checkOwn(ctx context.Context, tx *sql.Tx, i sallyport.Integration) error {
	var other string
	err := tx.QueryRowContext(ctx, `SELECT nickname FROM integrations WHERE nickname_folded = $1 AND id <> $2`,
		fold(i.Nickname), string(i.ID)).Scan(&other)
	if err == nil {
		return conflictf("There is an integration with the nickname %q already.", other)
	}
	for _, prefix := range i.Clients {
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		err = tx.QueryRowContext(ctx, `SELECT i.nickname FROM integration_clients c JOIN integrations i ON i.id = c.integration_id
			WHERE c.prefix = $1 AND i.id <> $2`, prefix.String(), string(i.ID)).Scan(&other)
		if err == nil {
			return conflictf("The address %s belongs to the integration %q already.", prefix, other)
		}
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return nil
}

func (s *Store) integrations(ctx context.Context, query string, args ...any) (list []sallyport.Integration, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		list, err = s.integrationsIn(ctx, tx, query, args...)
		return err
	})
	return list, s.engine.failure("read integrations", err)
}

func (s *Store) integrationsIn(ctx context.Context, tx *sql.Tx, query string, args ...any) ([]sallyport.Integration, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	list, err := collect(rows, s.scanIntegration)
	if err != nil {
		return nil, err
	}
	return list, readLists(ctx, tx, list)
}

func (s *Store) scanIntegration(rows *sql.Rows) (i sallyport.Integration, err error) {
	var require int64
	var box []byte
	if err := rows.Scan(&i.ID, &i.Kind, &i.Nickname, &box, &require); err != nil {
		return i, err
	}
	i.RequireMessageAuthenticator = require == 1
	secret, err := s.box.open(secretPlace(i.ID), box)
	i.Secret = sallyport.Secret(secret)
	return i, err
}

func readLists(ctx context.Context, tx *sql.Tx, list []sallyport.Integration) error {
	clients, err := readList(ctx, tx, list, `SELECT integration_id, prefix FROM integration_clients`)
	if err != nil {
		return fmt.Errorf("read client networks: %w", err)
	}
	origins, err := readList(ctx, tx, list, `SELECT integration_id, origin FROM integration_origins`)
	if err != nil {
		return fmt.Errorf("read origins: %w", err)
	}
	for n := range list {
		i := &list[n]
		i.Origins = origins[i.ID]
		for _, text := range clients[i.ID] {
			prefix, err := netip.ParsePrefix(text)
			if err != nil {
				return fmt.Errorf("parse client network: %w", err)
			}
			i.Clients = append(i.Clients, prefix)
		}
	}
	return nil
}

// readList reads the texts that belong to the integrations of list, in their order.
func readList(ctx context.Context, tx *sql.Tx, list []sallyport.Integration, query string) (map[sallyport.IntegrationID][]string, error) {
	var args []any
	if len(list) == 1 {
		query, args = query+` WHERE integration_id = $1`, []any{string(list[0].ID)}
	}
	rows, err := tx.QueryContext(ctx, query+` ORDER BY integration_id, position`, args...)
	if err != nil {
		return nil, err
	}
	out := make(map[sallyport.IntegrationID][]string, len(list))
	_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
		var id sallyport.IntegrationID
		var text string
		err := rows.Scan(&id, &text)
		out[id] = append(out[id], text)
		return struct{}{}, err
	})
	return out, err
}

func secretPlace(id sallyport.IntegrationID) place {
	return place{table: "integrations", column: "sealed_secret", row: string(id)}
}

// fold makes nicknames comparable the way people compare them.
func fold(s string) string { return cases.Fold().String(norm.NFC.String(s)) }
