package store

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
)

const (
	otpToken = "OTP token"
	// otpTokenPlain are the columns of a token without its seed.
	otpTokenPlain   = `id, serial, kind, algorithm, digits, period, next, drift, account, state, maker, imported, assigned, used, version`
	otpTokenColumns = otpTokenPlain + `, sealed_seed`
	// maxOTPTokens is how many OTP tokens an account may have.
	maxOTPTokens = 10
	// serialsAtOnce is how many serial numbers are looked up by one statement.
	serialsAtOnce = 500
)

// ImportedOTPTokens is what became of an import.
type ImportedOTPTokens struct {
	Added int
	Known int // were there already, just as in the import; left as they are
}

// ImportOTPTokens adds tokens, all or none, at most sallyport.OTPImportMost. Each gets an ID, and is nobody's and
// active. One that is known with the same seed stays as it is, its counter and owner included, so that a file
// may be imported again; with another seed, it is a conflict.
func (s *Store) ImportOTPTokens(ctx context.Context, tokens []sallyport.OTPToken) (done ImportedOTPTokens, err error) {
	if len(tokens) == 0 || len(tokens) > sallyport.OTPImportMost {
		return done, invalidf("An import has 1 to %d OTP tokens.", sallyport.OTPImportMost)
	}
	now := s.now()
	fresh := make([]sallyport.OTPToken, len(tokens))
	seen := make(map[string]bool, len(tokens))
	for i, t := range tokens {
		if err := checkOTPToken(t); err != nil {
			return done, err
		}
		if seen[fold(t.Serial)] {
			return done, invalidf("The serial number %q occurs twice.", t.Serial)
		}
		seen[fold(t.Serial)] = true
		t.ID, t.Account, t.State, t.Assigned, t.Used = sallyport.OTPTokenID(sallyport.NewID()), "", sallyport.OTPTokenActive, time.Time{}, time.Time{}
		t.Imported, t.Version = now, 1
		fresh[i] = t
	}
	ctx, cancel := patiently(ctx)
	defer cancel()
	err = s.change(ctx, "import OTP tokens", func(ctx context.Context, tx *changing) error {
		done, err = s.importTokens(ctx, tx, fresh)
		tx.raise = done.Added > 0
		return err
	})
	if err != nil {
		return ImportedOTPTokens{}, err
	}
	return done, nil
}

func (s *Store) importTokens(ctx context.Context, tx *changing, tokens []sallyport.OTPToken) (done ImportedOTPTokens, err error) {
	known, err := s.knownTokens(ctx, tx.Tx, tokens, s.engine.lockRows)
	if err != nil {
		return done, err
	}
	var rows [][]any
	var serials []string
	for _, t := range tokens {
		if k, is := known[fold(t.Serial)]; is {
			if !sameToken(k, t) {
				return done, conflictf("The OTP token %q is known already, with another secret or as another kind. Leave it out of the import, or delete it first.", t.Serial)
			}
			done.Known++
			continue
		}
		serials = append(serials, t.Serial)
		rows = append(rows, []any{string(t.ID), t.Serial, fold(t.Serial), string(t.Kind), string(t.Algorithm), t.Digits, t.Period.Microseconds(), t.Next, t.Drift,
			string(t.Account), string(t.State), t.Maker, micros(t.Imported), neverZero(t.Assigned), neverZero(t.Used), t.Version, s.box.seal(otpTokenPlace(t), t.Seed), ""})
	}
	if done.Added = len(rows); done.Added == 0 {
		return done, nil
	}
	if err := s.engine.insertRows(ctx, tx.Tx, `INSERT INTO otp_tokens (id, serial, serial_folded, kind, algorithm, digits, period, next, drift,
		account, state, maker, imported, assigned, used, version, sealed_seed, last_owner)`, "", rows); err != nil {
		return done, fmt.Errorf("write OTP tokens: %w", err)
	}
	return done, tx.record(otpToken+".import", fmt.Sprintf("%d OTP tokens", done.Added), "", nil, map[string]any{"added": serials, "known": done.Known})
}

// ComparedOTPTokens is what an import would come to.
type ComparedOTPTokens struct {
	New   int
	Known int // there already, just as in the import
	// Other are the serial numbers of those that are there with another secret or as another kind: the import would
	// be refused.
	Other []string
}

// CompareOTPTokens says what ImportOTPTokens would do, and changes nothing.
func (s *Store) CompareOTPTokens(ctx context.Context, tokens []sallyport.OTPToken) (c ComparedOTPTokens, err error) {
	if len(tokens) == 0 || len(tokens) > sallyport.OTPImportMost {
		return c, invalidf("An import has 1 to %d OTP tokens.", sallyport.OTPImportMost)
	}
	ctx, cancel := patiently(ctx)
	defer cancel()
	var known map[string]sallyport.OTPToken
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		known, err = s.knownTokens(ctx, tx, tokens, "")
		return err
	})
	if err != nil {
		return c, s.engine.failure("compare OTP tokens", err)
	}
	for _, t := range tokens {
		switch k, is := known[fold(t.Serial)]; {
		case !is:
			c.New++
		case sameToken(k, t):
			c.Known++
		default:
			c.Other = append(c.Other, t.Serial)
		}
	}
	return c, nil
}

