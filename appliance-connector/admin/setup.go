package admin

import (
	"context"
	"crypto/sha256"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
)

// SetupLife is how long the link lasts that makes the first administrator.
const SetupLife = 24 * time.Hour

// NeedsSetup reports whether there is no administrator yet.
func (s *Service) NeedsSetup(ctx context.Context) (bool, error) {
	list, err := s.db.Administrators(ctx)
	return len(list) == 0, err
}

// IssueSetupCode makes the code that whoever has it becomes the first super administrator with. The one made
// before is void. Once there is an administrator it is a conflict.
func (s *Service) IssueSetupCode(ctx context.Context) (sallyport.Secret, error) {
	code := sallyport.NewCode(6) // 150 bits: no counting of tries is needed
	return code, s.db.PutSetupLink(ctx, setupHash(code), s.now().Add(SetupLife))
}

// SetupRequest makes the first administrator.
type SetupRequest struct {
	Code        sallyport.Secret
	Name        string
	DisplayName string
	Mail        string
	Password    sallyport.Secret
	Visitor     Visitor
}

// Setup makes the first super administrator, and a session that goes on to the second factor.
func (s *Service) Setup(ctx context.Context, r SetupRequest) (*Session, error) {
	here := []counter{{counted("here", network(r.Visitor.Address)), hereTiers}}
	if err := s.attempt(ctx, here); err != nil {
		return nil, err
	}
	a := sallyport.Administrator{ID: sallyport.AdministratorID(sallyport.NewID()), Name: strings.TrimSpace(r.Name),
		DisplayName: strings.TrimSpace(r.DisplayName), Mail: strings.TrimSpace(r.Mail), Role: sallyport.RoleSuper, Created: s.now()}
	f := FieldErrors{}
	f.check(strings.TrimSpace(string(r.Code)) != "", "code", "Enter the setup code.")
	checkName(f, a)
	checkProfile(f, a)
	words := checkPassword(r.Password, a.Name)
	f.check(words == "", "password", words)
	if err := f.err(); err != nil {
		return nil, err
	}
	made, err := s.db.UseSetupLink(ctx, setupHash(r.Code), s.now(), a, hashPassword(r.Password))
	switch sallyport.ErrorCode(err) {
	case "":
		return s.begin(ctx, made, r.Visitor, time.Time{}, "")
	case sallyport.CodeDenied, sallyport.CodeExpired, sallyport.CodeNotFound:
		return nil, FieldErrors{"code": "This code is not valid, or no longer. Make a new link with 'sallyport appliance console-link'."}.err()
	}
	return nil, err
}

func setupHash(code sallyport.Secret) [32]byte {
	return sha256.Sum256([]byte("sallyport/v1 setup " + string(sallyport.CanonicalCode(code))))
}
