package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
)

// accountTables are what is kept under an account's name.
var accountTables = [...]string{"devices", "phones", "user_passkeys", "enrolments", "temporary_codes", "otp_pins", "failures", "remembered"}

// endThings deletes what is kept under names that other users take, and records it. OTP tokens become
// nobody's.
func (b *userBatch) endThings(ctx context.Context) error {
	for _, e := range b.ended {
		deleted := make(map[string]int64)
		devices, err := b.deviceNames(ctx, e.account)
		if err != nil {
			return err
		}
		tokens, err := b.freeTokens(ctx, e.account)
		if err != nil {
			return err
		}
		for _, table := range accountTables {
			result, err := b.tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE account = $1`, string(e.account))
			if err != nil {
				return fmt.Errorf("delete %s of a name that is taken: %w", table, err)
			}
			n, err := result.RowsAffected()
			if err != nil {
				return fmt.Errorf("delete %s of a name that is taken: %w", table, err)
			}
			if n > 0 {
				deleted[table] = n
			}
		}
		if len(deleted)+len(tokens) == 0 {
			continue
		}
		before := struct {
			Deleted map[string]int64              `json:"deleted"`
			Devices map[sallyport.DeviceID]string `json:"devices,omitempty"`
			Tokens  []string                      `json:"otpTokensTaken,omitempty"` // serial numbers
		}{deleted, devices, tokens}
		if err := b.tx.record("user.lose account", string(e.account), string(e.holder), before, nil); err != nil {
			return err
		}
	}
	return nil
}

// deviceNames reads what devices an account has, without their secrets.
func (b *userBatch) deviceNames(ctx context.Context, account sallyport.AccountName) (map[sallyport.DeviceID]string, error) {
	rows, err := b.tx.QueryContext(ctx, `SELECT id, name FROM devices WHERE account = $1`, string(account))
	if err != nil {
		return nil, fmt.Errorf("read devices of a name that is taken: %w", err)
	}
	names := make(map[sallyport.DeviceID]string)
	_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
		var id sallyport.DeviceID
		var name string
		err := rows.Scan(&id, &name)
		names[id] = name
		return struct{}{}, err
	})
	return names, err
}

// moveThings gives what is kept under the old names the new ones. All is read before anything is
// written, so that users may swap their names.
func (b *userBatch) moveThings(ctx context.Context) error {
	to := make(map[sallyport.AccountName]sallyport.AccountName, len(b.moves))
	names := make([]sallyport.AccountName, 0, len(b.moves))
	for _, m := range b.moves {
		to[m.from] = m.to
		names = append(names, m.from)
	}
	for _, move := range []func(context.Context, []sallyport.AccountName, map[sallyport.AccountName]sallyport.AccountName) error{
		b.moveDevices, b.movePhones, b.movePasskeys, b.moveEnrolments, b.moveCodes, b.moveTokens, b.movePINs, b.moveFailures, b.forgetRemembered,
	} {
		if err := move(ctx, names, to); err != nil {
			return err
		}
	}
	return nil
}

func (b *userBatch) moveDevices(ctx context.Context, names []sallyport.AccountName, to map[sallyport.AccountName]sallyport.AccountName) error {
	rows, err := b.tx.QueryContext(ctx, `SELECT `+deviceColumns+` FROM devices`+inAccounts(names)+b.store.engine.lockRows, texts(names)...)
	if err != nil {
		return fmt.Errorf("read devices: %w", err)
	}
	list, err := collect(rows, b.store.scanDevice)
	for _, d := range list {
		d.Account = to[d.Account]
		if _, err := b.tx.ExecContext(ctx, `UPDATE devices SET account = $2, sealed_seed = $3, sealed_details_key = $4 WHERE id = $1`,
			string(d.ID), string(d.Account), b.store.box.seal(devicePlace(d, "sealed_seed"), d.Seed),
			b.store.box.seal(devicePlace(d, "sealed_details_key"), d.DetailsKey)); err != nil {
			return fmt.Errorf("move device: %w", err)
		}
	}
	return err
}

func (b *userBatch) movePhones(ctx context.Context, names []sallyport.AccountName, to map[sallyport.AccountName]sallyport.AccountName) error {
	rows, err := b.tx.QueryContext(ctx, `SELECT `+phoneColumns+` FROM phones`+inAccounts(names)+b.store.engine.lockRows, texts(names)...)
	if err != nil {
		return fmt.Errorf("read phone numbers: %w", err)
	}
	list, err := collect(rows, b.store.scanPhone)
	for _, p := range list {
		p.Account = to[p.Account]
		if _, err := b.tx.ExecContext(ctx, `UPDATE phones SET account = $2, sealed_number = $3 WHERE id = $1`,
			string(p.ID), string(p.Account), b.store.box.seal(phonePlace(p), []byte(p.Number))); err != nil {
			return fmt.Errorf("move phone number: %w", err)
		}
	}
	return err
}

func (b *userBatch) movePasskeys(ctx context.Context, names []sallyport.AccountName, to map[sallyport.AccountName]sallyport.AccountName) error {
	rows, err := b.tx.QueryContext(ctx, `SELECT `+userPasskeyColumns+` FROM user_passkeys`+inAccounts(names)+b.store.engine.lockRows, texts(names)...)
	if err != nil {
		return fmt.Errorf("read passkeys: %w", err)
	}
	list, err := collect(rows, b.store.scanUserPasskey)
	for _, p := range list {
		p.Account = to[p.Account]
		if _, err := b.tx.ExecContext(ctx, `UPDATE user_passkeys SET account = $2, sealed_passkey = $3, version = version + 1 WHERE id = $1`,
			string(p.ID), string(p.Account), b.store.box.seal(userPasskeyPlace(p), p.Kept)); err != nil {
			return fmt.Errorf("move passkey: %w", err)
		}
	}
	return err
}

func (b *userBatch) moveEnrolments(ctx context.Context, names []sallyport.AccountName, to map[sallyport.AccountName]sallyport.AccountName) error {
	rows, err := b.tx.QueryContext(ctx, `SELECT id, account, sealed_secret, created, expires FROM enrolments`+inAccounts(names)+b.store.engine.lockRows, texts(names)...)
	if err != nil {
		return fmt.Errorf("read enrolments: %w", err)
	}
	list, err := collect(rows, b.store.scanEnrolment)
	for _, e := range list {
		e.Account = to[e.Account]
		if _, err := b.tx.ExecContext(ctx, `UPDATE enrolments SET account = $2, sealed_secret = $3 WHERE id = $1`,
			string(e.ID), string(e.Account), b.store.box.seal(enrolmentPlace(e), e.Secret)); err != nil {
			return fmt.Errorf("move enrolment: %w", err)
		}
	}
	return err
}

func (b *userBatch) moveCodes(ctx context.Context, names []sallyport.AccountName, to map[sallyport.AccountName]sallyport.AccountName) error {
	rows, err := b.tx.QueryContext(ctx, `SELECT `+temporaryCodeColumns+`, sealed_code FROM temporary_codes`+inAccounts(names)+b.store.engine.lockRows, texts(names)...)
	if err != nil {
		return fmt.Errorf("read temporary codes: %w", err)
	}
	list, err := collect(rows, b.store.scanKeptCode)
	if err != nil {
		return err
	}
	// An account has one code of use: first they all let go.
	if _, err := b.tx.ExecContext(ctx, `UPDATE temporary_codes SET sealed_code = NULL`+inAccounts(names), texts(names)...); err != nil {
		return fmt.Errorf("move temporary codes: %w", err)
	}
	for _, k := range list {
		var box []byte
		k.Account = to[k.Account]
		if k.mac != nil {
			box = b.store.box.seal(codePlace(k.TemporaryCode), k.mac)
		}
		if _, err := b.tx.ExecContext(ctx, `UPDATE temporary_codes SET account = $2, sealed_code = $3 WHERE id = $1`, k.ID, string(k.Account), box); err != nil {
			return fmt.Errorf("move temporary code: %w", err)
		}
	}
	return nil
}

// moveFailures takes the counts along: a new name is no new chance to guess.
func (b *userBatch) moveFailures(ctx context.Context, names []sallyport.AccountName, to map[sallyport.AccountName]sallyport.AccountName) error {
	type count struct {
		account                  sallyport.AccountName
		kind                     string
		failures, since, expires int64
	}
	rows, err := b.tx.QueryContext(ctx, `DELETE FROM failures`+inAccounts(names)+` RETURNING account, kind, failures, since, expires`, texts(names)...)
	if err != nil {
		return fmt.Errorf("read failures: %w", err)
	}
	list, err := collect(rows, func(rows *sql.Rows) (c count, err error) {
		return c, rows.Scan(&c.account, &c.kind, &c.failures, &c.since, &c.expires)
	})
	for _, c := range list {
		if _, err := b.tx.ExecContext(ctx, `INSERT INTO failures (account, kind, failures, since, expires) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (account, kind) DO UPDATE SET failures = excluded.failures, since = excluded.since, expires = excluded.expires`,
			string(to[c.account]), c.kind, c.failures, c.since, c.expires); err != nil {
			return fmt.Errorf("move failures: %w", err)
		}
	}
	return err
}

// forgetRemembered ends remembered devices: their tokens are for the old name.
func (b *userBatch) forgetRemembered(ctx context.Context, names []sallyport.AccountName, _ map[sallyport.AccountName]sallyport.AccountName) error {
	if _, err := b.tx.ExecContext(ctx, `DELETE FROM remembered`+inAccounts(names), texts(names)...); err != nil {
		return fmt.Errorf("forget remembered devices: %w", err)
	}
	return nil
}

// freeTokens makes an account's OTP tokens nobody's, and returns their serial numbers.
func (b *userBatch) freeTokens(ctx context.Context, account sallyport.AccountName) (serials []string, err error) {
	var c conditions
	c.add(`account = ?`, string(account))
	list, err := b.store.tokensIn(ctx, b.tx.Tx, c)
	for _, t := range list {
		serials = append(serials, t.Serial)
		t.Account, t.Assigned = "", time.Time{}
		t.Version++
		if err := b.store.writeToken(ctx, b.tx, t); err != nil {
			return nil, err
		}
	}
	return serials, err
}

// moveTokens leaves versions alone: it is the same owner.
func (b *userBatch) moveTokens(ctx context.Context, names []sallyport.AccountName, to map[sallyport.AccountName]sallyport.AccountName) error {
	var c conditions
	c.add(`account IN (`+marks(len(names))+`)`, texts(names)...)
	list, err := b.store.tokensIn(ctx, b.tx.Tx, c)
	for _, t := range list {
		t.Account = to[t.Account]
		if err := b.store.writeToken(ctx, b.tx, t); err != nil {
			return err
		}
	}
	return err
}

func (b *userBatch) movePINs(ctx context.Context, names []sallyport.AccountName, to map[sallyport.AccountName]sallyport.AccountName) error {
	rows, err := b.tx.QueryContext(ctx, `SELECT `+otpPINColumns+` FROM otp_pins`+inAccounts(names)+b.store.engine.lockRows, texts(names)...)
	if err != nil {
		return fmt.Errorf("read PINs: %w", err)
	}
	list, err := collect(rows, b.store.scanOTPPIN)
	if err != nil {
		return err
	}
	// The account is the key: first they all let go, so that users may swap their names.
	if _, err := b.tx.ExecContext(ctx, `DELETE FROM otp_pins`+inAccounts(names), texts(names)...); err != nil {
		return fmt.Errorf("move PINs: %w", err)
	}
	for _, p := range list {
		p.Account = to[p.Account]
		if _, err := b.tx.ExecContext(ctx, `INSERT INTO otp_pins (account, set_at, set_by, sealed_hash) VALUES ($1, $2, $3, $4)`,
			string(p.Account), micros(p.Set), p.By, b.store.box.seal(otpPINPlace(p), []byte(p.Hash))); err != nil {
			return fmt.Errorf("move PIN: %w", err)
		}
	}
	return nil
}
