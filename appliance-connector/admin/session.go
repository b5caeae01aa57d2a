package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// Stage is how far somebody has come in signing in.
type Stage string

const (
	StageFactor   Stage = "factor"   // the password was right; the second factor is to come
	StageEnrol    Stage = "enrol"    // there is no second factor yet: one has to be made
	StagePassword Stage = "password" // somebody else set the password: it has to be changed
	StageIn       Stage = "in"       // signed in
)

// Bounds of a session in time.
const (
	pendingLife  = 10 * time.Minute // between password and second factor
	absoluteLife = 12 * time.Hour
	// ConfirmedFor is how long after the second factor dangerous acts go through without asking again.
	ConfirmedFor = 10 * time.Minute
	// seenEvery is how exactly the last request of a session is kept: not every one is worth a write.
	seenEvery = 20 * time.Second
)

// Visitor is where a request came from.
type Visitor struct {
	Address string // IP address of the peer
	Browser string // User-Agent; only shown
	// Origin is the console's own, as the browser sees it: "https://host:port". Passkeys belong to it.
	Origin string
}

// Session is somebody who signs in or is signed in. Only this package makes one, so that holding one is
// the proof; it is good for one request.
type Session struct {
	token   sallyport.Secret
	record  store.ConsoleSession
	admin   sallyport.Administrator
	stage   Stage
	now     time.Time
	visitor Visitor
}

// Token is what the browser keeps in its cookie. The store keeps a hash of it only.
func (s *Session) Token() sallyport.Secret { return s.token }

// Stage tells what has to come next.
func (s *Session) Stage() Stage { return s.stage }

// Administrator is whose session it is.
func (s *Session) Administrator() sallyport.Administrator { return s.admin }

// Expires is when the session ends at the latest.
func (s *Session) Expires() time.Time { return s.record.Expires }

// Confirmed reports whether the second factor was shown within ConfirmedFor. Each time it is shown makes a
// session of its own, so that it is the session's age.
func (s *Session) Confirmed() bool {
	return s.stage == StageIn && s.Age() < ConfirmedFor
}

// Age is how long ago the session's second factor was shown.
func (s *Session) Age() time.Duration { return s.now.Sub(s.record.Created) }

// Actor is who acts in this session: nobody before the session is signed in.
func (s *Session) Actor() sallyport.Actor {
	if s.stage != StageIn {
		return sallyport.Actor{Address: s.visitor.Address}
	}
	return sallyport.Actor{Kind: sallyport.ActorAdministrator, ID: string(s.admin.ID), Name: s.admin.Name,
		Role: s.admin.Role, Scope: s.admin.Scope, Address: s.visitor.Address}
}

// CSRF is the token that every form of this session carries.
func (s *Session) CSRF() string { return base64.RawURLEncoding.EncodeToString(s.record.CSRF) }

// CheckCSRF compares in constant time.
func (s *Session) CheckCSRF(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(s.CSRF())) == 1
}

func tokenHash(token sallyport.Secret) [32]byte { return sha256.Sum256([]byte(token)) }

// begin makes a session under a new token, and ends the one before it: whoever knew that one knows nothing.
// expires is zero for a session that waits for the second factor.
func (s *Service) begin(ctx context.Context, a sallyport.Administrator, v Visitor, expires time.Time, before sallyport.Secret) (*Session, error) {
	var raw, csrf [32]byte
	rand.Read(raw[:])
	rand.Read(csrf[:])
	settings, err := s.consoleSettings(ctx)
	if err != nil {
		return nil, err
	}
	now := s.now()
	out := &Session{token: sallyport.Secret(base64.RawURLEncoding.EncodeToString(raw[:])), admin: a, now: now, visitor: v}
	out.record = store.ConsoleSession{Hash: tokenHash(out.token), Administrator: a.ID, SecondFactor: !expires.IsZero(), CSRF: csrf[:],
		Address: place(v), Created: now, Used: now, Idle: settings.Idle, Expires: expires}
	if expires.IsZero() {
		out.record.Expires = now.Add(pendingLife)
	}
	if err := s.db.PutConsoleSession(ctx, out.record); err != nil {
		return nil, err
	}
	if before != "" {
		if _, err := s.db.EndConsoleSession(ctx, tokenHash(before)); err != nil {
			return nil, err
		}
	}
	out.stage, err = s.stage(ctx, out.record)
	return out, err
}

func (s *Service) stage(ctx context.Context, r store.ConsoleSession) (Stage, error) {
	if !r.SecondFactor {
		has, err := s.hasFactor(ctx, r.Administrator)
		if err != nil {
			return "", err
		}
		if has {
			return StageFactor, nil
		}
		return StageEnrol, nil
	}
	hash, err := s.db.PasswordHash(ctx, r.Administrator)
	switch {
	case err != nil:
		return "", err
	case strings.HasPrefix(hash, initialMark):
		return StagePassword, nil
	}
	return StageIn, nil
}