// knownTokens reads those of the tokens that there are already, by their folded serial numbers.
func (s *Store) knownTokens(ctx context.Context, tx *sql.Tx, tokens []sallyport.OTPToken, lock string) (map[string]sallyport.OTPToken, error) {
	known := make(map[string]sallyport.OTPToken)
	for len(tokens) > 0 {
		part := tokens[:min(serialsAtOnce, len(tokens))]
		tokens = tokens[len(part):]
		serials := make([]any, len(part))
		for i, t := range part {
			serials[i] = fold(t.Serial)
		}
		var c conditions
		c.add(`serial_folded IN (`+marks(len(serials))+`)`, serials...)
		list, err := s.readTokens(ctx, tx, c, lock)
		if err != nil {
			return nil, err
		}
		for _, t := range list {
			known[fold(t.Serial)] = t
		}
	}
	return known, nil
}

func sameToken(a, b sallyport.OTPToken) bool {
	return a.Kind == b.Kind && a.Algorithm == b.Algorithm && a.Digits == b.Digits && a.Period == b.Period && bytes.Equal(a.Seed, b.Seed)
}

// OTPToken returns one token with its seed, or not_found.
func (s *Store) OTPToken(ctx context.Context, id sallyport.OTPTokenID) (sallyport.OTPToken, error) {
	if err := checkID(otpToken, string(id)); err != nil {
		return sallyport.OTPToken{}, err
	}
	list, err := s.otpTokens(ctx, `id = ?`, string(id))
	if err == nil && len(list) == 0 {
		err = notFound(otpToken)
	}
	if err != nil {
		return sallyport.OTPToken{}, err
	}
	return list[0], nil
}

// OTPTokensOf returns the tokens of an account with their seeds, by serial number; none is no error.
func (s *Store) OTPTokensOf(ctx context.Context, account sallyport.AccountName) ([]sallyport.OTPToken, error) {
	if err := checkAccount(account); err != nil {
		return nil, err
	}
	return s.otpTokens(ctx, `account = ?`, string(account))
}

func (s *Store) otpTokens(ctx context.Context, clause, value string) ([]sallyport.OTPToken, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	var c conditions
	c.add(clause, value)
	rows, err := s.engine.query(ctx, s.engine.read, `SELECT `+otpTokenColumns+` FROM otp_tokens`+c.where()+` ORDER BY serial_folded`, c.args...)
	if err != nil {
		return nil, s.engine.failure("read OTP tokens", err)
	}
	list, err := collect(rows, s.scanOTPToken)
	return list, s.engine.failure("read OTP tokens", err)
}

// tokensIn reads tokens inside a transaction, and keeps them from being changed by others until it ends.
func (s *Store) tokensIn(ctx context.Context, tx *sql.Tx, c conditions) ([]sallyport.OTPToken, error) {
	return s.readTokens(ctx, tx, c, s.engine.lockRows)
}

func (s *Store) readTokens(ctx context.Context, tx *sql.Tx, c conditions, lock string) ([]sallyport.OTPToken, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+otpTokenColumns+` FROM otp_tokens`+c.where()+lock, c.args...)
	if err != nil {
		return nil, fmt.Errorf("read OTP tokens: %w", err)
	}
	return collect(rows, s.scanOTPToken)
}

func (s *Store) scanOTPToken(rows *sql.Rows) (t sallyport.OTPToken, err error) {
	var box []byte
	if t, err = scanPlainToken(rows, &box); err != nil {
		return t, err
	}
	t.Seed, err = s.box.open(otpTokenPlace(t), box)
	return t, err
}

// scanPlainToken reads a token without its seed.
func scanPlainToken(rows *sql.Rows, more ...any) (t sallyport.OTPToken, err error) {
	var period, imported, assigned, used int64
	err = rows.Scan(append([]any{&t.ID, &t.Serial, &t.Kind, &t.Algorithm, &t.Digits, &period, &t.Next, &t.Drift,
		&t.Account, &t.State, &t.Maker, &imported, &assigned, &used, &t.Version}, more...)...)
	t.Period = time.Duration(period) * time.Microsecond
	t.Imported, t.Assigned, t.Used = fromMicros(imported), orNever(assigned), orNever(used)
	return t, err
}

// otpTokenPlace binds a seed to what it is used with: whoever can write to the database can neither give
// somebody another token, nor bring back one that was disabled.
func otpTokenPlace(t sallyport.OTPToken) place {
	return place{table: "otp_tokens", column: "sealed_seed", row: string(t.ID), binding: []string{
		string(t.Account), string(t.State), string(t.Kind), string(t.Algorithm), fmt.Sprint(t.Digits), fmt.Sprint(t.Period.Microseconds())}}
}

func checkOTPToken(t sallyport.OTPToken) error {
	if problem := t.Problem(); problem != "" {
		return invalidf("OTP token %q: %s", clean(t.Serial, sallyport.OTPSerialMost), problem)
	}
	if t.Maker != "" {
		return checkText("maker of the OTP token", t.Maker, maxName)
	}
	return nil
}
