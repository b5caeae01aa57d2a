// Package browserclient is the browser's end of docs/protocol/browser.md in Go, for tests and
// benchmarks: what the overlay does, without a page. It verifies and seals as the overlay does, and
// repeats and gives up as the overlay does; the steps can also be taken one by one, to do what an
// overlay never would.
package browserclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"crypto/ecdh"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/sealed"
)

// How the overlay waits and repeats.
const (
	callTime  = 20 * time.Second
	giveUp    = 20 * time.Second // without a sign of life
	firstView = 3 * time.Second
	silence   = 25 * time.Second
	maxAnswer = 64 << 10
)

// Client is a page at a gateway: what stands in the script tag, and where the page came from.
type Client struct {
	Base        string // the cloud's address
	AccessToken string
	Tenant      sallyport.TenantID
	Integration sallyport.IntegrationID
	Fingerprint string // of the root key
	Origin      string
	HTTP        *http.Client
}

// Login is one attempt.
type Login struct {
	c       *Client
	ID      sallyport.LoginID
	kid     string
	iat     int64
	pub     *ecdh.PublicKey
	channel sealed.Channel

	Session string // bearer, once the credentials were sent
	Version uint32
	Prompt  Prompt
}

// Prompt is what the page would show.
type Prompt struct {
	sallyport.Prompt
	Token string `json:"token"`
}

// Over reports whether nothing follows.
func (p Prompt) Over() bool {
	return p.Kind == sallyport.PromptDone || p.Kind == sallyport.PromptDenied
}

// ErrNetwork is what the overlay calls everything that is not an answer of the cloud.
var ErrNetwork = errors.New("network")

// Begin gets a login id and the enterprise's key, and verifies the key.
func (c *Client) Begin(ctx context.Context) (*Login, error) {
	var r struct {
		LoginID sallyport.LoginID
		Keys    struct{ Statement, Signature string }
	}
	if err := c.call(ctx, http.MethodPost, "", "", map[string]string{"accessToken": c.AccessToken}, &r); err != nil {
		return nil, err
	}
	text, err1 := deviceproto.Decode(r.Keys.Statement)
	sig, err2 := deviceproto.Decode(r.Keys.Signature)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("read key statement: %w", err)
	}
	kid, iat, pub, err := keyring.VerifyStatement(text, sig, c.Tenant, c.Fingerprint)
	if err != nil {
		return nil, fmt.Errorf("verify key statement: %w", err)
	}
	return &Login{c: c, ID: r.LoginID, kid: kid, iat: iat, pub: pub}, nil
}

// Credentials are the body of the request that carries a sealed password.
type Credentials struct {
	AccessToken string `json:"accessToken"`
	UserName    string `json:"userName"`
	KeyID       string `json:"kid"`
	IAT         int64  `json:"iat"`
	Enc         string `json:"enc"`
	Ciphertext  string `json:"ciphertext"`
	// Remembered is nil for a browser that was not.
	Remembered *Claim `json:"remembered,omitempty"`
}

// Seal seals a password to the enterprise, bound to this login, user and page.
func (l *Login) Seal(user string, password sallyport.Secret) (Credentials, error) {
	enc, box, ch, err := sealed.SealCredentials(l.pub, password, sealed.Binding{
		Tenant: l.c.Tenant, Integration: l.c.Integration, Login: l.ID, UserName: user, Origin: l.c.Origin, KeyID: l.kid, StatementIAT: l.iat,
	})
	if err != nil {
		return Credentials{}, fmt.Errorf("seal password: %w", err)
	}
	l.channel = ch
	return Credentials{AccessToken: l.c.AccessToken, UserName: user, KeyID: l.kid, IAT: l.iat, Enc: deviceproto.Encode(enc), Ciphertext: deviceproto.Encode(box)}, nil
}

// Post sends credentials once.
func (l *Login) Post(ctx context.Context, body Credentials) error {
	var r struct {
		Session string
		View    View
	}
	if err := l.c.call(ctx, http.MethodPost, "/"+string(l.ID)+"/credentials", "", body, &r); err != nil {
		return err
	}
	l.Session = r.Session
	return l.accept(r.View)
}

