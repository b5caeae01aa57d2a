package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
)

// lastLogins is how far back AccountStanding looks for the method of the last login.
const lastLogins = 20

// accountStanding reads one row for each device of the account, and one at least.
var accountStanding = fmt.Sprintf(`
	SELECT r.value,
		COALESCE((SELECT method FROM (SELECT method, outcome FROM logins WHERE account = $1 ORDER BY time DESC, id DESC LIMIT %d) l
			WHERE outcome = 'granted' AND method NOT IN ('', 'remembered') LIMIT 1), ''),
		(SELECT COUNT(*) FROM phones WHERE account = $1), (SELECT COUNT(*) FROM user_passkeys WHERE account = $1),
		COALESCE((SELECT string_agg(host, ' ') FROM user_passkeys WHERE account = $1 AND copied = 0), ''),
		(SELECT COUNT(*) FROM otp_tokens WHERE account = $1 AND state = 'active'), (SELECT COUNT(*) FROM otp_pins WHERE account = $1),
		COALESCE(u.id, ''), COALESCE(u.domain_id, ''), COALESCE(u.guid, ''), COALESCE(u.account, ''), COALESCE(u.upn, ''), COALESCE(u.dn, ''),
		COALESCE(u.display_name, ''), COALESCE(u.mail, ''), COALESCE(u.state, ''), COALESCE(u.policy_id, ''), COALESCE(u.policy_from, ''),
		COALESCE(u.second_factor_since, 0), COALESCE(u.created, 0), COALESCE(u.synchronised, 0), COALESCE(u.version, 0),
		COALESCE(t.id, ''), COALESCE(t.issued, 0), COALESCE(t.expires, 0), COALESCE(t.issued_by, ''),
		COALESCE(d.id, ''), COALESCE(d.account, ''), COALESCE(d.name, ''), COALESCE(d.platform, ''), d.public_key, d.sealed_seed,
		d.sealed_details_key, COALESCE(d.enrolled, 0), COALESCE(d.app_version, ''), COALESCE(d.without_number_matching, 0)
	FROM revision r
	LEFT JOIN users u ON u.account = $1
	LEFT JOIN temporary_codes t ON t.account = $1 AND t.sealed_code IS NOT NULL
	LEFT JOIN devices d ON d.account = $1
	ORDER BY d.enrolled DESC, d.id`, lastLogins)

// AccountStanding reads, by one query, what is kept of an account that logs in: its user, if there is one,
// its authenticators and its devices; and the revision as of which that is so. What the user's policy says
// is to be found in LoginPolicies.
func (s *Store) AccountStanding(ctx context.Context, account sallyport.AccountName) (standing sallyport.Standing, revision int64, err error) {
	if err := checkAccount(account); err != nil {
		return standing, 0, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read, accountStanding, string(account))
	if err != nil {
		return standing, 0, s.engine.failure("read account's standing", err)
	}
	_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
		device := sallyport.Device{}
		revision, device, err = s.scanStanding(rows, account, &standing)
		if device.ID != "" {
			standing.Devices = append(standing.Devices, device)
		}
		return struct{}{}, err
	})
	if err != nil {
		return sallyport.Standing{}, 0, s.engine.failure("read account's standing", err)
	}
	standing.Has.Apps = len(standing.Devices)
	return standing, revision, nil
}

// accountNow is the part of accountStanding that changes without the revision.
var accountNow = fmt.Sprintf(`
	SELECT r.value,
		COALESCE((SELECT method FROM (SELECT method, outcome FROM logins WHERE account = $1 ORDER BY time DESC, id DESC LIMIT %d) l
			WHERE outcome = 'granted' AND method NOT IN ('', 'remembered') LIMIT 1), '')
	FROM revision r`, lastLogins)

// AccountNow reads the revision, and of an account what changes without it: the method of its last login. The rest
// of AccountStanding is as it was as long as the revision is, but for when a synchronisation found the user unchanged.
func (s *Store) AccountNow(ctx context.Context, account sallyport.AccountName) (last sallyport.Method, revision int64, err error) {
	if err := checkAccount(account); err != nil {
		return "", 0, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read, accountNow, string(account))
	if err != nil {
		return "", 0, s.engine.failure("read account's last login", err)
	}
	_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) { return struct{}{}, rows.Scan(&revision, &last) })
	return last, revision, s.engine.failure("read account's last login", err)
}