// Resume finds the session of a cookie. CodeDenied: there is none; CodeExpired: it ended meanwhile. A
// passive request (a page that refreshes itself) does not keep the session awake.
func (s *Service) Resume(ctx context.Context, token sallyport.Secret, v Visitor, passive bool) (*Session, error) {
	if token == "" || len(token) > 100 {
		return nil, sallyport.Errorf(sallyport.CodeDenied, "Please sign in.", nil)
	}
	out := &Session{token: token, now: s.now(), visitor: v}
	var err error
	if out.record, err = s.db.ConsoleSession(ctx, tokenHash(token), out.now); err != nil {
		if sallyport.ErrorCode(err) == sallyport.CodeNotFound {
			return nil, sallyport.Errorf(sallyport.CodeDenied, "Please sign in.", nil)
		}
		return nil, err
	}
	out.admin, err = s.db.Administrator(ctx, out.record.Administrator)
	if sallyport.ErrorCode(err) == sallyport.CodeNotFound || err == nil && out.admin.Disabled {
		_, err = s.db.EndConsoleSession(ctx, out.record.Hash)
		return nil, sallyport.Errorf(sallyport.CodeDenied, "Please sign in.", err)
	}
	if err != nil {
		return nil, err
	}
	if !passive && out.now.Sub(out.record.Used) >= seenEvery {
		if err := s.db.UseConsoleSession(ctx, out.record.Hash, out.now); err != nil {
			return nil, err
		}
	}
	out.stage, err = s.stage(ctx, out.record)
	return out, err
}

// SignOut ends the session.
func (s *Service) SignOut(ctx context.Context, session *Session) error {
	if _, err := s.db.EndConsoleSession(ctx, session.record.Hash); err != nil {
		return err
	}
	return s.tell(ctx, session, "administrator.sign-out", "")
}

// SignOutOthers ends every other session of the administrator and says how many there were.
func (s *Service) SignOutOthers(ctx context.Context, session *Session) (int, error) {
	n, err := s.endOthers(ctx, session)
	if err == nil && n > 0 {
		err = s.tell(ctx, session, "administrator.sign-out-elsewhere", "")
	}
	return n, err
}

func (s *Service) endOthers(ctx context.Context, session *Session) (n int, err error) {
	list, err := s.db.ConsoleSessions(ctx, session.record.Administrator, session.now)
	if err != nil {
		return 0, err
	}
	for _, r := range list {
		if r.Hash == session.record.Hash {
			continue
		}
		existed, err := s.db.EndConsoleSession(ctx, r.Hash)
		if err != nil {
			return n, err
		}
		if existed {
			n++
		}
	}
	return n, nil
}

// OpenSession is a session as its owner sees it in a list.
type OpenSession struct {
	ID      string // not the token, and of no use but to end it
	Own     bool   // the one that asks
	Created time.Time
	Seen    time.Time
	Place   string // address and browser
}

// Sessions lists the administrator's own sessions, the latest first.
func (s *Service) Sessions(ctx context.Context, session *Session) ([]OpenSession, error) {
	list, err := s.db.ConsoleSessions(ctx, session.record.Administrator, session.now)
	if err != nil {
		return nil, err
	}
	var out []OpenSession
	for _, r := range list {
		if r.SecondFactor {
			out = append(out, OpenSession{ID: sessionID(r), Own: r.Hash == session.record.Hash, Created: r.Created, Seen: r.Used, Place: r.Address})
		}
	}
	return out, nil
}

// EndSession ends one of the administrator's own sessions by the id in the list.
func (s *Service) EndSession(ctx context.Context, session *Session, id string) error {
	list, err := s.db.ConsoleSessions(ctx, session.record.Administrator, session.now)
	if err != nil {
		return err
	}
	for _, r := range list {
		if sessionID(r) == id {
			_, err := s.db.EndConsoleSession(ctx, r.Hash)
			return err
		}
	}
	return nil // it has ended already, which is what was asked for
}

func sessionID(r store.ConsoleSession) string {
	sum := sha256.Sum256(r.Hash[:])
	return hex.EncodeToString(sum[:8])
}

func cut(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "")
}

// place says for people where a session was begun: address and browser.
func place(v Visitor) string {
	return strings.TrimSuffix(v.Address+", "+browserName(v.Browser), ", ")
}

// browserName reads a User-Agent as far as a person wants to know it: "Firefox on Windows".
func browserName(agent string) string {
	name, system := "", ""
	for _, b := range [][2]string{{"Edg/", "Edge"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}} {
		if strings.Contains(agent, b[0]) {
			name = b[1]
			break
		}
	}
	for _, o := range [][2]string{{"Windows", "Windows"}, {"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"}} {
		if strings.Contains(agent, o[0]) {
			system = " on " + o[1]
			break
		}
	}
	if name == "" {
		return ""
	}
	return name + system
}
