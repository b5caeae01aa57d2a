package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
)

// rekeyTimeout bounds a Rekey whose context has no deadline.
const rekeyTimeout = 10 * time.Minute

// sealedTable says where a table keeps sealed values. A test holds it against the schema, so that no
// column is forgotten.
type sealedTable struct {
	table string
	// key are the columns that name a row; the first of them is the row of the place.
	key     []string
	columns []sealedColumn
}

// sealedColumn is a column of sealed values and the columns that they are bound to, as its place has them.
type sealedColumn struct {
	name    string
	binding []string
}

// sealedTables are all tables with sealed values but meta.
var sealedTables = []sealedTable{
	{"integrations", []string{"id"}, []sealedColumn{{"sealed_secret", nil}, {"sealed_previous_secret", []string{"previous_until"}}, {"sealed_tls", nil}}},
	{"devices", []string{"id"}, []sealedColumn{
		{"sealed_seed", []string{"account", "public_key"}},
		{"sealed_details_key", []string{"account", "public_key"}},
	}},
	{"phones", []string{"id"}, []sealedColumn{{"sealed_number", []string{"account"}}}},
	{"user_passkeys", []string{"id"}, []sealedColumn{{"sealed_passkey", []string{"account", "host", "credential"}}}},
	{"enrolments", []string{"id"}, []sealedColumn{{"sealed_secret", []string{"account"}}}},
	{"invites", []string{"id"}, []sealedColumn{{"sealed_secret", nil}}},
	{"domains", []string{"id"}, []sealedColumn{{"sealed_bind_password", []string{"name", "servers", "authority", "bind_name"}}}},
	{"temporary_codes", []string{"id"}, []sealedColumn{{"sealed_code", []string{"account", "issued", "expires"}}}},
	{"otp_tokens", []string{"id"}, []sealedColumn{{"sealed_seed", []string{"account", "state", "kind", "algorithm", "digits", "period"}}}},
	{"otp_pins", []string{"account"}, []sealedColumn{{"sealed_hash", nil}}},
	{"token_servers", []string{"id"}, []sealedColumn{{"sealed_secret", []string{"host", "port", "unsigned"}}}},
	{"sections", []string{"name"}, []sealedColumn{{"sealed_value", nil}}},
	{"administration", []string{"one"}, []sealedColumn{{"sealed_role_grants", []string{"grants_version"}}, {"sealed_setup", nil}}},
	{"administrators", []string{"id"}, []sealedColumn{{"sealed_password", nil}, {"sealed_totp", nil}}},
	{"mails", []string{"id"}, []sealedColumn{{"sealed_content", []string{"recipients"}}}},
	{"passkeys", []string{"credential"}, []sealedColumn{{"sealed_passkey", []string{"administrator_id"}}}},
	{"console_sessions", []string{"hash"}, []sealedColumn{
		{"sealed_csrf", []string{"administrator_id", "second_factor", "created", "idle", "expires"}},
	}},
}

// Rekey encrypts everything secret anew, under a key derived from master (32 octets), in one
// transaction: after an error the database is under the old key as before, except that with
// unavailable nobody knows. This store goes on under the new key. Other processes cannot read or write
// secrets until they are restarted with the new master key, and say so; while Rekey runs, their
// changes wait or fail as unavailable. MACs and keyed hashes are made under keys that Rekey keeps.
func (s *Store) Rekey(ctx context.Context, master sallyport.Key) error {
	if len(master) != masterSize {
		return invalidf("The master key must have %d octets; this one has %d.", masterSize, len(master))
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, rekeyTimeout)
		defer cancel()
	}
	var salt [32]byte
	rand.Read(salt[:])
	current, next := s.box.current.Load(), newBoxKey(master, salt[:])
	err := s.engine.transact(ctx, func(tx *sql.Tx) error { return s.rekey(ctx, tx, next, salt[:]) })
	if err != nil {
		return s.engine.failure("change master key", err)
	}
	s.box.replace(current, next)
	return nil
}

