package admin

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport"
)

// inScope returns nil when the actor looks after the user. Somebody outside the scope is not found, as if
// there were no such user: a limited actor does not learn who else there is.
func inScope(actor sallyport.Actor, user sallyport.User) error {
	sc := actor.Scope
	if sc.Unlimited() || slices.Contains(sc.Policies, user.Policy) {
		return nil
	}
	for _, ou := range sc.OUs {
		if below(user.DN, ou) {
			return nil
		}
	}
	return sallyport.Errorf(sallyport.CodeNotFound, "There is no such user, or you do not look after them.", nil)
}

// below reports whether dn is the entry ou or one below it, in the spelling that the directory returns:
// no spaces after commas. A comma inside a name is escaped there, so that it never ends a name.
func below(dn, ou string) bool {
	dn, ou = strings.ToLower(dn), strings.ToLower(strings.TrimSpace(ou))
	if ou == "" {
		return false
	}
	rest, found := strings.CutSuffix(dn, ou)
	return found && (rest == "" || strings.HasSuffix(rest, ",") && !strings.HasSuffix(rest, `\,`))
}
