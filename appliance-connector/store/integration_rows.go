package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/sallyport/sallyport"
)

const integrationColumns = `id, kind, nickname, note, sealed_secret, sealed_previous_secret, previous_until,
	message_authenticator, message_authenticator_seen, allow_non_licensed, attributes, language,
	experience, password_encoding, passcode_separator, ask_method, version, sealed_tls`

// writeIntegration writes all of an integration: a new row with version 1, the row that is there otherwise.
func (s *Store) writeIntegration(ctx context.Context, tx *sql.Tx, i sallyport.Integration) error {
	attributes, err := json.Marshal(append([]sallyport.GroupAttribute{}, i.Attributes...))
	if err != nil {
		return fmt.Errorf("encode attributes: %w", err)
	}
	var previous []byte
	if i.PreviousSecret != "" {
		previous = s.box.seal(previousPlace(i.ID, i.PreviousUntil), []byte(i.PreviousSecret))
	}
	var secured []byte
	if text, err := json.Marshal(i.TLS); err != nil {
		return fmt.Errorf("encode TLS settings: %w", err)
	} else if string(text) != "{}" {
		secured = s.box.seal(tlsPlace(i.ID), text)
	}
	statement := `INSERT INTO integrations (` + integrationColumns + `, nickname_folded)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`
	if i.Version > 1 {
		statement = `UPDATE integrations SET kind = $2, nickname = $3, note = $4, sealed_secret = $5, sealed_previous_secret = $6,
			previous_until = $7, message_authenticator = $8, message_authenticator_seen = $9, allow_non_licensed = $10,
			attributes = $11, language = $12, experience = $13, password_encoding = $14, passcode_separator = $15, ask_method = $16,
			version = $17, sealed_tls = $18, nickname_folded = $19 WHERE id = $1`
	}
	if _, err := tx.ExecContext(ctx, statement, string(i.ID), i.Kind, i.Nickname, i.Note, s.box.seal(secretPlace(i.ID), []byte(i.Secret)),
		previous, neverZero(i.PreviousUntil), string(i.MessageAuthenticator), neverZero(i.MessageAuthenticatorSeen), bit(i.AllowNonLicensed),
		string(attributes), i.Language, string(i.Experience), string(i.PasswordEncoding), i.PasscodeSeparator, bit(i.AskMethod), i.Version, secured, fold(i.Nickname)); err != nil {
		return fmt.Errorf("write integration: %w", err)
	}
	return writeLists(ctx, tx, i)
}

func writeLists(ctx context.Context, tx *sql.Tx, i sallyport.Integration) error {
	clients := make([]string, len(i.Clients))
	for n, prefix := range i.Clients {
		clients[n] = prefix.String()
	}
	for _, list := range []struct {
		table, column string
		texts         []string
	}{
		{"integration_clients", "prefix", clients},
		{"integration_hosts", "host", i.Hosts},
		{"integration_origins", "origin", i.Origins},
		{"integration_certificates", "fingerprint", i.TLS.Fingerprints},
	} {
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+list.table+` WHERE integration_id = $1`, string(i.ID)); err != nil {
			return fmt.Errorf("clear %s: %w", list.table, err)
		}
		for n, text := range list.texts {
			if _, err := tx.ExecContext(ctx, `INSERT INTO `+list.table+` (integration_id, position, `+list.column+`) VALUES ($1, $2, $3)`,
				string(i.ID), n, text); err != nil {
				return fmt.Errorf("write %s: %w", list.table, err)
			}
		}
	}
	return nil
}