func (s *Store) rekey(ctx context.Context, tx *sql.Tx, next *boxKey, salt []byte) error {
	// Waits for whoever seals, and makes others wait.
	var check []byte
	if err := tx.QueryRowContext(ctx, `UPDATE meta SET value = value WHERE name = $1 RETURNING value`, metaCheck).Scan(&check); err != nil {
		return fmt.Errorf("lock master key: %w", err)
	}
	if err := s.box.adopt(check); err != nil {
		return err
	}
	s.box.other.Store(next)
	if err := s.rekeyMeta(ctx, tx, next, salt); err != nil {
		return fmt.Errorf("rekey meta: %w", err)
	}
	for _, t := range sealedTables {
		if err := s.rekeyTable(ctx, tx, next, t); err != nil {
			return fmt.Errorf("rekey %s: %w", t.table, err)
		}
	}
	c := &changing{Tx: tx, raise: true}
	if err := c.record("master key.change", "master key", "", nil, nil); err != nil {
		return err
	}
	return s.finish(ctx, c)
}

// rekeyMeta replaces salt and check, and seals the kept keys under the next key, those of a newer
// program included.
func (s *Store) rekeyMeta(ctx context.Context, tx *sql.Tx, next *boxKey, salt []byte) error {
	rows, err := tx.QueryContext(ctx, `SELECT name, value FROM meta WHERE name LIKE $1`, metaKey+"%")
	if err != nil {
		return err
	}
	values := map[string][]byte{metaSalt: salt, metaCheck: next.seal(checkPlace, checkWord)}
	if _, err := collect(rows, func(rows *sql.Rows) (struct{}, error) {
		var name string
		var box []byte
		err := rows.Scan(&name, &box)
		if err == nil {
			box, err = s.box.open(keyPlace(name), box)
			values[name] = next.seal(keyPlace(name), box)
		}
		return struct{}{}, err
	}); err != nil {
		return err
	}
	for name, value := range values {
		if _, err := tx.ExecContext(ctx, `UPDATE meta SET value = $2 WHERE name = $1`, name, value); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

func (s *Store) rekeyTable(ctx context.Context, tx *sql.Tx, next *boxKey, t sealedTable) error {
	var last []any
	for {
		rows, err := s.sealedRows(ctx, tx, t, last)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := s.rekeyRow(ctx, tx, next, t, row); err != nil {
				return err
			}
		}
		if len(rows) < maxPage {
			return nil
		}
		last = rows[len(rows)-1][:len(t.key)]
	}
}

// sealedRows reads a page of a table: of each row the key, and then each sealed column with what it is
// bound to, in the order of the table's description.
func (s *Store) sealedRows(ctx context.Context, tx *sql.Tx, t sealedTable, last []any) ([][]any, error) {
	columns := append([]string(nil), t.key...)
	for _, c := range t.columns {
		columns = append(append(columns, c.name), c.binding...)
	}
	key := strings.Join(t.key, ", ")
	c := &conditions{}
	if last != nil {
		c.add("("+key+") > ("+strings.TrimSuffix(strings.Repeat("?, ", len(last)), ", ")+")", last...)
	}
	rows, err := tx.QueryContext(ctx, fmt.Sprintf(`SELECT %s FROM %s%s ORDER BY %s LIMIT %d`,
		strings.Join(columns, ", "), t.table, c.where(), key, maxPage), c.args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(rows *sql.Rows) ([]any, error) {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		return values, rows.Scan(into...)
	})
}

func (s *Store) rekeyRow(ctx context.Context, tx *sql.Tx, next *boxKey, t sealedTable, row []any) error {
	c := &conditions{}
	values := row[len(t.key):]
	for _, column := range t.columns {
		box, _ := values[0].([]byte) // nil for NULL: there is no secret
		p := place{table: t.table, column: column.name, row: plain(row[0])}
		for _, v := range values[1 : 1+len(column.binding)] {
			p.binding = append(p.binding, plain(v))
		}
		values = values[1+len(column.binding):]
		if box == nil {
			continue
		}
		secret, err := s.box.open(p, box)
		if err != nil {
			return err
		}
		c.add(column.name+" = ?", next.seal(p, secret))
	}
	if len(c.clauses) == 0 {
		return nil
	}
	set := strings.Join(c.clauses, ", ")
	c.clauses = nil
	for i, k := range t.key {
		c.add(k+" = ?", row[i])
	}
	_, err := tx.ExecContext(ctx, `UPDATE `+t.table+` SET `+set+c.where(), c.args...)
	return err
}

// plain writes a column's value as places have it.
func plain(v any) string {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case int64:
		return strconv.FormatInt(v, 10)
	default:
		return fmt.Sprint(v)
	}
}
