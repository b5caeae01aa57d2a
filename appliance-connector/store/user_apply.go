package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
)

const (
	maxUserChanges = 1000 // of one batch
	maxUserDN      = 4096 // octets
	maxDisplayName = 256  // octets
	maxUserAddress = 320  // octets of a UPN or mail address
	// maxUserAccount leaves room for what is put after a name that somebody else took.
	maxUserAccount = 200
)

// UserChange is what a synchronisation read of one user.
type UserChange struct {
	// GUID says who it is: 32 hexadecimal digits in lower case.
	GUID string
	// State is what became of the account. With UserRemoved nothing else counts.
	State   sallyport.UserState
	Account sallyport.AccountName
	DN      string
	// UPN, DisplayName and Mail may be empty. An address that is longer than 320 octets or has control
	// characters in it counts as none; a display name is cut to 256 octets.
	UPN         string
	DisplayName string
	Mail        string
	// Policy is what the assignment rules give; empty: none of them fits, so it is the default policy. It
	// counts unless the user was given a policy by hand.
	Policy sallyport.UserPolicyID
}

// Applied counts what a batch did.
type Applied struct {
	Added     int `json:"added"`
	Changed   int `json:"changed"`
	Renamed   int `json:"renamed"` // of those changed
	Removed   int `json:"removed"`
	Unchanged int `json:"unchanged"`
}

// ApplyUsers brings at most 1,000 users of a domain to what the directory says, all or none. Users are
// known by their GUID: whatever is kept under an account's name (devices, failures, enrolments, temporary
// codes) follows a renamed user. Of a removed user it stays, in case the user comes back, until another
// user takes the name; then it ends, so that nobody inherits a second factor. A name may be taken that
// another user still seems to have, whose turn comes in a later batch: until then that user's things wait
// under a name that nobody can log in with.
func (s *Store) ApplyUsers(ctx context.Context, domain sallyport.DomainID, changes []UserChange) (applied Applied, err error) {
	if changes, err = checkUserChanges(domain, changes); err != nil || len(changes) == 0 {
		return Applied{}, err
	}
	ctx, cancel := patiently(ctx)
	defer cancel()
	err = s.change(ctx, "apply users", func(ctx context.Context, tx *changing) error {
		b := &userBatch{store: s, tx: tx, domain: domain, now: fromMicros(micros(s.now()))}
		if err := b.read(ctx, changes); err != nil {
			return err
		}
		if err := b.plan(changes); err != nil {
			return err
		}
		if err := b.settleNames(ctx); err != nil {
			return err
		}
		if err := b.write(ctx); err != nil {
			return err
		}
		applied = b.applied
		return b.recordAll()
	})
	if err != nil {
		return Applied{}, err
	}
	return applied, nil
}

// userBatch is one call of ApplyUsers.
type userBatch struct {
	store      *Store
	tx         *changing
	domain     sallyport.DomainID
	domainName string
	now        time.Time
	standard   sallyport.UserPolicyID
	policies   map[sallyport.UserPolicyID]bool
	known      map[string]sallyport.User // by GUID
	planned    []plannedUser
	unchanged  []sallyport.UserID
	moves      []accountMove
	ended      []endedAccount
	parked     []accountMove // removed users whose names others take
	applied    Applied
}

// plannedUser is a user as it will be.
type plannedUser struct {
	before sallyport.User // zero for a new one
	after  sallyport.User
	what   string   // for the audit trail: "added", "changed", "renamed", "removed"
	fields []string // that changed
}

func (p plannedUser) isNew() bool { return p.before.ID == "" }

// renamed is a user whose account has another name than before.
func (p plannedUser) renamed() bool { return !p.isNew() && p.before.Account != p.after.Account }

