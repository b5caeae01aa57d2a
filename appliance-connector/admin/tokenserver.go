package admin

import (
	"context"
	"slices"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/tokenserver"
)

// TokenAsker asks external token servers.
type TokenAsker interface {
	// Try asks one server, as the settings say.
	Try(context.Context, sallyport.TokenServers, sallyport.TokenServer, tokenserver.Query) (tokenserver.Answer, error)
	// Health is how the servers do that this appliance asks.
	Health() []tokenserver.Health
}

// TokenServersStatus is the external token servers, without their secrets, and how those do that this appliance
// asks.
type TokenServersStatus struct {
	sallyport.TokenServers
	Health map[sallyport.TokenServerID]tokenserver.Health
}

// TokenServers returns the external token servers.
func (s *Service) TokenServers(ctx context.Context, actor sallyport.Actor) (TokenServersStatus, error) {
	db, err := s.as(actor, "TokenServers")
	if err != nil {
		return TokenServersStatus{}, err
	}
	v, err := db.TokenServers(ctx)
	if err != nil {
		return TokenServersStatus{}, err
	}
	out := TokenServersStatus{TokenServers: withoutTokenSecrets(v), Health: map[sallyport.TokenServerID]tokenserver.Health{}}
	if s.cfg.Tokens != nil {
		for _, h := range s.cfg.Tokens.Health() {
			out.Health[h.Server] = h
		}
	}
	return out, nil
}

func withoutTokenSecrets(v sallyport.TokenServers) sallyport.TokenServers {
	v.Servers = slices.Clone(v.Servers)
	for i := range v.Servers {
		v.Servers[i].Secret = ""
	}
	return v
}

// SetTokenServers replaces all of them when their version is the one now. A server without a secret keeps the one that
// it has, unless its address is another one.
func (s *Service) SetTokenServers(ctx context.Context, actor sallyport.Actor, v sallyport.TokenServers) (sallyport.TokenServers, error) {
	db, err := s.as(actor, "SetTokenServers")
	if err != nil {
		return sallyport.TokenServers{}, err
	}
	v.Servers = slices.Clone(v.Servers)
	for i := range v.Servers {
		if v.Servers[i].ID == "" {
			v.Servers[i].ID = sallyport.TokenServerID(sallyport.NewID())
		}
	}
	if err := FieldErrors(store.TokenServersProblems(v)).err(); err != nil {
		return sallyport.TokenServers{}, err
	}
	saved, err := db.PutTokenServers(ctx, v)
	return withoutTokenSecrets(saved), err
}

// TokenTry is what came of trying a server.
type TokenTry struct {
	tokenserver.Answer
	Took time.Duration
	// Trouble says why there was no answer; empty: there was one.
	Trouble string
}

// tokenTryTime is more than a server may take.
const tokenTryTime = sallyport.TokenTriesMost*sallyport.TokenTimeoutMost + 15*time.Second

// TryTokenServer asks one server about a code of a user, by the settings as they are saved. The user is named as
// typed here. State is that of the question that code answers; nil: it begins.
func (s *Service) TryTokenServer(ctx context.Context, actor sallyport.Actor, id sallyport.TokenServerID, user string, code sallyport.Secret, state []byte) (TokenTry, error) {
	db, err := s.as(actor, "TryTokenServer")
	if err != nil {
		return TokenTry{}, err
	}
	f := FieldErrors{}
	f.check(user != "" && len(user) <= 253, "user", "Type the user's name as the token server knows it.")
	f.check(code != "" && len(code) <= 128, "code", "Type what the token shows.")
	if err := f.err(); err != nil {
		return TokenTry{}, err
	}
	if s.cfg.Tokens == nil {
		return TokenTry{}, sallyport.Errorf(sallyport.CodeUnavailable, "Token servers cannot be asked from here.", nil)
	}
	v, err := db.TokenServers(ctx)
	if err != nil {
		return TokenTry{}, err
	}
	at := slices.IndexFunc(v.Servers, func(x sallyport.TokenServer) bool { return x.ID == id })
	if at < 0 {
		return TokenTry{}, sallyport.Errorf(sallyport.CodeNotFound, "This token server does not exist, or no longer.", nil)
	}
	ctx, cancel := context.WithTimeout(ctx, tokenTryTime)
	defer cancel()
	began := s.now()
	a, err := s.cfg.Tokens.Try(ctx, v, v.Servers[at], tokenserver.Query{UserName: user, Passcode: code, State: state})
	out := TokenTry{Answer: a, Took: s.now().Sub(began)}
	result := string(a.Outcome)
	if err != nil {
		if sallyport.ErrorCode(err) == sallyport.CodeInvalid {
			return TokenTry{}, err
		}
		out.Trouble = tokenserver.Words(err)
		result = out.Trouble
	}
	return out, db.AppendAudit(ctx, []sallyport.AuditRecord{{Action: "token servers.try", Object: v.Servers[at].Host, ObjectID: string(id), Reason: result}})
}
