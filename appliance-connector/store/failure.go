package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/sallyport/sallyport"
)

// maxWindow bounds how long failures are counted.
const maxWindow = 30 * 24 * time.Hour

// Failure counts one more failure of a kind (say "passcode") for an account and returns how many
// there are, this one included, in the window that began with the first of them. All appliances
// share the count, and no two callers get the same number: a caller that counts before it checks
// the guess, and takes the count back with ResetFailures when the guess was right, lets no more
// guesses through than it means to, however many come at once. Further failures do
// not prolong the window.
func (s *Store) Failure(ctx context.Context, account sallyport.AccountName, kind string, now time.Time, window time.Duration) (int, error) {
	if err := checkFailure(account, kind, window); err != nil {
		return 0, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	// A count that began in the future (a clock set back) is stale as well.
	count, err := s.engine.number(ctx, s.engine.write, `
		INSERT INTO failures (account, kind, failures, since, expires) VALUES ($1, $2, 1, $3, $4)
		ON CONFLICT (account, kind) DO UPDATE SET
			failures = CASE WHEN failures.since <= $5 OR failures.since > $4 THEN 1 ELSE failures.failures + 1 END,
			since    = CASE WHEN failures.since <= $5 OR failures.since > $4 THEN excluded.since ELSE failures.since END,
			expires  = CASE WHEN failures.since <= $5 OR failures.since > $4 THEN excluded.expires ELSE failures.expires END
		RETURNING failures`,
		string(account), kind, micros(now), micros(now.Add(window)), micros(now.Add(-window)))
	return int(count), s.engine.failure("count failure", err)
}

// Failures returns what the last Failure returned, or 0 once the window is over.
func (s *Store) Failures(ctx context.Context, account sallyport.AccountName, kind string, now time.Time, window time.Duration) (int, error) {
	if err := checkFailure(account, kind, window); err != nil {
		return 0, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	count, err := s.engine.number(ctx, s.engine.read,
		`SELECT failures FROM failures WHERE account = $1 AND kind = $2 AND since > $3 AND since <= $4`,
		string(account), kind, micros(now.Add(-window)), micros(now.Add(window)))
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return int(count), s.engine.failure("read failures", err)
}

// ResetFailures forgets the failures of a kind for an account.
func (s *Store) ResetFailures(ctx context.Context, account sallyport.AccountName, kind string) error {
	if err := checkFailure(account, kind, time.Second); err != nil {
		return err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	_, err := s.engine.exec(ctx, `DELETE FROM failures WHERE account = $1 AND kind = $2`, string(account), kind)
	return s.engine.failure("reset failures", err)
}

// TakeBackFailure undoes one Failure. There may be none left: the window is over, or they were reset.
func (s *Store) TakeBackFailure(ctx context.Context, account sallyport.AccountName, kind string) error {
	if err := checkFailure(account, kind, time.Second); err != nil {
		return err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	_, err := s.engine.exec(ctx, `UPDATE failures SET failures = failures - 1 WHERE account = $1 AND kind = $2 AND failures > 0`, string(account), kind)
	return s.engine.failure("take back failure", err)
}

func checkFailure(account sallyport.AccountName, kind string, window time.Duration) error {
	if window <= 0 || window > maxWindow {
		return invalidf("Failures are counted for at most %d days.", maxWindow/(24*time.Hour))
	}
	return first(checkAccount(account), checkID("kind of failure", kind))
}
