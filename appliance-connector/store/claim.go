package store

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
)

// maxClaims bounds how many keys are used at once.
const maxClaims = 8

// claimGrace is how much longer than asked a claim is kept: the clocks of two appliances differ.
const claimGrace = 2 * time.Minute

// Claim uses key (1 to 256 octets) for the only time: first is true for exactly one caller on all
// appliances of the database, until expires at least. After an error nobody knows whether the key
// was used, so the caller must refuse what it guards.
func (s *Store) Claim(ctx context.Context, key []byte, expires, now time.Time) (first bool, err error) {
	return s.ClaimAll(ctx, [][]byte{key}, expires, now)
}

// ClaimAll is Claim for 1 to 8 different keys that are used together: first is true when none of them was used
// before. All of them are used then, whatever it says. Callers that share keys name them in the same order.
func (s *Store) ClaimAll(ctx context.Context, keys [][]byte, expires, now time.Time) (first bool, err error) {
	if len(keys) == 0 || len(keys) > maxClaims {
		return false, invalidf("One to %d one-time keys are used at once.", maxClaims)
	}
	if expires.Before(now) {
		expires = now
	}
	args := []any{micros(expires.Add(claimGrace))}
	var values strings.Builder
	for n, key := range keys {
		if err := checkSize("one-time key", len(key), 1, maxClaim); err != nil {
			return false, err
		}
		if n > 0 {
			values.WriteString(", ")
		}
		args = append(args, key)
		values.WriteString("($" + strconv.Itoa(len(args)) + ", $1)")
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	n, err := s.engine.exec(ctx, `INSERT INTO claims (claim, expires) VALUES `+values.String()+` ON CONFLICT (claim) DO NOTHING`, args...)
	return n == int64(len(keys)), s.engine.failure("claim key", err)
}

// UseStep uses a step of a device's token code (RFC 6238: time divided by 30 s): first is true only
// when step is greater than every step used before for this device, for exactly one caller. The owner
// (at most 64 octets; a login, a RADIUS request) that used the newest step is told first again when it
// repeats itself, on any appliance; an empty owner is not. After an error the caller must refuse the code.
func (s *Store) UseStep(ctx context.Context, device sallyport.DeviceID, step int64, owner string) (first bool, err error) {
	if err := checkID("device", string(device)); err != nil {
		return false, err
	}
	if step < 0 {
		return false, invalidf("The step of a token code cannot be negative.")
	}
	if owner != "" {
		if err := checkID("owner", owner); err != nil {
			return false, err
		}
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	n, err := s.engine.exec(ctx,
		`UPDATE devices SET last_step = $2, last_owner = $3
		WHERE id = $1 AND (last_step < $2 OR last_step = $2 AND last_owner = $3 AND last_owner <> '')`, string(device), step, owner)
	if n == 1 || err != nil {
		return n == 1, s.engine.failure("use step", err)
	}
	// Used before, or there is no such device: the caller should know which.
	known, err := s.engine.number(ctx, s.engine.write, `SELECT COUNT(*) FROM devices WHERE id = $1`, string(device))
	if err == nil && known == 0 {
		return false, notFound("device")
	}
	return false, s.engine.failure("use step", err)
}
