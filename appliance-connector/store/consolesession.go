package store

import (
	"context"
	"database/sql"
	"strconv"
	"time"

	"github.com/sallyport/sallyport"
)

// ConsoleSession is somebody who is signed in to the console, or is about to be.
type ConsoleSession struct {
	// Hash is the SHA-256 of the session's id, which is not kept.
	Hash          [32]byte
	Administrator sallyport.AdministratorID
	// SecondFactor says whether the second factor was given.
	SecondFactor bool
	// CSRF is the secret that the session's forms carry, 16 to 64 octets.
	CSRF    sallyport.Key
	Address string // of the browser that signed in
	Created time.Time
	Used    time.Time     // last time
	Idle    time.Duration // how long after the last use it ends
	Expires time.Time     // when it ends however much it is used
}

const sessionColumns = `hash, administrator_id, sealed_csrf, second_factor, address, created, used, idle, expires`

// PutConsoleSession adds a session of an administrator. A session never changes but for when it was
// used: who gives the second factor gets a new one.
func (s *Store) PutConsoleSession(ctx context.Context, c ConsoleSession) error {
	if c.Idle <= 0 {
		return invalidf("A session must say how long it may be idle.")
	}
	c.Address = clean(c.Address, maxAddress)
	if err := first(checkID("administrator", string(c.Administrator)), checkSize("session's secret", len(c.CSRF), 16, 64),
		checkLife("session", c.Created, c.Expires)); err != nil {
		return err
	}
	return s.audited(ctx, "save session", func(ctx context.Context, tx *changing) error {
		if _, err := s.administratorIn(ctx, tx.Tx, c.Administrator); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO console_sessions (`+sessionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			c.Hash[:], string(c.Administrator), s.box.seal(sessionPlace(c), c.CSRF), b2i(c.SecondFactor), c.Address,
			micros(c.Created), micros(c.Created), c.Idle.Microseconds(), micros(c.Expires))
		return err
	})
}

// ConsoleSession returns the session with the hash: not_found, or expired once it is over or was idle
// for too long.
func (s *Store) ConsoleSession(ctx context.Context, hash [32]byte, now time.Time) (ConsoleSession, error) {
	list, err := s.consoleSessions(ctx, `SELECT `+sessionColumns+` FROM console_sessions WHERE hash = $1`, hash[:])
	c, err := only("session", list, err)
	if err == nil && (!c.Expires.After(now) || !c.Used.Add(c.Idle).After(now)) {
		return ConsoleSession{}, sallyport.Errorf(sallyport.CodeExpired, "Your session has ended. Please sign in again.", nil)
	}
	return c, err
}

// ConsoleSessions returns the sessions of an administrator that are not over at now, the newest first.
func (s *Store) ConsoleSessions(ctx context.Context, id sallyport.AdministratorID, now time.Time) ([]ConsoleSession, error) {
	if err := checkID("administrator", string(id)); err != nil {
		return nil, err
	}
	return s.consoleSessions(ctx, `SELECT `+sessionColumns+` FROM console_sessions
		WHERE administrator_id = $1 AND expires > $2 AND used + idle > $2 ORDER BY created DESC, hash`, string(id), micros(now))
}

// UseConsoleSession notes that the session was used at now; it goes forward only.
func (s *Store) UseConsoleSession(ctx context.Context, hash [32]byte, now time.Time) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	_, err := s.engine.exec(ctx, `UPDATE console_sessions SET used = $2 WHERE hash = $1 AND used < $2`, hash[:], micros(now))
	return s.engine.failure("use session", err)
}

// EndConsoleSession removes a session. Of all callers with one hash, exactly one is told that it existed.
func (s *Store) EndConsoleSession(ctx context.Context, hash [32]byte) (existed bool, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	n, err := s.engine.exec(ctx, `DELETE FROM console_sessions WHERE hash = $1`, hash[:])
	return n == 1, s.engine.failure("end session", err)
}

// EndConsoleSessions removes all sessions of an administrator and returns how many there were.
func (s *Store) EndConsoleSessions(ctx context.Context, id sallyport.AdministratorID) (int, error) {
	if err := checkID("administrator", string(id)); err != nil {
		return 0, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	n, err := s.engine.exec(ctx, `DELETE FROM console_sessions WHERE administrator_id = $1`, string(id))
	return int(n), s.engine.failure("end sessions", err)
}

func (s *Store) consoleSessions(ctx context.Context, query string, args ...any) ([]ConsoleSession, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read, query, args...)
	if err != nil {
		return nil, s.engine.failure("read sessions", err)
	}
	list, err := collect(rows, s.scanSession)
	return list, s.engine.failure("read sessions", err)
}

func (s *Store) scanSession(rows *sql.Rows) (c ConsoleSession, err error) {
	var hash, csrf []byte
	var second, created, used, idle, expires int64
	if err := rows.Scan(&hash, &c.Administrator, &csrf, &second, &c.Address, &created, &used, &idle, &expires); err != nil {
		return c, err
	}
	copy(c.Hash[:], hash)
	c.SecondFactor, c.Idle = second == 1, time.Duration(idle)*time.Microsecond
	c.Created, c.Used, c.Expires = fromMicros(created), fromMicros(used), fromMicros(expires)
	c.CSRF, err = s.box.open(sessionPlace(c), csrf)
	return c, err
}

// sessionPlace binds the secret to what the session permits: whoever can write to the database cannot
// sign in, nor make a session live on.
func sessionPlace(c ConsoleSession) place {
	return place{table: "console_sessions", column: "sealed_csrf", row: string(c.Hash[:]), binding: []string{
		string(c.Administrator), strconv.FormatInt(b2i(c.SecondFactor), 10), strconv.FormatInt(micros(c.Created), 10),
		strconv.FormatInt(c.Idle.Microseconds(), 10), strconv.FormatInt(micros(c.Expires), 10)}}
}
