package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
)

const (
	maxUserCursor = 1024
	maxIDs        = 1000 // users named one by one
	// fewUsers is up to how many users are looked up first and sorted then; more are found on the way
	// through the list.
	fewUsers = 2000
	// fewOUs is up to how many OUs each user is held against on that way; more are looked up.
	fewOUs = 50
	// someWords is up to how many uses of a word are counted, to find the rarest of several.
	someWords = 10_000
)

// UserQuery says which users are meant; the zero value means all who are not removed.
type UserQuery struct {
	// Text finds the users of whom each word of it begins a word of display name, account, UPN or mail,
	// without case and accents.
	Text   string
	Domain sallyport.DomainID
	Policy sallyport.UserPolicyID
	State  sallyport.UserState // empty: not removed
	// Enrolled asks for those who have a device, a phone number or a passkey, or have none of these.
	Enrolled *bool
	// RemoteAccess asks for those whose user policy is live for remote access and licensed.
	RemoteAccess bool
	OU           string // DN; users below it
	// IDs, unless nil, are the only users that are meant: at most 1,000, and none when it is empty.
	IDs []sallyport.UserID
	// Scope leaves out whom an administrator may not see.
	Scope sallyport.Scope
	// After is the Next of the page before.
	After string
	// Most is how many at most, 1 to 1,000; 0 means 50.
	Most int
}

// UserPage is a part of a list of users.
type UserPage struct {
	Users []sallyport.User
	// Next asks for the next page; empty: this is the last one.
	Next string
	// Total is how many users are meant on all pages.
	Total int
}

