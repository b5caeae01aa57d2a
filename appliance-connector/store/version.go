package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport"
)

// checkVersion settles whether an object may be saved: have is the version that is stored (0: nothing),
// given the one that the caller saw (0: a new object).
func (c *changing) checkVersion(ctx context.Context, noun, id string, have, given int64) error {
	switch {
	case have == given:
		return nil
	case have == 0:
		return notFound(noun)
	case given == 0:
		return conflictf("The identifier %q belongs to another %s already.", id, noun)
	}
	return c.overtaken(ctx, noun, id)
}

// overtaken is the conflict of a caller who saw an older version; it names who changed the object and when.
func (c *changing) overtaken(ctx context.Context, noun, id string) error {
	var kind, name string
	var when int64
	err := c.QueryRowContext(ctx, `SELECT actor_kind, actor_name, time FROM audit
		WHERE object_id = $1 AND substr(action, 1, $2) = $3 ORDER BY time DESC, sequence DESC LIMIT 1`,
		id, len(noun)+1, noun+".").Scan(&kind, &name, &when)
	if errors.Is(err, sql.ErrNoRows) {
		return overtakenf("This %s was changed after you opened it. Look at it again, then save your change.", noun)
	}
	if err != nil {
		return fmt.Errorf("read who changed %s: %w", noun, err)
	}
	if name == "" && sallyport.ActorKind(kind) == sallyport.ActorSystem {
		name = "the appliance itself"
	}
	return overtakenf("This %s was changed by %s on %s UTC, after you opened it. Look at it again, then save your change.",
		noun, cmp.Or(name, "somebody"), fromMicros(when).Format("2 January 2006 at 15:04:05"))
}

func overtakenf(format string, args ...any) error {
	return sallyport.Errorf(sallyport.CodeConflict, fmt.Sprintf(format, args...), sallyport.ErrOvertaken)
}

// checkName refuses a name that another object of the table has, compared without case.
func (c *changing) checkName(ctx context.Context, table, noun, id, name string) error {
	var other string
	err := c.QueryRowContext(ctx, `SELECT name FROM `+table+` WHERE name_folded = $1 AND id <> $2`, fold(name), id).Scan(&other)
	switch {
	case err == nil:
		return conflictf("The name %q belongs to another %s already.", other, noun)
	case errors.Is(err, sql.ErrNoRows):
		return nil
	}
	return fmt.Errorf("look for name: %w", err)
}

// verb is the word of the audit trail for saving an object.
func verb(have int64) string {
	if have == 0 {
		return "add"
	}
	return "change"
}

// orNothing is what an audit record shows of an object that may not have been there.
func orNothing(have int64, object any) any {
	if have == 0 {
		return nil
	}
	return object
}

// one returns the only element of a list that is empty when there is nothing.
func one[T any](list []T, err error) (v T, found bool, _ error) {
	if err != nil || len(list) == 0 {
		return v, false, err
	}
	return list[0], true, nil
}
