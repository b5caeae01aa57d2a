package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/sallyport/sallyport"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migration is one step of the schema; its version is the number its file name starts with. A
// released one never changes: a correction is a new one.
type migration struct {
	version int64
	name    string
	text    string
}

// migrate brings the schema to the newest version, each step in its own transaction together with
// its mark, while other processes wait. A schema newer than this program is refused: an older
// appliance must not write what it does not understand.
func migrate(ctx context.Context, e *engine) error {
	steps, err := readMigrations(migrations)
	if err != nil {
		return err
	}
	for {
		var done bool
		err := inTx(ctx, e.write, nil, func(tx *sql.Tx) error {
			var err error
			done, err = migrateOne(ctx, e, tx, steps)
			return err
		})
		if err != nil {
			return e.failure("migrate schema", err)
		}
		if done {
			return nil
		}
	}
}

func migrateOne(ctx context.Context, e *engine, tx *sql.Tx, steps []migration) (done bool, err error) {
	if e.migrationLock != "" {
		if _, err := tx.ExecContext(ctx, `SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0;`+e.migrationLock); err != nil {
			return false, fmt.Errorf("lock schema: %w", err)
		}
	}
	version, err := schemaVersion(ctx, e, tx)
	if err != nil {
		return false, err
	}
	if version > int64(len(steps)) {
		return false, sallyport.Errorf(sallyport.CodeUnsupported,
			fmt.Sprintf("The database has schema version %d; this program knows %d. Upgrade this appliance first.", version, len(steps)), nil)
	}
	if version == int64(len(steps)) {
		return true, nil
	}
	step := steps[version]
	if _, err := tx.ExecContext(ctx, e.schema(step.text)); err != nil {
		return false, fmt.Errorf("run migration %s: %w", step.name, err)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO migrations (version, name) VALUES ($1, $2)`, step.version, step.name); err != nil {
		return false, fmt.Errorf("mark migration %s: %w", step.name, err)
	}
	return false, nil
}

func schemaVersion(ctx context.Context, e *engine, tx *sql.Tx) (version int64, err error) {
	const table = `CREATE TABLE IF NOT EXISTS migrations (
    version BIGINT NOT NULL PRIMARY KEY,
    name    TEXT NOT NULL
);`
	if _, err := tx.ExecContext(ctx, e.schema(table)); err != nil {
		return 0, fmt.Errorf("make table of migrations: %w", err)
	}
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM migrations`).Scan(&version); err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	return version, nil
}

// readMigrations reads the steps in order and refuses a gap: versions are 1, 2, 3, …
func readMigrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "migrations/*.sql") // sorted
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	steps := make([]migration, len(names))
	for i, name := range names {
		base := name[len("migrations/"):]
		version, err := strconv.ParseInt(base[:min(4, len(base))], 10, 64)
		if err != nil || version != int64(i+1) {
			return nil, fmt.Errorf("migration %s: want version %d", base, i+1)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", base, err)
		}
		steps[i] = migration{version: version, name: base, text: string(text)}
	}
	return steps, nil
}