func (s *Store) scanStanding(rows *sql.Rows, account sallyport.AccountName, into *sallyport.Standing) (revision int64, d sallyport.Device, err error) {
	var u sallyport.User
	var since, created, synchronised, issued, expires, enrolled, tokens, pins, without int64
	var seed, details []byte
	var hosts string
	t := sallyport.TemporaryCode{Account: account}
	if err := rows.Scan(&revision, &into.Has.Last, &into.Has.Phones, &into.Has.Passkeys, &hosts, &tokens, &pins,
		&u.ID, &u.Domain, &u.GUID, &u.Account, &u.UPN, &u.DN, &u.DisplayName, &u.Mail, &u.State, &u.Policy, &u.PolicyFrom,
		&since, &created, &synchronised, &u.Version,
		&t.ID, &issued, &expires, &t.By,
		&d.ID, &d.Account, &d.Name, &d.Platform, &d.PublicKey, &seed, &details, &enrolled, &d.App.Version, &without); err != nil {
		return 0, d, err
	}
	into.Has.PasskeyHosts = strings.Fields(hosts)
	into.Has.OTP, into.Has.PIN = tokens > 0, pins > 0
	if u.ID != "" {
		u.SecondFactorSince, u.Created, u.Synchronised = orNever(since), fromMicros(created), fromMicros(synchronised)
		into.User = &u
	}
	if t.ID != "" {
		t.Issued, t.Expires = fromMicros(issued), fromMicros(expires)
		into.Has.TemporaryCodes = []sallyport.TemporaryCode{t}
	}
	if d.ID == "" {
		return revision, d, nil
	}
	d.Enrolled, d.App.WithoutNumberMatching = fromMicros(enrolled), without != 0
	if d.Seed, err = s.box.open(devicePlace(d, "sealed_seed"), seed); err != nil {
		return 0, d, err
	}
	d.DetailsKey, err = s.box.open(devicePlace(d, "sealed_details_key"), details)
	return revision, d, err
}

// LoginPolicies reads what all logins have in common, and the revision as of which that is so. The number
// of licences in use may be a little newer.
func (s *Store) LoginPolicies(ctx context.Context) (p sallyport.LoginPolicies, revision int64, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	var policies []sallyport.UserPolicy
	var rules []sallyport.EnrolRule
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT value FROM revision`).Scan(&revision); err != nil {
			return fmt.Errorf("read revision: %w", err)
		}
		if policies, err = readPolicies(ctx, tx, ""); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT `+enrolRuleColumns+` FROM enrol_rules`)
		if err != nil {
			return fmt.Errorf("read enrol rules: %w", err)
		}
		if rules, err = collect(rows, scanEnrolRule); err != nil {
			return fmt.Errorf("read enrol rules: %w", err)
		}
		if p.Tokens, err = readTokenUsers(ctx, tx); err != nil {
			return err
		}
		p.Workflow, err = readWorkflow(ctx, tx, "")
		return err
	})
	if err != nil {
		return p, 0, s.engine.failure("read login policies", err)
	}
	p.User = make(map[sallyport.UserPolicyID]sallyport.UserPolicy, len(policies))
	for _, u := range policies {
		p.User[u.ID] = u
	}
	p.Rules = make(map[sallyport.EnrolRuleID]sallyport.EnrolRule, len(rules))
	for _, r := range rules {
		p.Rules[r.ID] = r
	}
	p.Licences.Used, p.Licences.Total, err = s.Licences(ctx)
	return p, revision, err
}

// AbandonLogins ends logins that began before a time and are open still: nobody went on with them, or
// their end was lost. It returns how many.
func (s *Store) AbandonLogins(ctx context.Context, before, now time.Time) (int64, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	n, err := s.engine.exec(ctx, `UPDATE logins SET outcome = 'abandoned', ended = $2 WHERE outcome = 'open' AND time < $1`, micros(before), micros(now))
	return n, s.engine.failure("end abandoned logins", err)
}
