package apmsim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"

	"github.com/sallyport/sallyport"
)

// The sixteen steps of a cloud login, as far as a gateway sees them.
const (
	stepPage   = 1
	stepPosted = 13
	stepLDAP   = 14
	stepRADIUS = 15
	stepAccess = 16
)

// What the logon page says when a logon failed.
const (
	textNotCorrect = "The username or password is not correct. Please try again."
	textNoServer   = "An error occurred while contacting the authentication server. Please try again."
)

const maxForm = 64 << 10

// runPolicy is the access policy: LDAP Auth, then RADIUS Auth with the third field, then the webtop. It reports whether
// access was granted; if not, the session knows what to show.
func (s *Server) runPolicy(r *http.Request, ses *session) bool {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Minute)
	defer cancel()
	ses.errText = ""
	if ses.pending != nil {
		return s.answerChallenge(ctx, r, ses)
	}
	user, password, token := r.PostForm.Get("username"), sallyport.Secret(r.PostForm.Get("password")), sallyport.Secret(r.PostForm.Get("password1"))
	s.cfg.Log(stepPosted, fmt.Sprintf("the browser posts the logon form for %q", user))
	if ses.page == pageLegacy {
		return s.checkToken(ctx, ses, question{user: user, password: password, station: station(r), legacy: true}, user)
	}
	acc, err := s.checkPassword(ctx, user, password)
	if err != nil {
		return s.refuse(ses, stepLDAP, "LDAP", err)
	}
	s.cfg.Log(stepLDAP, fmt.Sprintf("LDAP: password of %s is right, %d groups", acc.dn, len(acc.groups)))
	name := acc.name
	if name == "" {
		name = user
	}
	return s.checkToken(ctx, ses, question{user: user, password: token, station: station(r)}, name)
}

func (s *Server) answerChallenge(ctx context.Context, r *http.Request, ses *session) bool {
	c := ses.pending
	ses.pending = nil
	return s.checkToken(ctx, ses, question{
		user: c.user, password: sallyport.Secret(r.PostForm.Get("_F5_challenge")), state: c.state, station: station(r), legacy: ses.page == pageLegacy,
	}, c.user)
}

func (s *Server) checkToken(ctx context.Context, ses *session, q question, name string) bool {
	answer, server, err := s.askRADIUS(ctx, q)
	if err != nil {
		return s.refuse(ses, stepRADIUS, "RADIUS", err)
	}
	switch answer.Code {
	case radius.CodeAccessAccept:
		s.cfg.Log(stepRADIUS, fmt.Sprintf("RADIUS: %s accepts %s of %q", server, q.what(), q.user))
		s.cfg.Log(stepAccess, fmt.Sprintf("access granted to %q", q.user))
		ses.user = name
		return true
	case radius.CodeAccessChallenge:
		s.cfg.Log(stepRADIUS, fmt.Sprintf("RADIUS: %s asks %q back", server, q.user))
		ses.pending = &challenge{user: q.user, prompt: rfc2865.ReplyMessage_GetString(answer), state: rfc2865.State_Get(answer)}
		return false
	default:
		return s.refuse(ses, stepRADIUS, "RADIUS", errRefused)
	}
}

func (s *Server) refuse(ses *session, step int, what string, err error) bool {
	s.cfg.Log(step, fmt.Sprintf("%s: %v", what, err))
	ses.errText = textNoServer
	if errors.Is(err, errRefused) {
		ses.errText = textNotCorrect
	}
	return false
}

func station(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
