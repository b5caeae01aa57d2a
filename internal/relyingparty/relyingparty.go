// Package relyingparty has web pages ask for passkeys and make them (WebAuthn level 3): those of administrators at
// the console, and those of users at their gateway's page. It says what is asked of the browser, and whether what
// the browser answers holds. It keeps nothing: challenges and credentials come from its callers and go back to them.
package relyingparty

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport"
)

// MaxAnswer is how many octets of a browser's answer are read.
const MaxAnswer = 32 << 10

// ErrCopied is the cause of a refusal when the passkey's counter did not go up: there may be a copy of it.
var ErrCopied = errors.New("the counter went back: there may be a copy of the passkey")

// Verification is whether the authenticator has to make sure who uses it (by PIN, finger or face).
type Verification = protocol.UserVerificationRequirement

const (
	Required  = protocol.VerificationRequired
	Preferred = protocol.VerificationPreferred // it does where it can
)

// Page is a page that passkeys are bound to.
type Page struct {
	rp *webauthn.WebAuthn
	// Host is the relying party's id: its passkeys work on every page of this host, and on no other.
	Host string
}

// Owner is whose passkeys are asked for.
type Owner struct {
	Handle      []byte // 1 to 64 octets that name nobody
	Name        string
	DisplayName string // empty: Name
	Keys        []webauthn.Credential
}

func (o Owner) WebAuthnID() []byte                         { return o.Handle }
func (o Owner) WebAuthnName() string                       { return o.Name }
func (o Owner) WebAuthnDisplayName() string                { return cmp.Or(o.DisplayName, o.Name) }
func (o Owner) WebAuthnCredentials() []webauthn.Credential { return o.Keys }

// Host returns the host of an origin at which browsers do passkeys: https and a name, not an address; or this machine,
// as http://localhost. Others are unsupported.
func Host(origin string) (string, error) {
	u, err := url.Parse(origin)
	if err == nil && (u.Scheme == "https" || u.Scheme == "http" && u.Hostname() == "localhost") && net.ParseIP(u.Hostname()) == nil {
		if err = protocol.ValidateRPID(u.Hostname()); err == nil {
			return u.Hostname(), nil
		}
	}
	return "", sallyport.Errorf(sallyport.CodeUnsupported, "Passkeys need a host name: open the page by its name, not by its address.", err)
}

// At returns the page of an origin.
func At(origin string, v Verification) (Page, error) {
	host, err := Host(origin)
	if err != nil {
		return Page{}, err
	}
	rp, err := webauthn.New(&webauthn.Config{
		RPID: host, RPDisplayName: "Sallyport", RPOrigins: []string{origin},
		AttestationPreference:  protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: v},
	})
	if err != nil {
		return Page{}, fmt.Errorf("prepare passkeys: %w", err)
	}
	return Page{rp: rp, Host: host}, nil
}

// Offer returns what navigator.credentials.create takes, and what Make needs. The owner's keys are excluded. A nil
// challenge is drawn.
func (p Page) Offer(o Owner, challenge []byte) (json.RawMessage, webauthn.SessionData, error) {
	exclude := make([]protocol.CredentialDescriptor, 0, len(o.Keys))
	for _, k := range o.Keys {
		exclude = append(exclude, k.Descriptor())
	}
	options, data, err := p.rp.BeginRegistration(o, webauthn.WithExclusions(exclude), func(c *protocol.PublicKeyCredentialCreationOptions) error {
		if challenge != nil {
			c.Challenge = challenge
		}
		return nil
	})
	if err != nil {
		return nil, webauthn.SessionData{}, fmt.Errorf("begin passkey: %w", err)
	}
	return encode(options.Response, data)
}

// Make reads the browser's answer to Offer. denied: it does not hold.
func (p Page) Make(o Owner, data webauthn.SessionData, answer []byte) (webauthn.Credential, error) {
	if len(answer) > MaxAnswer {
		return webauthn.Credential{}, Refused(errors.New("the answer is too long"))
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return webauthn.Credential{}, Refused(err)
	}
	credential, err := p.rp.CreateCredential(o, data, parsed)
	if err != nil {
		return webauthn.Credential{}, Refused(err)
	}
	return *credential, nil
}

// Ask returns what navigator.credentials.get takes for one of the owner's keys, and what Check needs. A nil
// challenge is drawn.
func (p Page) Ask(o Owner, challenge []byte) (json.RawMessage, webauthn.SessionData, error) {
	var more []webauthn.LoginOption
	if challenge != nil {
		more = append(more, webauthn.WithChallenge(challenge))
	}
	options, data, err := p.rp.BeginLogin(o, more...)
	if err != nil {
		return nil, webauthn.SessionData{}, fmt.Errorf("ask for passkey: %w", err)
	}
	return encode(options.Response, data)
}

// Check reads the browser's answer to Ask, and returns the credential as it is to be kept from now on. denied: the
// answer does not hold; with ErrCopied as its cause, all of it holds but the counter, and the credential is there.
func (p Page) Check(o Owner, data webauthn.SessionData, answer []byte) (webauthn.Credential, error) {
	if len(answer) > MaxAnswer {
		return webauthn.Credential{}, Refused(errors.New("the answer is too long"))
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return webauthn.Credential{}, Refused(err)
	}
	credential, err := p.rp.ValidateLogin(o, data, parsed)
	if err != nil {
		return webauthn.Credential{}, Refused(err)
	}
	if credential.Authenticator.CloneWarning {
		return *credential, Refused(ErrCopied)
	}
	return *credential, nil
}

// Names returns the id of the credential that an answer to Ask is of: nothing of it is checked yet.
func Names(answer []byte) ([]byte, error) {
	if len(answer) > MaxAnswer {
		return nil, Refused(errors.New("the answer is too long"))
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return nil, Refused(err)
	}
	return bytes.Clone(parsed.RawID), nil
}

// Refused says that a passkey was not accepted.
func Refused(cause error) error {
	return sallyport.Errorf(sallyport.CodeDenied, "The passkey was not accepted. Please try again.", cause)
}

func encode(options any, data *webauthn.SessionData) (json.RawMessage, webauthn.SessionData, error) {
	text, err := json.Marshal(options)
	if err != nil {
		return nil, webauthn.SessionData{}, fmt.Errorf("encode passkey options: %w", err)
	}
	return text, *data, nil
}
