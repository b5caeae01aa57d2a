package admin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
)

// answerEvery evens out refused sign-ins: whatever was wrong, the answer comes a whole number of these
// after the question. Only a directory that takes longer than the first makes it the second.
const answerEvery = time.Second

// grantedPrefix begins the id of an administrator who came by a role grant: the role is looked up anew at
// every sign-in and ends with the membership.
const grantedPrefix = "group-"

// Directory checks those whose password is the directory's.
type Directory interface {
	// Verify checks a password with one bind. ok is false for a wrong one, an unknown name, an account that
	// may not log in; an error means that the directory could not be asked.
	Verify(ctx context.Context, typed string, password sallyport.Secret) (account sallyport.Account, ok bool, err error)
	// Member reports whether the account is in the group (a DN), nested ones included.
	Member(ctx context.Context, account sallyport.Account, domain sallyport.DomainID, group string) (bool, error)
}

// SignInRequest is a name and a password, and where they came from.
type SignInRequest struct {
	Name     string
	Password sallyport.Secret
	Visitor  Visitor
	// Before is the token of a session that the browser still had; it ends.
	Before sallyport.Secret
}

// errSignIn is the one answer to whatever is wrong with a name and a password.
var errSignIn = sallyport.Errorf(sallyport.CodeDenied, "Name or password is not right.", nil)

// FactorAsked is what the log says when a password was right.
const FactorAsked = "administrator goes on to the second factor"

// SignIn checks name and password, and gives a session that waits for the second factor. Unknown names,
// wrong passwords and disabled administrators have the same answer after the same time.
func (s *Service) SignIn(ctx context.Context, r SignInRequest) (*Session, error) {
	start := s.now()
	counters := signInCounters(r.Name, r.Visitor.Address)
	a, why, err := s.verify(ctx, r, counters)
	if err == nil && why != "" {
		err = s.record(ctx, sallyport.AuditRecord{Action: "administrator.sign-in-refused", Object: cut(r.Name, 100), ObjectID: string(a.ID), Reason: why,
			Actor: sallyport.Actor{Kind: sallyport.ActorUser, Name: cut(r.Name, 100), Address: r.Visitor.Address}})
		err = errors.Join(errSignIn, err)
	}
	if err != nil {
		s.answerLater(ctx, start)
		return nil, err
	}
	s.succeeded(ctx, counters)
	s.log.InfoContext(ctx, FactorAsked, "administrator", a.Name, "address", r.Visitor.Address)
	return s.begin(ctx, a, r.Visitor, time.Time{}, r.Before)
}

// answerLater waits for the next whole step after start.
func (s *Service) answerLater(ctx context.Context, start time.Time) {
	took := s.now().Sub(start)
	s.cfg.Sleep(ctx, (took/answerEvery+1)*answerEvery-took)
}

// verify finds the administrator; why is not empty when the sign-in is refused, for the trail only.
func (s *Service) verify(ctx context.Context, r SignInRequest, counters []counter) (a sallyport.Administrator, why string, err error) {
	if err := s.attempt(ctx, counters); err != nil {
		return a, "", err
	}
	name := strings.TrimSpace(r.Name)
	if name == "" || len(name) > 256 || r.Password == "" || len(r.Password) > 4*maxPassword {
		burn("")
		return a, "no name or no password", nil
	}
	a, err = s.db.AdministratorByName(ctx, name)
	known := err == nil
	if !known && sallyport.ErrorCode(err) != sallyport.CodeNotFound && sallyport.ErrorCode(err) != sallyport.CodeInvalid {
		return a, "", err
	}
	if known && !a.Directory {
		why, err = s.verifyLocal(ctx, a, r.Password)
		return a, why, err
	}
	burn(r.Password)
	return s.verifyDirectory(ctx, name, r.Password)
}

func (s *Service) verifyLocal(ctx context.Context, a sallyport.Administrator, password sallyport.Secret) (why string, err error) {
	hash, err := s.db.PasswordHash(ctx, a.ID)
	if err != nil {
		return "", err
	}
	if hash == "" {
		burn(password)
		return "no password is set", nil
	}
	ok, err := matchPassword(hash, password)
	switch {
	case err != nil:
		return "", fmt.Errorf("check password: %w", err)
	case !ok:
		return "wrong password", nil
	case a.Disabled:
		return "disabled", nil
	}
	return "", nil
}

