package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
)

// section is the noun of settings that belong together.
const section = "setting"

// Section returns settings that belong together ("mail", "retention") as JSON, with their version; nil and 0
// when they were never set. They are not secret: see SealedSection.
func (s *Store) Section(ctx context.Context, name string) (value []byte, version int64, err error) {
	kept, err := s.readSection(ctx, name)
	if err == nil && kept.sealed {
		return nil, 0, conflictf("The setting %q is a secret one.", name)
	}
	return kept.value, kept.version, err
}

// SetSection replaces settings that belong together when version is theirs now (0: never set), which is
// one higher then. The value is JSON of at most 64 KiB.
func (s *Store) SetSection(ctx context.Context, name string, value []byte, version int64) error {
	if err := checkID(section, name); err != nil {
		return err
	}
	if len(value) > maxSetting || !json.Valid(value) || !utf8.Valid(value) || bytes.ContainsRune(value, 0) {
		return invalidf("Settings are JSON of at most %d octets.", maxSetting)
	}
	return s.change(ctx, "save setting", func(ctx context.Context, tx *changing) error {
		before, err := s.lockSection(ctx, tx, name, version)
		if err != nil {
			return err
		}
		if before.sealed {
			return conflictf("The setting %q is a secret one.", name)
		}
		if err := writeSection(ctx, tx, name, string(value), nil, version+1); err != nil {
			return err
		}
		return tx.record(section+"."+verb(version), name, name, orNothing(version, json.RawMessage(before.value)), json.RawMessage(value))
	})
}

// SealedSection returns a secret setting, such as a password, with its version; empty and 0 when it was
// never set.
func (s *Store) SealedSection(ctx context.Context, name string) (value sallyport.Secret, version int64, err error) {
	kept, err := s.readSection(ctx, name)
	if err == nil && kept.version > 0 && !kept.sealed {
		return "", 0, conflictf("The setting %q is not a secret one.", name)
	}
	return sallyport.Secret(kept.value), kept.version, err
}

// SetSealedSection replaces a secret setting when version is its own now (0: never set), which is one
// higher then. It is kept encrypted, and shows as [redacted] in the audit trail; at most 64 KiB.
func (s *Store) SetSealedSection(ctx context.Context, name string, value sallyport.Secret, version int64) error {
	if err := first(checkID(section, name), checkSize("setting", len(value), 0, maxSetting)); err != nil {
		return err
	}
	return s.change(ctx, "save setting", func(ctx context.Context, tx *changing) error {
		before, err := s.lockSection(ctx, tx, name, version)
		if err != nil {
			return err
		}
		if before.version > 0 && !before.sealed {
			return conflictf("The setting %q is not a secret one.", name)
		}
		box := s.box.seal(sectionPlace(name), []byte(value))
		if err := writeSection(ctx, tx, name, "", box, version+1); err != nil {
			return err
		}
		return tx.record(section+"."+verb(version), name, name, orNothing(version, value), value)
	})
}

// keptSection is a section as it is in the database, opened.
type keptSection struct {
	value   []byte
	sealed  bool
	version int64
}

func (s *Store) readSection(ctx context.Context, name string) (keptSection, error) {
	if err := checkID(section, name); err != nil {
		return keptSection{}, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	kept, err := s.scanSection(s.engine.read.QueryRowContext(ctx, `SELECT value, sealed_value, version FROM sections WHERE name = $1`, name), name)
	return kept, s.engine.failure("read setting", err)
}

// lockSection reads a section for a change of the version that the caller saw.
func (s *Store) lockSection(ctx context.Context, tx *changing, name string, version int64) (keptSection, error) {
	kept, err := s.scanSection(tx.QueryRowContext(ctx, `SELECT value, sealed_value, version FROM sections WHERE name = $1`+s.engine.lockRows, name), name)
	if err == nil && kept.version != version {
		err = tx.overtaken(ctx, section, name)
	}
	return kept, err
}

func (s *Store) scanSection(row *sql.Row, name string) (kept keptSection, err error) {
	var value string
	var box []byte
	err = row.Scan(&value, &box, &kept.version)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return keptSection{}, nil
	case err != nil:
		return keptSection{}, err
	case box == nil:
		kept.value = []byte(value)
		return kept, nil
	}
	kept.sealed = true
	kept.value, err = s.box.open(sectionPlace(name), box)
	return kept, err
}

func writeSection(ctx context.Context, tx *changing, name, value string, box []byte, version int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO sections (name, value, sealed_value, version) VALUES ($1, $2, $3, $4)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value, sealed_value = excluded.sealed_value, version = excluded.version`,
		name, value, box, version)
	if err != nil {
		return fmt.Errorf("write setting: %w", err)
	}
	return nil
}

func sectionPlace(name string) place {
	return place{table: "sections", column: "sealed_value", row: name}
}