// read locks the domain, and reads who is known and which policies there are.
func (b *userBatch) read(ctx context.Context, changes []UserChange) error {
	if err := b.store.takeTime(ctx, b.tx); err != nil {
		return err
	}
	// The update locks the row on both engines: one batch of a domain at a time.
	result, err := b.tx.ExecContext(ctx, `UPDATE domain_states SET domain_id = domain_id WHERE domain_id = $1`, string(b.domain))
	if err != nil {
		return fmt.Errorf("lock domain: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return first(err, notFound(domain))
	}
	if err := b.tx.QueryRowContext(ctx, `SELECT name FROM domains WHERE id = $1`, string(b.domain)).Scan(&b.domainName); err != nil {
		return fmt.Errorf("read domain: %w", err)
	}
	policies, err := readPolicies(ctx, b.tx.Tx, b.store.engine.lockShared)
	if err != nil {
		return err
	}
	b.policies = make(map[sallyport.UserPolicyID]bool, len(policies))
	for _, p := range policies {
		b.policies[p.ID] = true
		if p.Default {
			b.standard = p.ID
		}
	}
	guids := make([]string, len(changes))
	for n, c := range changes {
		guids[n] = c.GUID
	}
	var c conditions
	c.add(`domain_id = ?`, string(b.domain))
	c.add(`guid IN (`+marks(len(guids))+`)`, texts(guids)...)
	users, err := b.store.lockUsers(ctx, b.tx, c.where(), c.args...)
	b.known = make(map[string]sallyport.User, len(users))
	for _, u := range users {
		b.known[u.GUID] = u
	}
	return err
}

// plan works out what each change comes to.
func (b *userBatch) plan(changes []UserChange) error {
	for _, c := range changes {
		if c.Policy != "" && !b.policies[c.Policy] {
			return conflictf("A user policy that a rule gives does not exist any longer. Begin the synchronisation again.")
		}
		before, known := b.known[c.GUID]
		if c.State == sallyport.UserRemoved && (!known || before.State == sallyport.UserRemoved) {
			b.applied.Unchanged++
			continue
		}
		p := plannedUser{before: before, after: b.next(before, known, c)}
		switch p.fields = changedFields(p.before, p.after); {
		case !known:
			p.what = "added"
			b.applied.Added++
		case len(p.fields) == 0:
			b.applied.Unchanged++
			b.unchanged = append(b.unchanged, before.ID)
			continue
		case c.State == sallyport.UserRemoved:
			p.what = "removed"
			b.applied.Removed++
		case p.renamed():
			p.what = "renamed"
			b.applied.Renamed++
			b.applied.Changed++
		default:
			p.what = "changed"
			b.applied.Changed++
		}
		b.planned = append(b.planned, p)
	}
	b.tx.raise = len(b.planned) > 0
	return nil
}

// next is what a user becomes by a change.
func (b *userBatch) next(u sallyport.User, known bool, c UserChange) sallyport.User {
	u.Synchronised = b.now
	u.Version++
	if c.State == sallyport.UserRemoved {
		u.State = sallyport.UserRemoved
		return u
	}
	if !known {
		u.ID, u.Domain, u.GUID, u.Created = sallyport.UserID(sallyport.NewID()), b.domain, c.GUID, b.now
	}
	u.Account, u.UPN, u.DN, u.DisplayName, u.Mail, u.State = c.Account, c.UPN, c.DN, c.DisplayName, c.Mail, c.State
	switch {
	case u.PolicyFrom == sallyport.PolicyByHand:
	case c.Policy != "":
		u.Policy, u.PolicyFrom = c.Policy, sallyport.PolicyByRule
	default:
		u.Policy, u.PolicyFrom = b.standard, sallyport.PolicyByDefault
	}
	return u
}

// changedFields names what differs, for the audit trail.
func changedFields(a, b sallyport.User) (fields []string) {
	for _, f := range []struct {
		name string
		same bool
	}{
		{"account", a.Account == b.Account}, {"upn", a.UPN == b.UPN}, {"dn", a.DN == b.DN},
		{"displayName", a.DisplayName == b.DisplayName}, {"mail", a.Mail == b.Mail}, {"state", a.State == b.State},
		{"policy", a.Policy == b.Policy && a.PolicyFrom == b.PolicyFrom},
	} {
		if !f.same {
			fields = append(fields, f.name)
		}
	}
	return fields
}

// checkUserChanges refuses a batch that cannot be right, and returns it with its texts cleaned.
func checkUserChanges(id sallyport.DomainID, changes []UserChange) ([]UserChange, error) {
	if err := checkID(domain, string(id)); err != nil {
		return nil, err
	}
	if len(changes) > maxUserChanges {
		return nil, invalidf("At most %d users are synchronised at once.", maxUserChanges)
	}
	changes = slices.Clone(changes)
	guids, accounts := make(map[string]bool, len(changes)), make(map[sallyport.AccountName]bool, len(changes))
	for n := range changes {
		c := &changes[n]
		if err := checkUserChange(c); err != nil {
			return nil, err
		}
		if guids[c.GUID] {
			return nil, invalidf("The user with the objectGUID %s stands in the batch twice.", c.GUID)
		}
		guids[c.GUID] = true
		if c.State == sallyport.UserRemoved {
			continue
		}
		if accounts[c.Account] {
			return nil, invalidf("Two users of the batch have the account name %q.", c.Account)
		}
		accounts[c.Account] = true
	}
	return changes, nil
}

func checkUserChange(c *UserChange) error {
	if err := checkGUID(c.GUID); err != nil {
		return err
	}
	switch c.State {
	case sallyport.UserRemoved:
		return nil
	case sallyport.UserActive, sallyport.UserDisabled:
	default:
		return invalidf("The state of a user is active, disabled or removed.")
	}
	if c.Policy != "" {
		if err := checkID(userPolicy, string(c.Policy)); err != nil {
			return err
		}
	}
	*c = AsKept(*c)
	return first(checkAccount(c.Account), checkSize("account name", len(c.Account), 1, maxUserAccount),
		checkSize("distinguished name", len(c.DN), 1, maxUserDN))
}

// AsKept returns a change with its texts as the store keeps them.
func AsKept(c UserChange) UserChange {
	c.DisplayName = strings.TrimSpace(clean(c.DisplayName, maxDisplayName))
	c.UPN, c.Mail = address(c.UPN), address(c.Mail)
	c.DN = clean(c.DN, maxUserDN)
	return c
}

// address takes a UPN or a mail address, or nothing when it is of no use.
func address(s string) string {
	if len(s) > maxUserAddress || clean(s, maxUserAddress) != s {
		return ""
	}
	return strings.TrimSpace(s)
}
