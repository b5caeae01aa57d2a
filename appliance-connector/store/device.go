package store

import (
	"bytes"
	"context"
	"database/sql"
	"time"

	"github.com/sallyport/sallyport"
)

const deviceColumns = `id, account, name, platform, public_key, sealed_seed, sealed_details_key, enrolled, app_version, without_number_matching`

// DevicePage asks for a part of all devices, in the order of account and id.
type DevicePage struct {
	// After is the last device of the page before; the zero value begins.
	After DeviceMark
	// Limit is how many at most, 1 to 1000; 0 means 100.
	Limit int
}

// DeviceMark is a place in the list of all devices.
type DeviceMark struct {
	Account sallyport.AccountName
	ID      sallyport.DeviceID
}

// Devices returns the devices of an account, the newest first; none is no error.
func (s *Store) Devices(ctx context.Context, account sallyport.AccountName) ([]sallyport.Device, error) {
	if err := checkAccount(account); err != nil {
		return nil, err
	}
	return s.devices(ctx, `SELECT `+deviceColumns+` FROM devices WHERE account = $1 ORDER BY enrolled DESC, id`, string(account))
}

// AllDevices returns a page of all devices.
func (s *Store) AllDevices(ctx context.Context, page DevicePage) ([]sallyport.Device, error) {
	if page.Limit == 0 {
		page.Limit = 100
	}
	if page.Limit < 0 || page.Limit > maxPage {
		return nil, invalidf("A page may have at most %d devices.", maxPage)
	}
	if page.After != (DeviceMark{}) {
		if err := first(checkAccount(page.After.Account), checkID("device", string(page.After.ID))); err != nil {
			return nil, err
		}
	}
	return s.devices(ctx, `SELECT `+deviceColumns+` FROM devices WHERE (account, id) > ($1, $2) ORDER BY account, id LIMIT $3`,
		string(page.After.Account), string(page.After.ID), page.Limit)
}

func (s *Store) devices(ctx context.Context, query string, args ...any) ([]sallyport.Device, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read, query, args...)
	if err != nil {
		return nil, s.engine.failure("list devices", err)
	}
	list, err := collect(rows, s.scanDevice)
	return list, s.engine.failure("list devices", err)
}

// Device returns one device, or not_found.
func (s *Store) Device(ctx context.Context, id sallyport.DeviceID) (sallyport.Device, error) {
	if err := checkID("device", string(id)); err != nil {
		return sallyport.Device{}, err
	}
	list, err := s.devices(ctx, `SELECT `+deviceColumns+` FROM devices WHERE id = $1`, string(id))
	if err != nil {
		return sallyport.Device{}, err
	}
	if len(list) == 0 {
		return sallyport.Device{}, notFound("device")
	}
	return list[0], nil
}

