package admin

import (
	"context"
	"net/mail"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
)

// roles from the mightiest down.
var roles = []sallyport.Role{sallyport.RoleSuper, sallyport.RoleAdmin, sallyport.RoleHelpDesk, sallyport.RoleAuditor}

// RolesUpTo lists the roles that may do nothing that role may not.
func RolesUpTo(role sallyport.Role) []sallyport.Role {
	switch role {
	case sallyport.RoleSuper:
		return slices.Clone(roles)
	case sallyport.RoleAdmin:
		return []sallyport.Role{sallyport.RoleAdmin, sallyport.RoleHelpDesk}
	case sallyport.RoleHelpDesk, sallyport.RoleAuditor:
		return []sallyport.Role{role}
	}
	return nil
}

// Administrators lists all, by name.
func (s *Service) Administrators(ctx context.Context, actor sallyport.Actor) ([]sallyport.Administrator, error) {
	db, err := s.as(actor, "Administrators")
	if err != nil {
		return nil, err
	}
	return db.Administrators(ctx)
}

// Administrator returns one.
func (s *Service) Administrator(ctx context.Context, actor sallyport.Actor, id sallyport.AdministratorID) (sallyport.Administrator, error) {
	db, err := s.as(actor, "Administrator")
	if err != nil {
		return sallyport.Administrator{}, err
	}
	return db.Administrator(ctx, id)
}

// AdministratorFactors says what second factors an administrator has.
func (s *Service) AdministratorFactors(ctx context.Context, actor sallyport.Actor, id sallyport.AdministratorID) (Factors, error) {
	if _, err := s.as(actor, "AdministratorFactors"); err != nil {
		return Factors{}, err
	}
	return s.factors(ctx, id)
}

// PutAdministrator makes an administrator (Version 0) or changes one. A new one who is not of the directory
// gets a password, returned this once, that has to be changed at the first sign-in. Who is disabled, or whose
// role or scope becomes another, is signed out everywhere.
func (s *Service) PutAdministrator(ctx context.Context, actor sallyport.Actor, a sallyport.Administrator) (sallyport.Administrator, sallyport.Secret, error) {
	db, err := s.as(actor, "PutAdministrator")
	if err != nil {
		return a, "", err
	}
	a.Name, a.DisplayName, a.Mail = strings.TrimSpace(a.Name), strings.TrimSpace(a.DisplayName), strings.TrimSpace(a.Mail)
	f := FieldErrors{}
	checkName(f, a)
	checkProfile(f, a)
	f.check(slices.Contains(roles, a.Role), "role", "Choose a role.")
	f.check(a.Role != sallyport.RoleSuper || a.Scope.Unlimited(), "scope", "A super administrator looks after everybody.")
	if err := f.err(); err != nil {
		return a, "", err
	}
	if a.Version == 0 {
		return s.makeAdministrator(ctx, actor, a)
	}
	before, err := db.Administrator(ctx, a.ID)
	if err != nil {
		return a, "", err
	}
	self := string(a.ID) == actor.ID && actor.Kind == sallyport.ActorAdministrator
	switch {
	case self && (a.Disabled || a.Role != before.Role):
		return a, "", sallyport.Errorf(sallyport.CodeConflict, "You cannot disable yourself or change your own role. Have another super administrator do it.", nil)
	case a.Directory != before.Directory:
		return a, "", sallyport.Errorf(sallyport.CodeConflict, "Whether the password is the directory's cannot be changed. Make a new administrator.", nil)
	case Granted(before) && (a.Role != before.Role || a.Name != before.Name):
		return a, "", sallyport.Errorf(sallyport.CodeConflict, "Name and role come from the directory. Change the role grant, or make an administrator of their own.", nil)
	}
	a.Created, a.LastSeen = before.Created, before.LastSeen
	if a, err = db.PutAdministrator(ctx, a); err != nil {
		return a, "", err
	}
	if a.Disabled && !before.Disabled || a.Role != before.Role || !sameRights(a, before) && !self {
		_, err = db.EndConsoleSessions(ctx, a.ID)
	}
	return a, "", err
}