// Send sends credentials as the overlay does: the very same twice more when the answer got lost.
func (l *Login) Send(ctx context.Context, body Credentials) error {
	return insist(ctx, func() error { return l.Post(ctx, body) })
}

func insist(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if !errors.Is(err, ErrNetwork) || try == 3 || ctx.Err() != nil {
			return err
		}
		pause(ctx, time.Duration(try)*700*time.Millisecond)
	}
}

// LogIn begins and sends user name and password, as the overlay does when the button is pressed.
func (c *Client) LogIn(ctx context.Context, user string, password sallyport.Secret) (*Login, error) {
	l, err := c.Begin(ctx)
	if err != nil {
		return nil, err
	}
	body, err := l.Seal(user, password)
	if err != nil {
		return nil, err
	}
	return l, l.Send(ctx, body)
}

// View is a prompt as it travels.
type View struct {
	Version uint32 `json:"version"`
	Phase   string `json:"phase"`
	Sealed  string `json:"sealed"`
}

// accept opens a view that is newer than the one shown.
func (l *Login) accept(v View) error {
	if v.Version <= l.Version {
		return nil
	}
	box, err := deviceproto.Decode(v.Sealed)
	if err != nil {
		return fmt.Errorf("read view: %w", err)
	}
	text, err := sealed.Open(l.channel.Down, box, sealed.ViewAAD(l.ID, v.Version, v.Phase))
	if err != nil {
		return fmt.Errorf("open view: %w", err)
	}
	var p Prompt
	if err := json.Unmarshal(text, &p); err != nil {
		return fmt.Errorf("read prompt: %w", err)
	}
	l.Version, l.Prompt = v.Version, p
	return nil
}

// Message is what a person does on the page.
type Message struct {
	Action string `json:"action"`
	Code   string `json:"code,omitempty"`
	On     bool   `json:"on,omitempty"`
	Key    string `json:"key,omitempty"`
}

// Say says something to the appliance, as the overlay does: a lost answer is asked for again.
func (l *Login) Say(ctx context.Context, m Message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	version := l.Version
	body := map[string]any{"version": version, "sealed": deviceproto.Encode(sealed.Seal(l.channel.Up, text, sealed.MessageAAD(l.ID, version)))}
	var v View
	err = insist(ctx, func() error {
		return l.c.call(ctx, http.MethodPost, "/"+string(l.ID)+"/messages", l.Session, body, &v)
	})
	if sallyport.ErrorCode(err) == sallyport.CodeConflict {
		_, err = l.Poll(ctx)
		return err
	}
	if err != nil {
		return err
	}
	return l.accept(v)
}

// call is one request; v takes the answer. Errors are ErrNetwork or what the cloud said.
func (c *Client) call(ctx context.Context, method, path, session string, body, v any) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
	}
	resp, err := c.do(ctx, method, path, session, "", text)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNetwork, err)
	}
	if resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if resp.StatusCode != http.StatusOK {
		return failure(answer)
	}
	if err := json.Unmarshal(answer, v); err != nil {
		return fmt.Errorf("%w: %w", ErrNetwork, err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path, session, accept string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.Base+"/v1/logins"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	r.Header.Set("Origin", c.Origin)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if session != "" {
		r.Header.Set("Authorization", "Bearer "+session)
	}
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	resp, err := c.HTTP.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNetwork, err)
	}
	return resp, nil
}

// failure reads an error of the cloud. What is none came from something on the way.
func failure(text []byte) error {
	var f struct {
		Code                 sallyport.Code
		Message, SupportCode string
		Ended                bool
	}
	if err := json.Unmarshal(text, &f); err != nil || f.Code == "" {
		return fmt.Errorf("%w: %q", ErrNetwork, text)
	}
	e := &sallyport.Error{Code: f.Code, Message: f.Message, SupportCode: f.SupportCode}
	if f.Ended {
		return &endedError{e}
	}
	return e
}

// endedError says that the login is over.
type endedError struct{ error }

func (e *endedError) Unwrap() error { return e.error }

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// At is the same login in the hands of another page or at another replica; nothing that is known of
// its end goes along.
func (l *Login) At(c *Client) *Login {
	return &Login{c: c, ID: l.ID, kid: l.kid, iat: l.iat, pub: l.pub, channel: l.channel}
}
