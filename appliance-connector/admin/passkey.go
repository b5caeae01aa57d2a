package admin

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/internal/relyingparty"
	"github.com/sallyport/sallyport/internal/sealed"
)

const maxPasskeys = 20

// Passkey is a passkey as its owner sees it.
type Passkey struct {
	ID      string
	Name    string
	Host    string // the console's host name that it works at
	Created time.Time
	Used    time.Time

	credential []byte
}

// keptPasskey is what the store keeps of one.
type keptPasskey struct {
	Name       string              `json:"name"`
	Used       time.Time           `json:"used"`
	Host       string              `json:"host"`
	Credential webauthn.Credential `json:"credential"`
}

// CanPasskey reports whether browsers do passkeys at an origin: it needs a host name, not an address.
func CanPasskey(origin string) bool { _, err := relyingparty.Host(origin); return err == nil }

// passkeyOwner reads an administrator's passkeys for a host.
func (s *Service) passkeyOwner(ctx context.Context, a sallyport.Administrator, host string) (relyingparty.Owner, error) {
	rows, err := s.db.Passkeys(ctx, a.ID)
	if err != nil {
		return relyingparty.Owner{}, err
	}
	out := relyingparty.Owner{Handle: []byte(a.ID), Name: a.Name, DisplayName: a.DisplayName}
	for _, r := range rows {
		var k keptPasskey
		if err := json.Unmarshal(r.Kept, &k); err != nil {
			return relyingparty.Owner{}, fmt.Errorf("read passkey: %w", err)
		}
		if k.Host == host {
			out.Keys = append(out.Keys, k.Credential)
		}
	}
	return out, nil
}

func (s *Service) passkeys(ctx context.Context, id sallyport.AdministratorID) ([]Passkey, error) {
	rows, err := s.db.Passkeys(ctx, id)
	if err != nil {
		return nil, err
	}
	var out []Passkey
	for _, r := range rows {
		var k keptPasskey
		if err := json.Unmarshal(r.Kept, &k); err != nil {
			return nil, fmt.Errorf("read passkey: %w", err)
		}
		out = append(out, Passkey{ID: passkeyID(r.Credential), Name: k.Name, Host: k.Host, Created: r.Created, Used: k.Used, credential: r.Credential})
	}
	return out, nil
}

// PasskeyStep is one half of a ceremony: Options for the browser's API, State to come back with the answer.
type PasskeyStep struct {
	Options json.RawMessage
	State   string
}

// OfferPasskey begins making a passkey.
func (s *Service) OfferPasskey(ctx context.Context, session *Session) (PasskeyStep, error) {
	if err := mayEnrol(session); err != nil {
		return PasskeyStep{}, err
	}
	page, o, err := s.ceremony(ctx, session)
	if err != nil {
		return PasskeyStep{}, err
	}
	if len(o.Keys) >= maxPasskeys {
		return PasskeyStep{}, sallyport.Errorf(sallyport.CodeConflict, "You have many passkeys. Remove one that you do not use first.", nil)
	}
	options, data, err := page.Offer(o, nil)
	if err != nil {
		return PasskeyStep{}, err
	}
	return s.passkeyStep(session, "passkey enrol", options, data)
}

// EnrolPasskey ends making a passkey with the browser's answer; see EnrolTOTP for what it gives.
func (s *Service) EnrolPasskey(ctx context.Context, session *Session, state, name string, answer []byte) (*Session, []sallyport.Secret, error) {
	if err := mayEnrol(session); err != nil {
		return nil, nil, err
	}
	name = strings.TrimSpace(name)
	f := FieldErrors{}
	f.check(name != "" && utf8.RuneCountInString(name) <= 64 && utf8.ValidString(name), "name", "Give the passkey a name of at most 64 characters.")
	if err := f.err(); err != nil {
		return nil, nil, err
	}
	data, err := s.openPasskeyStep(ctx, session, "passkey enrol", state, answer)
	if err != nil {
		return nil, nil, err
	}
	page, o, err := s.ceremony(ctx, session)
	if err != nil {
		return nil, nil, err
	}
	credential, err := page.Make(o, data, answer)
	if err != nil {
		return nil, nil, err
	}
	if err := s.keepPasskey(ctx, session, credential, name, time.Time{}); err != nil {
		return nil, nil, err
	}
	return s.enrolled(ctx, session, "passkey "+name)
}

// AskPasskey begins showing a passkey, to sign in or to confirm.
func (s *Service) AskPasskey(ctx context.Context, session *Session) (PasskeyStep, error) {
	page, o, err := s.ceremony(ctx, session)
	if err != nil {
		return PasskeyStep{}, err
	}
	if len(o.Keys) == 0 {
		return PasskeyStep{}, sallyport.Errorf(sallyport.CodeNotFound, "You have no passkey for this address of the console.", nil)
	}
	options, data, err := page.Ask(o, nil)
	if err != nil {
		return PasskeyStep{}, err
	}
	return s.passkeyStep(session, "passkey ask", options, data)
}