// checkOwn looks for another integration with the same id, nickname, network or host name, to name it to the
// administrator; the schema's keys settle the case of two at once.
func checkOwn(ctx context.Context, tx *sql.Tx, i sallyport.Integration) error {
	type rival struct{ words, query, key string }
	rivals := []rival{{"There is an integration with the nickname %[2]q already.", `SELECT nickname FROM integrations WHERE nickname_folded = $1 AND id <> $2`, fold(i.Nickname)}}
	for _, prefix := range i.Clients {
		rivals = append(rivals, rival{"The address %[1]s belongs to the integration %[2]q already.",
			`SELECT i.nickname FROM integration_clients c JOIN integrations i ON i.id = c.integration_id WHERE c.prefix = $1 AND i.id <> $2`, prefix.String()})
	}
	for _, host := range i.Hosts {
		rivals = append(rivals, rival{"The host name %[1]s belongs to the integration %[2]q already.",
			`SELECT i.nickname FROM integration_hosts h JOIN integrations i ON i.id = h.integration_id WHERE h.host = $1 AND i.id <> $2`, host})
	}
	for _, f := range i.TLS.Fingerprints {
		rivals = append(rivals, rival{"The certificate %[1]s belongs to the integration %[2]q already.",
			`SELECT i.nickname FROM integration_certificates c JOIN integrations i ON i.id = c.integration_id WHERE c.fingerprint = $1 AND i.id <> $2`, f})
	}
	for _, r := range rivals {
		var other string
		err := tx.QueryRowContext(ctx, r.query, r.key, string(i.ID)).Scan(&other)
		if err == nil {
			return conflictf(r.words, r.key, other)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	return nil
}

// readIntegrations reads all integrations, or the one.
func (s *Store) readIntegrations(ctx context.Context, tx *sql.Tx, only sallyport.IntegrationID) ([]sallyport.Integration, error) {
	query, args := `SELECT `+integrationColumns+` FROM integrations`, []any(nil)
	if only != "" {
		query, args = query+` WHERE id = $1`, []any{string(only)}
	}
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	list, err := collect(rows, s.scanIntegration)
	if err != nil {
		return nil, err
	}
	return list, readLists(ctx, tx, list, only)
}

func (s *Store) scanIntegration(rows *sql.Rows) (i sallyport.Integration, err error) {
	var secret, previous, secured []byte
	var until, seen, nonLicensed, ask int64
	var attributes string
	if err := rows.Scan(&i.ID, &i.Kind, &i.Nickname, &i.Note, &secret, &previous, &until,
		&i.MessageAuthenticator, &seen, &nonLicensed, &attributes, &i.Language,
		&i.Experience, &i.PasswordEncoding, &i.PasscodeSeparator, &ask, &i.Version, &secured); err != nil {
		return i, err
	}
	i.PreviousUntil, i.MessageAuthenticatorSeen, i.AllowNonLicensed = orNever(until), orNever(seen), nonLicensed == 1
	i.AskMethod = ask == 1
	if err := json.Unmarshal([]byte(attributes), &i.Attributes); err != nil {
		return i, fmt.Errorf("decode attributes: %w", err)
	}
	if len(i.Attributes) == 0 {
		i.Attributes = nil
	}
	plain, err := s.box.open(secretPlace(i.ID), secret)
	if err != nil {
		return i, err
	}
	i.Secret = sallyport.Secret(plain)
	if secured != nil {
		if plain, err = s.box.open(tlsPlace(i.ID), secured); err != nil {
			return i, err
		}
		if err := json.Unmarshal(plain, &i.TLS); err != nil {
			return i, fmt.Errorf("decode TLS settings: %w", err)
		}
	}
	if previous != nil {
		if plain, err = s.box.open(previousPlace(i.ID, i.PreviousUntil), previous); err != nil {
			return i, err
		}
		i.PreviousSecret = sallyport.Secret(plain)
	}
	return i, nil
}

func readLists(ctx context.Context, tx *sql.Tx, list []sallyport.Integration, only sallyport.IntegrationID) error {
	clients, err := readList(ctx, tx, only, `SELECT integration_id, prefix FROM integration_clients`)
	if err != nil {
		return fmt.Errorf("read client networks: %w", err)
	}
	hosts, err := readList(ctx, tx, only, `SELECT integration_id, host FROM integration_hosts`)
	if err != nil {
		return fmt.Errorf("read host names: %w", err)
	}
	origins, err := readList(ctx, tx, only, `SELECT integration_id, origin FROM integration_origins`)
	if err != nil {
		return fmt.Errorf("read origins: %w", err)
	}
	for n := range list {
		i := &list[n]
		i.Hosts, i.Origins = hosts[i.ID], origins[i.ID]
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

// readList reads the texts that belong to integrations, or to the one, in their order.
func readList(ctx context.Context, tx *sql.Tx, only sallyport.IntegrationID, query string) (map[sallyport.IntegrationID][]string, error) {
	var args []any
	if only != "" {
		query, args = query+` WHERE integration_id = $1`, []any{string(only)}
	}
	rows, err := tx.QueryContext(ctx, query+` ORDER BY integration_id, position`, args...)
	if err != nil {
		return nil, err
	}
	out := make(map[sallyport.IntegrationID][]string)
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

func tlsPlace(id sallyport.IntegrationID) place {
	return place{table: "integrations", column: "sealed_tls", row: string(id)}
}

// previousPlace binds the secret that is being replaced to its end, which nobody can put off in the database.
func previousPlace(id sallyport.IntegrationID, until time.Time) place {
	return place{table: "integrations", column: "sealed_previous_secret", row: string(id),
		binding: []string{strconv.FormatInt(neverZero(until), 10)}}
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
