package store

import (
	"strings"

	"github.com/sallyport/sallyport"
)

func checkAdministrator(a sallyport.Administrator) error {
	return first(
		checkID("administrator", string(a.ID)),
		checkText("name", a.Name, maxSignIn),
		checkOptional("display name", a.DisplayName, maxSignIn),
		checkMail(a.Mail),
		checkRole(a.Role),
		checkScope(a.Scope),
	)
}

func checkOptional(noun, s string, most int) error {
	if s == "" {
		return nil
	}
	return checkText(noun, s, most)
}

func checkMail(mail string) error {
	if err := checkOptional("mail address", mail, maxMail); err != nil {
		return err
	}
	if mail != "" && (len(mail) > maxMail || strings.Count(mail, "@") != 1 || strings.ContainsAny(mail, " <>,;\"")) {
		return invalidf("%q is not a mail address: write it like name@hospital.example.", mail)
	}
	return nil
}

func checkRole(role sallyport.Role) error {
	switch role {
	case sallyport.RoleSuper, sallyport.RoleAdmin, sallyport.RoleHelpDesk, sallyport.RoleAuditor:
		return nil
	}
	return invalidf("A role is one of super, admin, helpdesk and auditor.")
}

func checkScope(scope sallyport.Scope) error {
	if len(scope.Policies)+len(scope.OUs) > maxScope {
		return invalidf("A scope may have at most %d user policies and OUs.", maxScope)
	}
	for _, p := range scope.Policies {
		if err := checkID("user policy", string(p)); err != nil {
			return err
		}
	}
	for _, ou := range scope.OUs {
		if err := checkText("OU", ou, maxDN); err != nil {
			return err
		}
	}
	return nil
}