// CheckPasskey takes the browser's answer as the second factor. The session it gives has a new token.
func (s *Service) CheckPasskey(ctx context.Context, session *Session, state string, answer []byte) (*Session, error) {
	if session.stage == StageEnrol {
		return nil, errFactor
	}
	counters := codeCounters(session.admin.ID)
	if err := s.attempt(ctx, counters); err != nil {
		return nil, err
	}
	data, err := s.openPasskeyStep(ctx, session, "passkey ask", state, answer)
	if err != nil {
		return nil, err
	}
	name, err := s.matchPasskey(ctx, session, data, answer)
	if sallyport.ErrorCode(err) == sallyport.CodeDenied {
		return nil, errors.Join(err, s.tell(ctx, session, "administrator.second-factor-refused", "passkey"))
	}
	if err != nil {
		return nil, err
	}
	s.succeeded(ctx, counters)
	return s.signedIn(ctx, session, "passkey "+name)
}

func (s *Service) matchPasskey(ctx context.Context, session *Session, data webauthn.SessionData, answer []byte) (name string, err error) {
	page, o, err := s.ceremony(ctx, session)
	if err != nil {
		return "", err
	}
	credential, err := page.Check(o, data, answer)
	if err != nil {
		return "", err
	}
	list, err := s.passkeys(ctx, session.admin.ID)
	if err != nil {
		return "", err
	}
	id := passkeyID(credential.ID)
	i := slices.IndexFunc(list, func(p Passkey) bool { return p.ID == id })
	if i < 0 {
		return "", relyingparty.Refused(errors.New("removed meanwhile"))
	}
	return list[i].Name, s.keepPasskey(ctx, session, credential, list[i].Name, s.now())
}

// DeletePasskey removes one, unless it is the only second factor.
func (s *Service) DeletePasskey(ctx context.Context, session *Session, id string) error {
	if !session.Confirmed() {
		return errConfirm
	}
	f, err := s.factors(ctx, session.admin.ID)
	if err != nil {
		return err
	}
	if !f.TOTP && len(f.Passkeys) < 2 {
		return errLastFactor
	}
	i := slices.IndexFunc(f.Passkeys, func(p Passkey) bool { return p.ID == id })
	if i < 0 {
		return nil // gone already
	}
	return s.db.As(ownActor(session)).DeletePasskey(ctx, session.admin.ID, f.Passkeys[i].credential)
}

func (s *Service) keepPasskey(ctx context.Context, session *Session, c webauthn.Credential, name string, used time.Time) error {
	u, err := url.Parse(session.visitor.Origin)
	if err != nil {
		return fmt.Errorf("read origin: %w", err)
	}
	kept, err := json.Marshal(keptPasskey{name, used, u.Hostname(), c})
	if err != nil {
		return fmt.Errorf("encode passkey: %w", err)
	}
	return s.db.As(ownActor(session)).PutPasskey(ctx, session.admin.ID, store.Passkey{Credential: c.ID, Kept: kept, Created: s.now()})
}

func passkeyID(raw []byte) string {
	if id := base64.RawURLEncoding.EncodeToString(raw); len(id) <= 64 {
		return id
	}
	sum := sha256.Sum256(raw) // an id has at most 64 characters here, a credential's up to 1,364
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (s *Service) ceremony(ctx context.Context, session *Session) (relyingparty.Page, relyingparty.Owner, error) {
	page, err := relyingparty.At(session.visitor.Origin, relyingparty.Required)
	if err != nil {
		return page, relyingparty.Owner{}, err
	}
	o, err := s.passkeyOwner(ctx, session.admin, page.Host)
	return page, o, err
}

func (s *Service) passkeyStep(session *Session, what string, options json.RawMessage, data webauthn.SessionData) (PasskeyStep, error) {
	state, err := s.sealStep(session, what, data)
	return PasskeyStep{options, state}, err
}

// openPasskeyStep gives back what a challenge was made with: once, on all appliances.
func (s *Service) openPasskeyStep(ctx context.Context, session *Session, what, state string, answer []byte) (data webauthn.SessionData, err error) {
	if len(answer) > relyingparty.MaxAnswer {
		return data, relyingparty.Refused(errors.New("the answer is too long"))
	}
	if err := s.openStep(session, what, state, &data); err != nil {
		return data, err
	}
	claim := sha256.Sum256(sealed.Fields("console passkey", data.Challenge))
	first, err := s.db.Claim(ctx, claim[:], s.now().Add(stepLife), s.now())
	if err == nil && !first {
		err = relyingparty.Refused(errors.New("the challenge was answered before"))
	}
	return data, err
}
