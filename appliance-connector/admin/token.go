package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
)

// tokenPrefix begins every API token, so that scanners for lost secrets know one.
const tokenPrefix = "sallyport_"

const (
	maxTokens    = 50
	maxTokenLife = 366 * 24 * time.Hour
)

// OwnTokens lists the API tokens of the session's administrator.
func (s *Service) OwnTokens(ctx context.Context, session *Session) ([]sallyport.APIToken, error) {
	return s.db.APITokens(ctx, session.admin.ID)
}

// NewToken is what an API token shall be.
type NewToken struct {
	Name   string // what it is for
	Role   sallyport.Role
	Access sallyport.TokenAccess
	Life   time.Duration
}

// NewToken makes an API token in the name of the session's administrator, with at most their role. The token
// itself is returned this once; a hash of it is kept.
func (s *Service) NewToken(ctx context.Context, session *Session, n NewToken) (sallyport.APIToken, sallyport.Secret, error) {
	if !session.Confirmed() {
		return sallyport.APIToken{}, "", errConfirm
	}
	name := strings.TrimSpace(n.Name)
	f := FieldErrors{}
	f.check(name != "" && utf8.ValidString(name) && utf8.RuneCountInString(name) <= 64, "name", "Say what the token is for, in at most 64 characters.")
	f.check(slices.Contains(RolesUpTo(session.admin.Role), n.Role), "role", "A token may do at most what you may.")
	f.check(n.Access == sallyport.TokenReads || n.Access == sallyport.TokenWrites, "access", "A token may read, or read and write.")
	f.check(n.Life >= time.Hour && n.Life <= maxTokenLife, "life", "A token lasts from an hour to a year.")
	if err := f.err(); err != nil {
		return sallyport.APIToken{}, "", err
	}
	list, err := s.db.APITokens(ctx, session.admin.ID)
	if err != nil {
		return sallyport.APIToken{}, "", err
	}
	if len(list) >= maxTokens {
		return sallyport.APIToken{}, "", sallyport.Errorf(sallyport.CodeConflict, "You have many API tokens. Delete one that is not used first.", nil)
	}
	var raw [32]byte
	rand.Read(raw[:])
	token := sallyport.Secret(tokenPrefix + base64.RawURLEncoding.EncodeToString(raw[:]))
	now := s.now()
	t := sallyport.APIToken{ID: sallyport.NewID(), Owner: session.admin.ID, Name: name, Role: n.Role, Access: n.Access, Created: now, Expires: now.Add(n.Life)}
	return t, token, s.db.As(ownActor(session)).PutAPIToken(ctx, t, sha256.Sum256([]byte(token)))
}

// DeleteToken ends one of the own API tokens at once.
func (s *Service) DeleteToken(ctx context.Context, session *Session, id string) error {
	if session.stage != StageIn {
		return errConfirm
	}
	list, err := s.db.APITokens(ctx, session.admin.ID)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(list, func(t sallyport.APIToken) bool { return t.ID == id }) {
		return nil // gone already, or not one's own
	}
	return s.db.As(ownActor(session)).DeleteAPIToken(ctx, id)
}

// errToken is the one answer to whatever is wrong with an API token.
var errToken = sallyport.Errorf(sallyport.CodeDenied, "The API token is not valid.", nil)

// ByToken gives the actor of an API token: the owner's scope, and the token's role as long as the owner's
// allows it. Tokens that are none are counted by network as sign-ins are; after too many, all are refused there
// for a while (CodeLimited).
func (s *Service) ByToken(ctx context.Context, token sallyport.Secret, address string) (sallyport.Actor, error) {
	guesses := []counter{{counted("token", network(address)), hereTiers}}
	if err := s.guessed(ctx, guesses); err != nil {
		return sallyport.Actor{}, err
	}
	actor, err := s.byToken(ctx, token, address)
	if errors.Is(err, errToken) {
		// Counted afterwards: programs ask often, and of many tries at once none finds one of 2^256 tokens.
		if err := s.attempt(ctx, guesses); err != nil {
			return sallyport.Actor{}, err
		}
	}
	return actor, err
}

// byToken finds the actor, or errToken.
func (s *Service) byToken(ctx context.Context, token sallyport.Secret, address string) (sallyport.Actor, error) {
	if len(token) > 100 || !strings.HasPrefix(string(token), tokenPrefix) {
		return sallyport.Actor{}, errToken
	}
	t, err := s.db.APITokenByHash(ctx, sha256.Sum256([]byte(token)))
	if sallyport.ErrorCode(err) == sallyport.CodeNotFound {
		return sallyport.Actor{}, errToken
	}
	if err != nil {
		return sallyport.Actor{}, err
	}
	now := s.now()
	owner, err := s.db.Administrator(ctx, t.Owner)
	switch {
	case sallyport.ErrorCode(err) == sallyport.CodeNotFound:
		return sallyport.Actor{}, errToken
	case err != nil:
		return sallyport.Actor{}, err
	case !now.Before(t.Expires) || owner.Disabled || !slices.Contains(RolesUpTo(owner.Role), t.Role):
		return sallyport.Actor{}, errToken
	}
	if now.Sub(t.Used) > time.Minute {
		if err := s.db.APITokenUsed(ctx, t.ID, now); err != nil {
			s.log.WarnContext(ctx, "use of API token not noted", "err", err)
		}
	}
	return sallyport.Actor{Kind: sallyport.ActorToken, ID: string(owner.ID), Name: owner.Name + " (" + t.Name + ")", Role: t.Role, Scope: owner.Scope,
		ReadOnly: t.Access != sallyport.TokenWrites, Address: address}, nil
}
