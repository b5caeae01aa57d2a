package sallyport

import "strings"

// AccountName is the one name of a directory account that every part agrees on,
// however the user typed it: the domain's NetBIOS name and the sAMAccountName, both
// in lower case, as "hospital\alice".
type AccountName string

// NewAccountName joins a NetBIOS domain name and a sAMAccountName.
func NewAccountName(domain, user string) AccountName {
	return AccountName(strings.ToLower(domain) + `\` + strings.ToLower(user))
}

// User returns the part after the backslash.
func (a AccountName) User() string {
	_, user, found := strings.Cut(string(a), `\`)
	if !found {
		return string(a)
	}
	return user
}

// Account is a directory account whose password was just found right.
type Account struct {
	Name   AccountName
	Domain DomainID
	// GUID is the directory's objectGUID, written as in User.
	GUID        string
	UPN         string
	DN          string
	DisplayName string
	Mail        string
}

// AccountState says why the directory let an account in or kept it out. It goes to
// the log and the audit trail, never to the browser or the gateway.
type AccountState string

const (
	AccountOK               AccountState = "ok"
	AccountUnknown          AccountState = "unknown user"
	AccountWrongPassword    AccountState = "wrong password"
	AccountDisabled         AccountState = "account disabled"
	AccountLocked           AccountState = "account locked"
	AccountExpired          AccountState = "account expired"
	AccountPasswordExpired  AccountState = "password expired"
	AccountMustChange       AccountState = "password must be changed"
	AccountLogonHours       AccountState = "outside logon hours"
	AccountWrongWorkstation AccountState = "workstation not allowed"
	AccountRefused          AccountState = "refused by the directory"
	// AccountGuarded: not asked, since one more wrong password from outside could lock the account.
	AccountGuarded      AccountState = "kept from being locked"
	AccountNotPermitted AccountState = "not in the group that may log in"
)