// Users returns a page of users by display name.
func (s *Store) Users(ctx context.Context, q UserQuery) (page UserPage, err error) {
	most, err := pageSize(q.Most)
	if err != nil {
		return UserPage{}, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		c, err := q.conditions(ctx, tx)
		if err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM users`+c.where(), c.args...).Scan(&page.Total); err != nil {
			return fmt.Errorf("count users: %w", err)
		}
		page.Users, page.Next, err = userPage(ctx, tx, c, q.After, most)
		return err
	})
	if err != nil {
		return UserPage{}, s.engine.failure("list users", err)
	}
	return page, nil
}

// EachUser calls do with each user that is meant, by display name, until it returns an error. It reads a
// page at a time: who is renamed meanwhile may be missed or come twice.
func (s *Store) EachUser(ctx context.Context, q UserQuery, do func(sallyport.User) error) error {
	for {
		var users []sallyport.User
		var err error
		if users, q.After, err = s.somebody(ctx, q); err != nil {
			return err
		}
		for _, u := range users {
			if err := do(u); err != nil {
				return err
			}
		}
		if q.After == "" {
			return nil
		}
	}
}

// somebody reads a page without counting the rest.
func (s *Store) somebody(ctx context.Context, q UserQuery) (users []sallyport.User, next string, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		c, err := q.conditions(ctx, tx)
		if err != nil {
			return err
		}
		users, next, err = userPage(ctx, tx, c, q.After, maxPage)
		return err
	})
	return users, next, s.engine.failure("read users", err)
}

func userPage(ctx context.Context, tx *sql.Tx, c conditions, after string, most int) (users []sallyport.User, next string, err error) {
	if after != "" {
		m, err := parseUserMark(after)
		if err != nil {
			return nil, "", err
		}
		c.add(`(name_folded, id) > (?, ?)`, m.name, string(m.id))
	}
	c.args = append(c.args, most+1)
	rows, err := tx.QueryContext(ctx, fmt.Sprintf(`SELECT `+userColumns+` FROM users%s ORDER BY name_folded, id LIMIT $%d`, c.where(), len(c.args)), c.args...)
	if err != nil {
		return nil, "", fmt.Errorf("list users: %w", err)
	}
	users, err = collect(rows, scanUser)
	if err == nil && len(users) > most {
		users = users[:most]
		last := users[most-1]
		next = userMark{name: sortName(last), id: last.ID}.String()
	}
	return users, next, err
}

// userMark is a place in the list of users.
type userMark struct {
	name string
	id   sallyport.UserID
}

// String writes the mark so that it can stand in an address.
func (m userMark) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(string(m.id) + " " + m.name))
}

// parseUserMark undoes String; what is none is refused.
func parseUserMark(s string) (userMark, error) {
	if len(s) <= maxUserCursor {
		text, err := base64.RawURLEncoding.Strict().DecodeString(s)
		id, name, found := strings.Cut(string(text), " ")
		if err == nil && found && sallyport.ValidID(id) && utf8.ValidString(name) && !strings.ContainsRune(name, 0) {
			return userMark{name: name, id: sallyport.UserID(id)}, nil
		}
	}
	return userMark{}, invalidf("This page does not exist. Begin at the first one.")
}

// conditions are what the rows of users must meet. It asks tx how selective the query is.
func (q UserQuery) conditions(ctx context.Context, tx *sql.Tx) (conditions, error) {
	var c conditions
	if err := q.check(); err != nil {
		return c, err
	}
	switch q.State {
	case "":
		c.add(`state <> 'removed'`)
	case sallyport.UserActive, sallyport.UserDisabled, sallyport.UserRemoved:
		c.add(`state = '` + string(q.State) + `'`) // as it stands, so that the indexes of a state serve
	default:
		return c, invalidf("The state of a user is active, disabled or removed.")
	}
	c.equal("domain_id", string(q.Domain))
	c.equal("policy_id", string(q.Policy))
	if q.Enrolled != nil {
		c.add(map[bool]string{true: "", false: "NOT "}[*q.Enrolled] + `(EXISTS (SELECT 1 FROM devices WHERE devices.account = users.account)
			OR EXISTS (SELECT 1 FROM phones WHERE phones.account = users.account)
			OR EXISTS (SELECT 1 FROM user_passkeys WHERE user_passkeys.account = users.account))`)
	}
	if q.RemoteAccess {
		c.add(`policy_id IN (SELECT id FROM user_policies WHERE remote_access = 1 AND licensed = 1)`)
	}
	switch {
	case q.IDs == nil:
	case len(q.IDs) == 0:
		c.add(`1 = 0`)
	default:
		c.add(`id IN (`+marks(len(q.IDs))+`)`, texts(q.IDs)...)
	}
	selectors, err := q.selectors(ctx, tx)
	if err != nil {
		return c, err
	}
	narrow := false
	for _, sel := range selectors {
		if narrow {
			c.add(sel.holds, sel.args...)
			continue
		}
		if sel.gather {
			ids, few, err := sel.gathered(ctx, tx)
			if err != nil {
				return c, err
			}
			if narrow = few; few {
				// A table of values, which is looked up: a list would be held against every user in the order of the names.
				c.add(`id IN (VALUES `+strings.TrimSuffix(strings.Repeat(`(?),`, len(ids)), `,`)+`)`, ids...)
				continue
			}
			c.add(sel.holds, sel.args...)
			continue
		}
		if narrow, err = sel.few(ctx, tx); err != nil {
			return c, err
		}
		if narrow {
			c.add(`id IN (`+sel.rows+`)`, sel.args...)
			continue
		}
		c.add(sel.holds, sel.args...)
	}
	return c, nil
}

func (q UserQuery) check() error {
	if len(q.IDs) > maxIDs {
		return invalidf("At most %d users are named at once.", maxIDs)
	}
	if len(q.Scope.Policies)+len(q.Scope.OUs) > maxScope {
		return invalidf("A scope has at most %d user policies and OUs.", maxScope)
	}
	ids := texts(q.IDs)
	if q.Domain != "" {
		ids = append(ids, string(q.Domain))
	}
	ids = append(ids, texts(q.Scope.Policies)...)
	if q.Policy != "" {
		ids = append(ids, string(q.Policy))
	}
	if slices.ContainsFunc(ids, func(id any) bool { return !sallyport.ValidID(id.(string)) }) {
		return invalidf("One of the identifiers is none.")
	}
	return nil
}

// selector is a condition that may leave few users: rows finds their ids by an index, holds tests a
// row of users. Each "?" stands for the next of args in both. Joining a column with nothing keeps the
// engine from looking many users up by an index when it had better go through the list.
type selector struct {
	rows, holds string
	args        []any
	gather      bool // rows takes time: it is asked once, and few ids are named one by one then
}

// few reports whether rows finds so few that they are best looked up first.
func (s selector) few(ctx context.Context, tx *sql.Tx) (bool, error) {
	var c conditions
	c.add(s.rows, s.args...)
	var n int
	err := tx.QueryRowContext(ctx, fmt.Sprintf(`SELECT COUNT(*) FROM (SELECT 1 FROM (%s) a LIMIT %d) b`, c.clauses[0], fewUsers+1), c.args...).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("count some users: %w", err)
	}
	return n <= fewUsers, nil
}

// gathered returns the ids that rows finds, if they are few. The last is repeated up to a power of two, so that there
// are few different statements; nobody has the empty one.
func (s selector) gathered(ctx context.Context, tx *sql.Tx) (ids []any, few bool, err error) {
	var c conditions
	c.add(s.rows, s.args...)
	rows, err := tx.QueryContext(ctx, fmt.Sprintf(`SELECT user_id FROM (%s) a LIMIT %d`, c.clauses[0], fewUsers+1), c.args...)
	if err != nil {
		return nil, false, fmt.Errorf("gather users: %w", err)
	}
	ids, err = collect(rows, func(rows *sql.Rows) (any, error) {
		var id string
		err := rows.Scan(&id)
		return id, err
	})
	if err != nil {
		return nil, false, fmt.Errorf("gather users: %w", err)
	}
	if len(ids) > fewUsers {
		return nil, false, nil
	}
	if len(ids) == 0 {
		ids = append(ids, "")
	}
	for len(ids)&(len(ids)-1) != 0 {
		ids = append(ids, ids[len(ids)-1])
	}
	return ids, true, nil
}

func (q UserQuery) selectors(ctx context.Context, tx *sql.Tx) ([]selector, error) {
	var list []selector
	words, err := searchWords(q.Text)
	if err != nil {
		return nil, err
	}
	if q.Text != "" && len(words) == 0 {
		return []selector{{rows: `SELECT id FROM users WHERE 1 = 0`, holds: `1 = 0`}}, nil
	}
	if len(words) > 0 {
		found, err := withWords(ctx, tx, words)
		if err != nil {
			return nil, err
		}
		list = append(list, found)
	}
	if q.OU != "" {
		below, err := belowOU(q.OU)
		if err != nil {
			return nil, err
		}
		list = append(list, below)
	}
	if !q.Scope.Unlimited() {
		scope, err := inScope(q.Scope)
		if err != nil {
			return nil, err
		}
		list = append(list, scope)
	}
	return list, nil
}

// withWords selects who has all of the words: two that are common by themselves often leave few together. Intersected
// rather than joined: for a statement that it knows well, PostgreSQL plans without the values, and then joined in loops.
func withWords(ctx context.Context, tx *sql.Tx, words []string) (selector, error) {
	uses := make(map[string]int, len(words))
	for _, word := range words {
		if len(words) == 1 {
			break
		}
		var n int
		err := tx.QueryRowContext(ctx, fmt.Sprintf(`SELECT COUNT(*) FROM (SELECT 1 FROM user_words WHERE word >= $1 AND word < $2 LIMIT %d) a`, someWords),
			word, word+wordsAfter).Scan(&n)
		if err != nil {
			return selector{}, fmt.Errorf("count uses of word: %w", err)
		}
		uses[word] = n
	}
	// The rarest is the first; of those that are too common to be counted, the longest.
	slices.SortStableFunc(words, func(a, b string) int { return cmp.Or(uses[a]-uses[b], len(b)-len(a)) })
	all := selector{gather: true}
	for n, word := range words {
		if n > 0 {
			all.rows += ` INTERSECT `
		}
		all.rows += `SELECT user_id FROM user_words WHERE word >= ? AND word < ?`
		all.args = append(all.args, word, word+wordsAfter)
	}
	all.holds = `id || '' IN (` + all.rows + `)`
	return all, nil
}

// belowOU selects by path.
func belowOU(dn string) (selector, error) {
	from, to, err := pathRange(dn)
	return selector{
		rows:  `SELECT id FROM users WHERE path >= ? AND path < ?`,
		holds: `(path || '' >= ? AND path || '' < ?)`,
		args:  []any{from, to},
	}, err
}

// inScope selects who has one of the policies or is below one of the OUs.
func inScope(scope sallyport.Scope) (selector, error) {
	var rows, holds []string
	var args []any
	if len(scope.Policies) > 0 {
		in := `policy_id IN (` + marks(len(scope.Policies)) + `)`
		rows, holds, args = append(rows, `SELECT id FROM users WHERE `+in), append(holds, in), texts(scope.Policies)
	}
	for _, ou := range scope.OUs {
		below, err := belowOU(ou)
		if err != nil {
			return selector{}, err
		}
		args = append(args, below.args...)
		holds = append(holds, below.holds)
	}
	if n := len(scope.OUs); n > 0 {
		// Not a list of selects, of which SQLite takes 500.
		rows = append(rows, `SELECT id FROM (WITH ous(above, beyond) AS (VALUES `+strings.TrimSuffix(strings.Repeat("(?,?),", n), ",")+`)
			SELECT users.id FROM ous JOIN users ON path >= above AND path < beyond) below`)
	}
	all := strings.Join(rows, ` UNION ALL `)
	if len(holds) > fewOUs {
		return selector{rows: all, holds: `id || '' IN (` + all + `)`, args: args}, nil
	}
	return selector{rows: all, holds: `(` + strings.Join(holds, ` OR `) + `)`, args: args}, nil
}

// marks is a list of n places for values.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }

func texts[T ~string](list []T) []any {
	out := make([]any, len(list))
	for n, v := range list {
		out[n] = string(v)
	}
	return out
}
