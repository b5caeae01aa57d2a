package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"unicode/utf8"
)

// Setting returns the value of a setting, or not_found when it was never set. Settings are not
// secret: they are kept as they are.
func (s *Store) Setting(ctx context.Context, name string) (value string, err error) {
	if err := checkID("setting", name); err != nil {
		return "", err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = s.engine.read.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = $1`, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", notFound("setting")
	}
	return value, s.engine.failure("read setting", err)
}

// SetSetting sets a setting. The value is UTF-8 without NUL, at most 64 KiB.
func (s *Store) SetSetting(ctx context.Context, name, value string) error {
	if err := checkID("setting", name); err != nil {
		return err
	}
	if len(value) > maxSetting || !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
		return invalidf("A setting is UTF-8 text without NUL, at most %d octets.", maxSetting)
	}
	return s.change(ctx, "save setting", func(ctx context.Context, tx *changing) error {
		var before any
		var old string
		err := tx.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = $1`, name).Scan(&old)
		if err == nil {
			before = old
		} else if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value); err != nil {
			return err
		}
		return tx.record("setting.change", name, name, before, value)
	})
}