func (s *Service) makeAdministrator(ctx context.Context, actor sallyport.Actor, a sallyport.Administrator) (sallyport.Administrator, sallyport.Secret, error) {
	db := s.db.As(actor)
	a.ID, a.Created = sallyport.AdministratorID(sallyport.NewID()), s.now()
	a, err := db.PutAdministrator(ctx, a)
	if err != nil || a.Directory {
		return a, "", err
	}
	password := newPassword()
	return a, password, db.SetPassword(ctx, a.ID, initialMark+hashPassword(password))
}

// DeleteAdministrator removes one with sessions, factors and API tokens; never the last super administrator.
func (s *Service) DeleteAdministrator(ctx context.Context, actor sallyport.Actor, id sallyport.AdministratorID, version int64) error {
	db, err := s.as(actor, "DeleteAdministrator")
	if err != nil {
		return err
	}
	if string(id) == actor.ID && actor.Kind == sallyport.ActorAdministrator {
		return sallyport.Errorf(sallyport.CodeConflict, "You cannot delete yourself. Have another super administrator do it.", nil)
	}
	return db.DeleteAdministrator(ctx, id, version)
}

// ResetSecondFactor removes every second factor and recovery code of an administrator who lost theirs, and
// ends their sessions: at the next sign-in they make new ones.
func (s *Service) ResetSecondFactor(ctx context.Context, actor sallyport.Actor, id sallyport.AdministratorID) error {
	db, err := s.as(actor, "ResetSecondFactor")
	if err != nil {
		return err
	}
	a, err := db.Administrator(ctx, id)
	if err != nil {
		return err
	}
	keys, err := db.Passkeys(ctx, id)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := db.DeletePasskey(ctx, id, k.Credential); err != nil {
			return err
		}
	}
	if err := db.SetTOTP(ctx, id, nil); err != nil {
		return err
	}
	if err := db.SetRecoveryCodes(ctx, id, nil); err != nil {
		return err
	}
	if _, err := db.EndConsoleSessions(ctx, id); err != nil {
		return err
	}
	return db.AppendAudit(ctx, []sallyport.AuditRecord{{Time: s.now(), Actor: actor, Action: "administrator.reset-second-factor", Object: a.Name, ObjectID: string(id)}})
}

// ResetPassword sets a new password for a local administrator, returned this once, that has to be changed at
// the next sign-in; their sessions end.
func (s *Service) ResetPassword(ctx context.Context, actor sallyport.Actor, id sallyport.AdministratorID) (sallyport.Secret, error) {
	db, err := s.as(actor, "ResetPassword")
	if err != nil {
		return "", err
	}
	a, err := db.Administrator(ctx, id)
	if err != nil {
		return "", err
	}
	if a.Directory {
		return "", sallyport.Errorf(sallyport.CodeUnsupported, "The password is that of the directory. It is changed there.", nil)
	}
	password := newPassword()
	if err := db.SetPassword(ctx, id, initialMark+hashPassword(password)); err != nil {
		return "", err
	}
	_, err = db.EndConsoleSessions(ctx, id)
	return password, err
}

func checkName(f FieldErrors, a sallyport.Administrator) {
	f.check(a.Name != "", "name", "Enter a sign-in name.")
	f.check(plain(a.Name, 64), "name", "Use at most 64 letters, digits and signs.")
	f.check(a.Directory || !strings.ContainsAny(a.Name, `\/@ `), "name", `Leave spaces, "\", "/" and "@" out of it.`)
	f.check(!a.Directory || strings.Contains(a.Name, `\`), "name", `Write it as DOMAIN\name.`)
}

func checkProfile(f FieldErrors, a sallyport.Administrator) {
	f.check(a.DisplayName != "", "display_name", "Enter a name.")
	f.check(plain(a.DisplayName, 100), "display_name", "Use at most 100 characters.")
	if a.Mail != "" {
		parsed, err := mail.ParseAddress(a.Mail)
		f.check(err == nil && parsed.Address == a.Mail && len(a.Mail) <= 254, "mail", "This is not an e-mail address.")
	}
}

// plain reports whether s is text of at most most characters without control characters.
func plain(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, unicode.IsControl)
}
