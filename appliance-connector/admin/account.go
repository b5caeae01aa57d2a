package admin

import (
	"context"
	"strings"

	"github.com/sallyport/sallyport"
)

// ChangePassword changes the session's administrator's local password and ends the other sessions. before is
// not asked for in a session that has just begun with a password set by somebody else.
func (s *Service) ChangePassword(ctx context.Context, session *Session, before, password sallyport.Secret) error {
	if session.stage != StageIn && session.stage != StagePassword {
		return errConfirm
	}
	if session.admin.Directory {
		return sallyport.Errorf(sallyport.CodeUnsupported, "Your password is that of the directory. Change it there.", nil)
	}
	id := session.admin.ID
	kept, err := s.db.PasswordHash(ctx, id)
	if err != nil {
		return err
	}
	if err := s.attempt(ctx, codeCounters(id)); err != nil {
		return err
	}
	f := FieldErrors{}
	if session.stage == StageIn {
		ok, err := matchPassword(kept, before)
		if err != nil {
			return err
		}
		f.check(ok, "before", "This is not your password.")
	}
	words := checkPassword(password, session.admin.Name)
	f.check(words == "", "password", words)
	same, err := matchPassword(kept, password)
	if err != nil {
		return err
	}
	f.check(!same, "password", "Use another password than before.")
	if err := f.err(); err != nil {
		return err
	}
	s.succeeded(ctx, codeCounters(id))
	if err := s.db.As(ownActor(session)).SetPassword(ctx, id, hashPassword(password)); err != nil {
		return err
	}
	_, err = s.endOthers(ctx, session)
	return err
}

// ChangeProfile changes how the session's administrator is called and reached.
func (s *Service) ChangeProfile(ctx context.Context, session *Session, displayName, mail string) error {
	if session.stage != StageIn {
		return errConfirm
	}
	a := session.admin
	if Granted(a) {
		return sallyport.Errorf(sallyport.CodeUnsupported, "Your name and address are those of the directory. Change them there.", nil)
	}
	a.DisplayName, a.Mail = strings.TrimSpace(displayName), strings.TrimSpace(mail)
	f := FieldErrors{}
	checkProfile(f, a)
	if err := f.err(); err != nil {
		return err
	}
	_, err := s.db.As(ownActor(session)).PutAdministrator(ctx, a)
	return err
}

// ownActor is the session's administrator, also before the session is signed in: for what is one's own.
func ownActor(session *Session) sallyport.Actor {
	a := session.admin
	return sallyport.Actor{Kind: sallyport.ActorAdministrator, ID: string(a.ID), Name: a.Name, Role: a.Role, Scope: a.Scope, Address: session.visitor.Address}
}
