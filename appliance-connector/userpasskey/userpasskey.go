// Package userpasskey has users enrol passkeys (WebAuthn) at their gateway's page and use them there as a second
// factor, after the password. It is what login.Passkeys asks for.
//
//	Ask, Offer    say what the browser is to do: the same challenge gives the same question
//	Check, Enrol  make the question again from the challenge, and hold the browser's answer against it
//
// So nothing is kept between the two, and any appliance takes the answer. The challenge is the login engine's: it
// follows from the login and from its step, and is of use for nothing else. An answer sent again to the same step is
// the same request repeated, and gets the same verdict; sent to another login or step it is refused.
//
// User verification is preferred, not required: the password was right before, so that what is missing is something
// that the user has. Requiring it would shut out security keys without a PIN and gain nothing that a second factor
// needs; authenticators that can do it, do.
//
// The package never sees a password, and never lets anybody in by a passkey alone.
package userpasskey

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/internal/relyingparty"
	"github.com/sallyport/sallyport/internal/sealed"
)

const (
	maxTries = 4  // to keep a use while others use the same passkey
	maxWhy   = 96 // octets of what the library says
	// maxCredential bounds the id of a credential, in octets: what is asked for names all of an account's, and travels with
	// the state of the login.
	maxCredential = 256
)

// Store keeps the passkeys of accounts.
type Store interface {
	UserPasskeys(ctx context.Context, account sallyport.AccountName) ([]sallyport.Passkey, error)
	// AddUserPasskey says conflict for one that anybody has already, and for one too many.
	AddUserPasskey(ctx context.Context, p sallyport.Passkey) error
	// UseUserPasskey says conflict when the passkey is not as it was read.
	UseUserPasskey(ctx context.Context, p sallyport.Passkey, now time.Time) error
	// EndCopiedPasskey has the passkey not be taken any more, and records why.
	EndCopiedPasskey(ctx context.Context, account sallyport.AccountName, id sallyport.PasskeyID, why string, now time.Time) error
}

// Keeper asks for passkeys, checks them and makes them.
type Keeper struct {
	Store Store
	// Key makes user handles, 32 octets; the same on all appliances of the enterprise.
	Key sallyport.Key
	Now func() time.Time
}

// kept is what the store keeps to check a passkey with.
type kept struct {
	// Handle is the user handle that the authenticator has: it stays when the account gets another name.
	Handle     []byte              `json:"handle"`
	Credential webauthn.Credential `json:"credential"`
	// Answered names the question that was answered last, and the answer.
	Answered []byte `json:"answered,omitempty"`
}

// held is a passkey that is taken at a page.
type held struct {
	sallyport.Passkey
	kept
}

// Ask returns what navigator.credentials.get takes. not_found: the account has no passkey for this page.
func (k Keeper) Ask(ctx context.Context, c login.PasskeyCeremony) (json.RawMessage, error) {
	page, _, list, err := k.open(ctx, c)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, sallyport.Errorf(sallyport.CodeNotFound, "There is no passkey for this page.", nil)
	}
	options, _, err := page.Ask(owner(c, list[0].Handle, list), c.Challenge)
	return options, err
}

// Check reads what the browser answers to Ask. why is what is wrong with it, and empty when nothing is.
func (k Keeper) Check(ctx context.Context, c login.PasskeyCeremony, answer []byte) (why string, err error) {
	for range maxTries {
		why, err = k.check(ctx, c, answer)
		if sallyport.ErrorCode(err) != sallyport.CodeConflict {
			break
		}
	}
	return why, err
}

func (k Keeper) check(ctx context.Context, c login.PasskeyCeremony, answer []byte) (string, error) {
	page, all, list, err := k.open(ctx, c)
	if err != nil {
		return "", err
	}
	id, err := relyingparty.Names(answer)
	if err != nil {
		return words(err), nil
	}
	p, found := find(list, id)
	if !found {
		return unknown(all, page.Host, id), nil
	}
	// One at a time: each has the user handle that it was made with.
	o := owner(c, p.Handle, []held{p})
	_, data, err := page.Ask(o, c.Challenge)
	if err != nil {
		return "", err
	}
	answered := hash(c.Challenge, answer)
	credential, err := page.Check(o, data, answer)
	switch {
	case (err == nil || errors.Is(err, relyingparty.ErrCopied)) && bytes.Equal(p.Answered, answered):
		return "", nil // the same request, repeated
	case errors.Is(err, relyingparty.ErrCopied):
		why := fmt.Sprintf("Its counter went back from %d: there may be a copy of it.", p.kept.Credential.Authenticator.SignCount)
		return "there may be a copy of the passkey: its counter went back", k.Store.EndCopiedPasskey(ctx, c.Account, p.ID, why, k.Now())
	case sallyport.ErrorCode(err) == sallyport.CodeDenied && err != nil:
		return words(err), nil
	case err != nil:
		return "", err
	}
	p.kept.Credential, p.Answered = credential, answered
	if p.Passkey.Kept, err = json.Marshal(p.kept); err != nil {
		return "", fmt.Errorf("encode passkey: %w", err)
	}
	return "", k.Store.UseUserPasskey(ctx, p.Passkey, k.Now())
}

