package directory

import (
	"context"
	"strconv"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
)

// presentAttributes are what a directory knows of an account that keeps it out, whatever the password.
var presentAttributes = []string{"userAccountControl", "accountExpires", "lockoutTime", "logonHours", "userWorkstations", "msDS-ResultantPSO"}

// Present says what the directory can say of an account without its password, for logins that do without: whether it is
// there (AccountUnknown), and kept out whatever its password is: disabled, expired, locked, outside its logon hours, or
// bound to workstations. Whether the password has expired plays no part. What the service account may not read keeps
// out as well: AccountRefused. An error means that the directory could not be asked. Nothing is counted anywhere; that refusals
// take the same time is up to the caller.
func (d *Directory) Present(ctx context.Context, typed string) (Result, error) {
	n, err := parseName(typed)
	if err != nil {
		return Result{State: sallyport.AccountUnknown}, nil
	}
	now, release := d.hold()
	defer release()
	if len(now.realms) == 0 {
		return Result{}, unavailable(errNoDomain)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*d.opts.Timeout)
	defer cancel()
	h, _, err := d.find(ctx, now, n)
	switch {
	case err != nil:
		return Result{}, unavailable(err)
	case h == nil:
		return Result{State: sallyport.AccountUnknown}, nil
	}
	res, err := h.realm.search(ctx, entryAt(h.entry.DN, presentAttributes...))
	if err != nil {
		return Result{}, unavailable(err)
	}
	if len(res.Entries) != 1 {
		return Result{State: sallyport.AccountUnknown}, nil // gone meanwhile
	}
	e := res.Entries[0]
	policy, err := h.realm.policyOf(ctx, e.GetAttributeValue("msDS-ResultantPSO"))
	if err != nil {
		return Result{}, unavailable(err)
	}
	return Result{State: keptOut(e, policy, h.realm.now()), Account: h.account()}, nil
}

// keptOut reads from an account's entry why it does not get in at a time; AccountOK: it does.
func keptOut(e *ldap.Entry, policy Lockout, now time.Time) sallyport.AccountState {
	control, err := strconv.ParseInt(e.GetAttributeValue("userAccountControl"), 10, 64)
	expires := fileTime(e.GetAttributeValue("accountExpires")) // 0 and the largest number are never
	switch {
	case err != nil:
		return sallyport.AccountRefused
	case control&accountDisabled != 0:
		return sallyport.AccountDisabled
	case locked(e, policy, now):
		return sallyport.AccountLocked
	case !expires.IsZero() && !now.Before(expires):
		return sallyport.AccountExpired
	case !withinHours(e.GetRawAttributeValue("logonHours"), now):
		return sallyport.AccountLogonHours
	case e.GetAttributeValue("userWorkstations") != "":
		return sallyport.AccountWrongWorkstation
	}
	return sallyport.AccountOK
}

// hoursOfAWeek is how many octets hold a bit for every hour of a week, in UTC from Sunday on, the first hour in the lowest
// bit (MS-SAMR section 2.2.6.5).
const hoursOfAWeek = 21

// withinHours reports whether an account may log on at a time. None said is always.
func withinHours(hours []byte, now time.Time) bool {
	if len(hours) == 0 {
		return true
	}
	if len(hours) != hoursOfAWeek {
		return false
	}
	now = now.UTC()
	hour := int(now.Weekday())*24 + now.Hour()
	return hours[hour/8]&(1<<(hour%8)) != 0
}
