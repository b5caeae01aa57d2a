package admin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/internal/sealed"
)

const (
	maxPasskeys     = 20
	maxPasskeyReply = 32 << 10 // octets of what a browser sends of a passkey
)

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

// owner is an administrator as the library sees one.
type owner struct {
	admin sallyport.Administrator
	keys  []webauthn.Credential
}

func (o owner) WebAuthnID() []byte                         { return []byte(o.admin.ID) }
func (o owner) WebAuthnName() string                       { return o.admin.Name }
func (o owner) WebAuthnDisplayName() string                { return cmp.Or(o.admin.DisplayName, o.admin.Name) }
func (o owner) WebAuthnCredentials() []webauthn.Credential { return o.keys }

// CanPasskey reports whether browsers do passkeys at an origin: it needs a host name, not an address.
func CanPasskey(origin string) bool { _, err := relyingParty(origin); return err == nil }

func relyingParty(origin string) (*webauthn.WebAuthn, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || net.ParseIP(u.Hostname()) != nil {
		return nil, sallyport.Errorf(sallyport.CodeUnsupported, "Passkeys need a host name: open the console by its name, not by its address.", err)
	}
	return webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: "Sallyport", RPOrigins: []string{origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationRequired},
	})
}

// passkeyOwner reads an administrator's passkeys for the host of an origin.
func (s *Service) passkeyOwner(ctx context.Context, a sallyport.Administrator, origin string) (owner, error) {
	rows, err := s.db.Passkeys(ctx, a.ID)
	if err != nil {
		return owner{}, err
	}
	out := owner{admin: a}
	for _, r := range rows {
		var k keptPasskey
		if err := json.Unmarshal(r.Kept, &k); err != nil {
			return owner{}, fmt.Errorf("read passkey: %w", err)
		}
		if u, err := url.Parse(origin); err == nil && k.Host == u.Hostname() {
			out.keys = append(out.keys, k.Credential)
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
	rp, o, err := s.ceremony(ctx, session)
	if err != nil {
		return PasskeyStep{}, err
	}
	if len(o.keys) >= maxPasskeys {
		return PasskeyStep{}, sallyport.Errorf(sallyport.CodeConflict, "You have many passkeys. Remove one that you do not use first.", nil)
	}
	var exclude []protocol.CredentialDescriptor
	for _, k := range o.keys {
		exclude = append(exclude, k.Descriptor())
	}
	options, data, err := rp.BeginRegistration(o, webauthn.WithExclusions(exclude))
	if err != nil {
		return PasskeyStep{}, fmt.Errorf("begin passkey: %w", err)
	}
	return s.passkeyStep(session, "passkey enrol", options.Response, data)
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
	rp, o, err := s.ceremony(ctx, session)
	if err != nil {
		return nil, nil, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return nil, nil, refusedPasskey(err)
	}
	credential, err := rp.CreateCredential(o, data, parsed)
	if err != nil {
		return nil, nil, refusedPasskey(err)
	}
	if err := s.keepPasskey(ctx, session, *credential, name, time.Time{}); err != nil {
		return nil, nil, err
	}
	return s.enrolled(ctx, session, "passkey "+name)
}

// AskPasskey begins showing a passkey, to sign in or to confirm.
func (s *Service) AskPasskey(ctx context.Context, session *Session) (PasskeyStep, error) {
	rp, o, err := s.ceremony(ctx, session)
	if err != nil {
		return PasskeyStep{}, err
	}
	if len(o.keys) == 0 {
		return PasskeyStep{}, sallyport.Errorf(sallyport.CodeNotFound, "You have no passkey for this address of the console.", nil)
	}
	options, data, err := rp.BeginLogin(o)
	if err != nil {
		return PasskeyStep{}, fmt.Errorf("ask for passkey: %w", err)
	}
	return s.passkeyStep(session, "passkey ask", options.Response, data)
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
	rp, o, err := s.ceremony(ctx, session)
	if err != nil {
		return "", err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return "", refusedPasskey(err)
	}
	credential, err := rp.ValidateLogin(o, data, parsed)
	if err != nil {
		return "", refusedPasskey(err)
	}
	if credential.Authenticator.CloneWarning {
		return "", refusedPasskey(errors.New("the counter went back: there may be a copy of the passkey"))
	}
	list, err := s.passkeys(ctx, session.admin.ID)
	if err != nil {
		return "", err
	}
	id := passkeyID(credential.ID)
	i := slices.IndexFunc(list, func(p Passkey) bool { return p.ID == id })
	if i < 0 {
		return "", refusedPasskey(errors.New("removed meanwhile"))
	}
	return list[i].Name, s.keepPasskey(ctx, session, *credential, list[i].Name, s.now())
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

func (s *Service) ceremony(ctx context.Context, session *Session) (*webauthn.WebAuthn, owner, error) {
	rp, err := relyingParty(session.visitor.Origin)
	if err != nil {
		return nil, owner{}, err
	}
	o, err := s.passkeyOwner(ctx, session.admin, session.visitor.Origin)
	return rp, o, err
}

func (s *Service) passkeyStep(session *Session, what string, options any, data *webauthn.SessionData) (PasskeyStep, error) {
	text, err := json.Marshal(options)
	if err != nil {
		return PasskeyStep{}, fmt.Errorf("encode passkey options: %w", err)
	}
	state, err := s.sealStep(session, what, data)
	return PasskeyStep{text, state}, err
}

// openPasskeyStep gives back what a challenge was made with: once, on all appliances.
func (s *Service) openPasskeyStep(ctx context.Context, session *Session, what, state string, answer []byte) (data webauthn.SessionData, err error) {
	if len(answer) > maxPasskeyReply {
		return data, refusedPasskey(errors.New("the answer is too long"))
	}
	if err := s.openStep(session, what, state, &data); err != nil {
		return data, err
	}
	claim := sha256.Sum256(sealed.Fields("console passkey", data.Challenge))
	first, err := s.db.Claim(ctx, claim[:], s.now().Add(stepLife), s.now())
	if err == nil && !first {
		err = refusedPasskey(errors.New("the challenge was answered before"))
	}
	return data, err
}

func refusedPasskey(cause error) error {
	return sallyport.Errorf(sallyport.CodeDenied, "The passkey was not accepted. Please try again.", cause)
}