func (s *Service) verifyDirectory(ctx context.Context, typed string, password sallyport.Secret) (a sallyport.Administrator, why string, err error) {
	if s.cfg.Directory == nil {
		return a, "unknown name", nil
	}
	account, ok, err := s.cfg.Directory.Verify(ctx, typed, password)
	if err != nil {
		// Told apart from a wrong password, the directory's outage would tell which names are its own.
		s.log.WarnContext(ctx, "sign-in to the console not checked by the directory", "err", err)
		return a, "the directory does not answer", nil
	}
	if !ok || account.Name == "" {
		return a, "the directory refuses name or password", nil
	}
	a, err = s.db.AdministratorByName(ctx, string(account.Name))
	switch {
	case err == nil && a.Disabled:
		return a, "disabled", nil
	case err == nil && a.Directory && !strings.HasPrefix(string(a.ID), grantedPrefix):
		return a, "", nil
	case err == nil && !a.Directory:
		return a, "the name is that of a local administrator", nil
	case err != nil && sallyport.ErrorCode(err) != sallyport.CodeNotFound:
		return a, "", err
	}
	return s.byGrant(ctx, a, account)
}

// byGrant looks for the first role grant whose group has the account as a member, and keeps the
// administrator (the zero one: not seen before) in step with it.
func (s *Service) byGrant(ctx context.Context, a sallyport.Administrator, account sallyport.Account) (sallyport.Administrator, string, error) {
	grants, _, err := s.db.RoleGrants(ctx)
	if err != nil {
		return a, "", err
	}
	for _, g := range grants {
		in, err := s.cfg.Directory.Member(ctx, account, g.Domain, g.Group)
		if err != nil {
			s.log.WarnContext(ctx, "group of a role grant not asked", "err", err)
			return a, "the directory does not answer", nil
		}
		if !in {
			continue
		}
		want := a
		if a.ID == "" {
			want = sallyport.Administrator{ID: grantedID(account.Name), Name: string(account.Name), Directory: true, Created: s.now()}
		}
		want.DisplayName, want.Mail = cmp.Or(account.DisplayName, account.Name.User()), account.Mail
		want.Role, want.Scope = g.Role, g.Scope
		if a.ID != "" && sameRights(a, want) {
			return a, "", nil
		}
		a, err = s.db.PutAdministrator(ctx, want)
		return a, "", err
	}
	return a, "in no group with a role", nil
}

func sameRights(a, b sallyport.Administrator) bool {
	return a.Role == b.Role && a.DisplayName == b.DisplayName && a.Mail == b.Mail &&
		fmt.Sprint(a.Scope) == fmt.Sprint(b.Scope)
}

func grantedID(name sallyport.AccountName) sallyport.AdministratorID {
	sum := sha256.Sum256([]byte(name))
	return sallyport.AdministratorID(grantedPrefix + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16])))
}

// Granted reports whether the administrator came by a role grant: role and scope are the group's.
func Granted(a sallyport.Administrator) bool { return strings.HasPrefix(string(a.ID), grantedPrefix) }

// signedIn ends a step with the second factor: a new token, and the trail.
func (s *Service) signedIn(ctx context.Context, session *Session, how string) (*Session, error) {
	expires := s.now().Add(absoluteLife)
	if session.record.SecondFactor { // asked again: the end stays where it was
		expires = session.record.Expires
	}
	out, err := s.begin(ctx, session.admin, session.visitor, expires, session.token)
	if err != nil || session.record.SecondFactor {
		return out, err
	}
	if err := s.db.AdministratorSeen(ctx, session.admin.ID, s.now()); err != nil {
		return nil, err
	}
	return out, s.tell(ctx, out, "administrator.sign-in", how)
}

// tell notes in the trail what somebody did with the own session or the own factors.
func (s *Service) tell(ctx context.Context, session *Session, action, reason string) error {
	a := session.admin
	return s.record(ctx, sallyport.AuditRecord{Action: action, Object: a.Name, ObjectID: string(a.ID), Reason: reason,
		Actor: sallyport.Actor{Kind: sallyport.ActorAdministrator, ID: string(a.ID), Name: a.Name, Role: a.Role, Address: session.visitor.Address}})
}

func (s *Service) record(ctx context.Context, r sallyport.AuditRecord) error {
	r.Time = s.now()
	return s.db.AppendAudit(ctx, []sallyport.AuditRecord{r})
}