// PutDevice adds or replaces a device. A device that is enrolled for another account is a conflict.
// Replacing one keeps the token code steps that were used. A new one ends the account's temporary codes:
// there is a usual factor now.
func (s *Store) PutDevice(ctx context.Context, d sallyport.Device) error {
	if err := checkDevice(d); err != nil {
		return err
	}
	return s.change(ctx, "save device", func(ctx context.Context, tx *changing) error {
		before, err := s.deviceIn(ctx, tx.Tx, d.ID)
		if err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `
			INSERT INTO devices (`+deviceColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, platform = excluded.platform,
				public_key = excluded.public_key, sealed_seed = excluded.sealed_seed,
				sealed_details_key = excluded.sealed_details_key, enrolled = excluded.enrolled,
				app_version = excluded.app_version, without_number_matching = excluded.without_number_matching
			WHERE devices.account = excluded.account`,
			string(d.ID), string(d.Account), d.Name, d.Platform, d.PublicKey,
			s.box.seal(devicePlace(d, "sealed_seed"), d.Seed),
			s.box.seal(devicePlace(d, "sealed_details_key"), d.DetailsKey), micros(d.Enrolled), d.App.Version, bit(d.App.WithoutNumberMatching))
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err == nil && n == 0 {
			return conflictf("This device is enrolled for another account. Delete it there first.")
		}
		if err != nil {
			return err
		}
		if len(before) == 0 {
			if _, err := s.endCodes(ctx, tx, `account = $1`, string(d.Account), sallyport.EndedByEnrolment, d.Enrolled); err != nil {
				return err
			}
			tx.authenticator(d.Account, sallyport.AuthenticatorApp, d.Name, true)
			return tx.record("device.enrol", string(d.Account), string(d.ID), nil, d)
		}
		if !bytes.Equal(before[0].PublicKey, d.PublicKey) { // else what was kept once is kept again
			tx.authenticator(d.Account, sallyport.AuthenticatorApp, d.Name, true)
		}
		return tx.record("device.change", string(d.Account), string(d.ID), before[0], d)
	})
}

// SetDeviceApp keeps what a device says of its app. That the device is not there (any more) is no error.
func (s *Store) SetDeviceApp(ctx context.Context, id sallyport.DeviceID, a sallyport.App) error {
	if err := first(checkID("device", string(id)), checkApp(a)); err != nil {
		return err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	_, err := s.engine.exec(ctx, `UPDATE devices SET app_version = $2, without_number_matching = $3 WHERE id = $1`, string(id), a.Version, bit(a.WithoutNumberMatching))
	return s.engine.failure("keep device's app", err)
}

// DeleteDevice removes a device, or says not_found.
func (s *Store) DeleteDevice(ctx context.Context, id sallyport.DeviceID) error {
	if err := checkID("device", string(id)); err != nil {
		return err
	}
	return s.change(ctx, "delete device", func(ctx context.Context, tx *changing) error {
		list, err := s.deviceIn(ctx, tx.Tx, id)
		before, err := only("device", list, err)
		if err != nil {
			return err
		}
		if err := deleteOne(ctx, tx.Tx, "device", `DELETE FROM devices WHERE id = $1`, string(id)); err != nil {
			return err
		}
		tx.authenticator(before.Account, sallyport.AuthenticatorApp, before.Name, false)
		return tx.record("device.delete", string(before.Account), string(id), before, nil)
	})
}

// deviceIn reads a device inside a transaction; none is no error, and of a spoiled one only the id is known.
func (s *Store) deviceIn(ctx context.Context, tx *sql.Tx, id sallyport.DeviceID) ([]sallyport.Device, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+deviceColumns+` FROM devices WHERE id = $1`, string(id))
	if err != nil {
		return nil, err
	}
	list, err := collect(rows, s.scanDevice)
	if spoiled(err) {
		return []sallyport.Device{{ID: id}}, nil
	}
	return list, err
}

func (s *Store) scanDevice(rows *sql.Rows) (d sallyport.Device, err error) {
	var enrolled, without int64
	var seed, details []byte
	if err := rows.Scan(&d.ID, &d.Account, &d.Name, &d.Platform, &d.PublicKey, &seed, &details, &enrolled, &d.App.Version, &without); err != nil {
		return d, err
	}
	d.App.WithoutNumberMatching = without != 0
	d.Enrolled = fromMicros(enrolled)
	if d.Seed, err = s.box.open(devicePlace(d, "sealed_seed"), seed); err != nil {
		return d, err
	}
	d.DetailsKey, err = s.box.open(devicePlace(d, "sealed_details_key"), details)
	return d, err
}

// devicePlace binds the secrets of a device to its account and key: whoever can write to the
// database still cannot give an account another phone.
func devicePlace(d sallyport.Device, column string) place {
	return place{table: "devices", column: column, row: string(d.ID), binding: []string{string(d.Account), string(d.PublicKey)}}
}

func checkDevice(d sallyport.Device) error {
	switch d.Platform {
	case "ios", "android", "web", "cli":
	default:
		return invalidf("The platform of a device is one of ios, android, web and cli.")
	}
	if d.Enrolled.Before(time.Unix(0, 0)) {
		return invalidf("The device's time of enrolment is missing.")
	}
	return first(
		checkID("device", string(d.ID)),
		checkAccount(d.Account),
		checkText("device's name", d.Name, maxName),
		checkApp(d.App),
		checkSize("device's public key", len(d.PublicKey), 1, maxPublicKey),
		checkSize("device's seed", len(d.Seed), 20, 20),
		checkSize("device's details key", len(d.DetailsKey), 32, 32),
	)
}

func checkApp(a sallyport.App) error {
	if a.Version == "" {
		return nil
	}
	return checkText("version of the app", a.Version, maxName)
}

// deleteOne runs a DELETE that must hit a row.
func deleteOne(ctx context.Context, tx *sql.Tx, noun, statement string, args ...any) error {
	result, err := tx.ExecContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		return notFound(noun)
	}
	return err
}