// Offer returns what navigator.credentials.create takes. conflict: the account has as many as it may have.
func (k Keeper) Offer(ctx context.Context, c login.PasskeyCeremony) (json.RawMessage, error) {
	page, all, list, err := k.open(ctx, c)
	if err != nil {
		return nil, err
	}
	if len(all) >= sallyport.PasskeysMost {
		return nil, sallyport.Errorf(sallyport.CodeConflict, fmt.Sprintf("There are %d passkeys already. Ask the help desk to delete one first.", sallyport.PasskeysMost), nil)
	}
	options, _, err := page.Offer(owner(c, k.handle(c, page, list), list), c.Challenge)
	return options, err
}

// Enrol keeps the passkey that the browser made, and names it. denied: the answer does not hold; conflict: somebody
// has this passkey already, or the account has as many as it may have.
func (k Keeper) Enrol(ctx context.Context, c login.PasskeyCeremony, answer []byte) (name string, err error) {
	page, all, list, err := k.open(ctx, c)
	if err != nil {
		return "", err
	}
	handle, answered := k.handle(c, page, list), hash(c.Challenge, answer)
	for _, p := range list {
		if bytes.Equal(p.Answered, answered) {
			return p.Name, nil // the same request, repeated
		}
	}
	o := owner(c, handle, list)
	_, data, err := page.Offer(o, c.Challenge)
	if err != nil {
		return "", err
	}
	credential, err := page.Make(o, data, answer)
	if err != nil {
		return "", err
	}
	if len(credential.ID) > maxCredential {
		return "", relyingparty.Refused(fmt.Errorf("the passkey's id has %d octets", len(credential.ID)))
	}
	text, err := json.Marshal(kept{Handle: handle, Credential: credential, Answered: answered})
	if err != nil {
		return "", fmt.Errorf("encode passkey: %w", err)
	}
	name = numbered(nameOf(credential), all)
	return name, k.Store.AddUserPasskey(ctx, sallyport.Passkey{ID: sallyport.PasskeyID(sallyport.NewID()), Account: c.Account, Host: page.Host, Name: name,
		Credential: credential.ID, Kept: text, Enrolled: k.Now()})
}

// open reads all passkeys of the account, and those of them that are taken at the page.
func (k Keeper) open(ctx context.Context, c login.PasskeyCeremony) (page relyingparty.Page, all []sallyport.Passkey, taken []held, err error) {
	if page, err = relyingparty.At(c.Origin, relyingparty.Preferred); err != nil {
		return page, nil, nil, err
	}
	if len(c.Challenge) < protocol.DefaultChallengeLength {
		return page, nil, nil, errors.New("the challenge of a passkey is too short")
	}
	if all, err = k.Store.UserPasskeys(ctx, c.Account); err != nil {
		return page, nil, nil, err
	}
	for _, p := range all {
		if p.Host != page.Host || !p.Copied.IsZero() {
			continue
		}
		h := held{Passkey: p}
		if err := json.Unmarshal(p.Kept, &h.kept); err != nil {
			return page, nil, nil, fmt.Errorf("read passkey: %w", err)
		}
		taken = append(taken, h)
	}
	return page, all, taken, nil
}

// handle is the user handle of the account at the page: what its passkeys there have, so that an authenticator takes a
// new one as the same user's, or else one that only the enterprise's key leads back to the account.
func (k Keeper) handle(c login.PasskeyCeremony, page relyingparty.Page, list []held) []byte {
	if len(list) > 0 {
		return list[0].Handle
	}
	m := hmac.New(sha256.New, k.Key)
	m.Write(sealed.Fields("passkey user handle", page.Host, string(c.Account)))
	return m.Sum(nil)
}

func owner(c login.PasskeyCeremony, handle []byte, list []held) relyingparty.Owner {
	o := relyingparty.Owner{Handle: handle, Name: c.UserName}
	for _, p := range list {
		o.Keys = append(o.Keys, p.kept.Credential)
	}
	return o
}

func find(list []held, id []byte) (held, bool) {
	for _, p := range list {
		if bytes.Equal(p.kept.Credential.ID, id) {
			return p, true
		}
	}
	return held{}, false
}

// unknown says what is wrong with a passkey that is not taken at the page.
func unknown(all []sallyport.Passkey, host string, id []byte) string {
	for _, p := range all {
		switch {
		case !bytes.Equal(p.Credential, id):
		case !p.Copied.IsZero():
			return "there may be a copy of the passkey, so it is not taken any more"
		case p.Host != host:
			return "the passkey is for another page"
		}
	}
	return "the passkey is not one of the user's"
}

func hash(challenge, answer []byte) []byte {
	of := sha256.Sum256(answer)
	sum := sha256.Sum256(sealed.Fields("passkey answer", string(challenge), string(of[:])))
	return sum[:]
}

// words is what the library says of an answer, for the log.
func words(err error) string {
	text := "the answer does not hold"
	if cause := errors.Unwrap(err); cause != nil {
		text = cause.Error()
	}
	return strings.ToValidUTF8(text[:min(len(text), maxWhy)], "")
}
