// Package overlay is the login engine's front door to the browser: it opens what the overlay sealed,
// drives the engine, and seals the prompt, so that the cloud in between carries what it cannot read.
package overlay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/internal/sealed"
)

// Skew is by how much the clocks of two appliances may differ.
const Skew = 90 * time.Second

// Bounds of what a browser may send, in octets.
const (
	maxUserName = 256
	maxMessage  = 6 << 10
	maxLanguage = 35
	maxShows    = 16
)

// Engine is the login engine.
type Engine interface {
	Begin(context.Context, login.Attempt) (login.State, error)
	Wait(context.Context, login.State) (login.State, error)
	Act(context.Context, login.State, login.Action) (login.State, error)
	Remember(ctx context.Context, s login.State, on bool, key []byte) (login.State, error)
	Prompt(login.State) sallyport.Prompt
}

// Opener opens sealed passwords.
type Opener interface {
	OpenCredentials(enc, ciphertext []byte, b sealed.Binding, now time.Time, skew time.Duration) (sealed.Credentials, error)
}

// Integrations knows the gateways.
type Integrations interface {
	Integration(ctx context.Context, id sallyport.IntegrationID) (sallyport.Integration, error)
}

// Once tells whether values that come together are all met for the first time, over all appliances of the enterprise.
type Once interface {
	ClaimAll(ctx context.Context, keys [][]byte, expires, now time.Time) (first bool, err error)
}

// Door is the front door.
type Door struct {
	Tenant       sallyport.TenantID
	Engine       Engine
	Keys         Opener
	States       login.Keeper
	Integrations Integrations
	Once         Once
	Now          func() time.Time
	Log          *slog.Logger
}

// Step takes one event of one login. progress is called when the directory is about to be asked.
func (d *Door) Step(ctx context.Context, step *tunnelpb.LoginStep, progress func() error) (*tunnelpb.LoginView, error) {
	id := sallyport.LoginID(step.GetLoginId())
	if step.GetCredentials() != nil {
		return d.begin(ctx, id, step, progress)
	}
	s, err := d.States.Open(step.GetState(), id, d.Now())
	if err != nil {
		return nil, err
	}
	next := s
	switch ev := step.GetEvent().(type) {
	case *tunnelpb.LoginStep_Wait:
		next, err = d.Engine.Wait(ctx, s)
	case *tunnelpb.LoginStep_Message:
		next, err = d.message(ctx, s, ev.Message)
	default:
		return nil, sallyport.Errorf(sallyport.CodeUnsupported, "This sign-in step is not known here. The appliance may need an update.", nil)
	}
	if err != nil {
		return nil, err
	}
	return d.view(next)
}

var errRefused = "The sign-in request was not accepted. Please start again."

func (d *Door) begin(ctx context.Context, id sallyport.LoginID, step *tunnelpb.LoginStep, progress func() error) (*tunnelpb.LoginView, error) {
	c := step.GetCredentials()
	if !sallyport.ValidID(step.GetIntegrationId()) || len(id) == 0 || len(id) > 256 ||
		len(c.GetUserName()) == 0 || len(c.GetUserName()) > maxUserName || len(c.GetLanguage()) > maxLanguage || len(c.GetShows()) > maxShows {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, errRefused, errors.New("bounds"))
	}
	in, err := d.Integrations.Integration(ctx, sallyport.IntegrationID(step.GetIntegrationId()))
	if err != nil {
		return nil, fmt.Errorf("find integration: %w", err)
	}
	if !slices.Contains(in.Origins, step.GetOrigin()) {
		return nil, d.refuse(ctx, id, fmt.Errorf("page origin %q is not one of integration %q: add it with 'sallyport integration edit'", step.GetOrigin(), in.Nickname))
	}
	now := d.Now()
	creds, err := d.Keys.OpenCredentials(c.GetEnc(), c.GetCiphertext(), sealed.Binding{
		Tenant: d.Tenant, Integration: in.ID, Login: id, UserName: c.GetUserName(), Origin: step.GetOrigin(),
		KeyID: c.GetKeyId(), StatementIAT: c.GetStatementIat(),
	}, now, Skew)
	if err != nil {
		return nil, d.refuse(ctx, id, err)
	}
	front, err := json.Marshal(front{Up: creds.Channel.Up, Down: creds.Channel.Down})
	if err != nil {
		return nil, fmt.Errorf("encode channel: %w", err)
	}
	use := &use{progress: progress, once: func() error { return d.once(ctx, id, c, now) }}
	s, err := d.Engine.Begin(ctx, login.Attempt{
		Login: id, Integration: in, UserName: c.GetUserName(), Password: creds.Password,
		Place: step.GetRemoteAddr(), BindStarted: use.now, Front: front, Origin: step.GetOrigin(), Language: c.GetLanguage(), Shows: shows(c.GetShows()),
		Remembered: claimed(c.GetRemembered()), Browser: browserName(c.GetUserAgent()),
	})
	if use.refused != nil {
		return nil, use.refused
	}
	if err != nil {
		return nil, err
	}
	if !use.done { // decided without the directory: used up all the same
		if err := use.once(); err != nil {
			return nil, err
		}
	}
	return d.view(s)
}

// use is the one use of a sealed password. It is made at the last moment before the directory is asked:
// what an appliance had in hand before, and dropped, another one may still take.
type use struct {
	progress, once func() error
	done           bool
	refused        error
}

func (u *use) now() error {
	if u.done {
		return u.refused // the directory is asked over another connection
	}
	if err := u.progress(); err != nil {
		return err
	}
	u.done, u.refused = true, u.once()
	return u.refused
}

// once refuses a sealed password, and a login id, that were here before: within the life of a key
// statement, after which the seal is too old to open.
func (d *Door) once(ctx context.Context, id sallyport.LoginID, c *tunnelpb.SealedCredentials, now time.Time) error {
	keys := [][]byte{sealed.Fields("sealed password", "login "+string(id)), sealed.Fields("sealed password", "seal "+string(c.GetEnc()))}
	first, err := d.Once.ClaimAll(ctx, keys, now.Add(login.Life+2*Skew+15*time.Minute), now)
	if err != nil {
		return sallyport.Errorf(sallyport.CodeUnavailable, "Sign-in is not available right now. Please try again.", fmt.Errorf("claim sealed password: %w", err))
	}
	if !first {
		return d.refuse(ctx, id, errors.New("the sealed password or its login id was used before"))
	}
	return nil
}

func (d *Door) refuse(ctx context.Context, id sallyport.LoginID, cause error) error {
	support := sallyport.NewSupportCode()
	d.Log.WarnContext(ctx, "sealed password refused", "login", id, "support_code", support, "err", cause)
	code := sallyport.CodeInvalid
	message := errRefused
	if sallyport.ErrorCode(cause) == sallyport.CodeExpired {
		code, message = sallyport.CodeExpired, sallyport.ErrorMessage(cause)
	}
	return &sallyport.Error{Code: code, Message: message, SupportCode: support, Err: cause}
}

// front is what the door keeps in the state: the keys to the browser.
type front struct {
	Up   []byte `json:"u"`
	Down []byte `json:"d"`
}

func openFront(s login.State) (front, error) {
	var f front
	if err := json.Unmarshal(s.Front, &f); err != nil || len(f.Up) != sealed.KeySize || len(f.Down) != sealed.KeySize {
		return f, sallyport.Errorf(sallyport.CodeInvalid, "This sign-in cannot be continued. Please start again.", err)
	}
	return f, nil
}

// message is what the person did on the page.
type message struct {
	Action   string          `json:"action"`
	Method   string          `json:"method"`
	Kind     string          `json:"kind"`
	Code     string          `json:"code"`
	Codes    []string        `json:"codes"`
	Serial   string          `json:"serial"`
	Number   string          `json:"number"`
	Response json.RawMessage `json:"response"`
	On       bool            `json:"on"`  // remember
	Key      string          `json:"key"` // remember: the browser's, base64url
}

func (m message) action() login.Action {
	a := login.Action{Do: m.Action, Method: sallyport.Method(m.Method), Kind: sallyport.AuthenticatorKind(m.Kind), Code: sallyport.Secret(m.Code),
		Serial: m.Serial, Number: m.Number, Answer: m.Response}
	for _, c := range m.Codes {
		a.Codes = append(a.Codes, sallyport.Secret(c))
	}
	return a
}

func shows(kinds []string) (list []sallyport.PromptKind) {
	for _, k := range kinds {
		list = append(list, sallyport.PromptKind(k))
	}
	return list
}

func (d *Door) message(ctx context.Context, s login.State, box []byte) (login.State, error) {
	f, err := openFront(s)
	if err != nil {
		return s, err
	}
	bad := sallyport.Errorf(sallyport.CodeInvalid, errRefused, nil)
	if len(box) > maxMessage {
		return s, bad
	}
	text, err := sealed.Open(f.Up, box, sealed.MessageAAD(s.Login, s.Version))
	if err != nil {
		return s, bad
	}
	var m message
	if err := json.Unmarshal(text, &m); err != nil {
		return s, bad
	}
	if m.Action == "remember" {
		return d.remember(ctx, s, m)
	}
	return d.Engine.Act(ctx, s, m.action())
}

// prompt is a sallyport.Prompt as the browser gets it: the only place where a gateway token is
// written out.
type prompt struct {
	sallyport.Prompt
	Token string `json:"token,omitempty"`
}

// Phase is what the cloud has to know of a prompt, and its name in the protocol.
func Phase(p sallyport.Prompt) (tunnelpb.Phase, string) {
	switch p.Kind {
	case sallyport.PromptPush:
		return tunnelpb.Phase_PHASE_WAITING, "waiting"
	case sallyport.PromptEnrol:
		if p.Enrol.Step == sallyport.EnrolApp {
			return tunnelpb.Phase_PHASE_WAITING, "waiting"
		}
		return tunnelpb.Phase_PHASE_INPUT, "input"
	case sallyport.PromptCode, sallyport.PromptChoose, sallyport.PromptPasskey:
		return tunnelpb.Phase_PHASE_INPUT, "input"
	case sallyport.PromptDone:
		return tunnelpb.Phase_PHASE_DONE, "done"
	}
	return tunnelpb.Phase_PHASE_DENIED, "denied"
}

func (d *Door) view(s login.State) (*tunnelpb.LoginView, error) {
	f, err := openFront(s)
	if err != nil {
		return nil, err
	}
	p := d.Engine.Prompt(s)
	text, err := json.Marshal(prompt{Prompt: p, Token: string(p.Token)})
	if err != nil {
		return nil, fmt.Errorf("encode prompt: %w", err)
	}
	state, err := d.States.Seal(s)
	if err != nil {
		return nil, fmt.Errorf("seal state: %w", err)
	}
	phase, name := Phase(p)
	v := &tunnelpb.LoginView{
		Version: s.Version, Phase: phase, State: state,
		Sealed: sealed.Seal(f.Down, text, sealed.ViewAAD(s.Login, s.Version, name)),
	}
	if phase == tunnelpb.Phase_PHASE_WAITING {
		// The cloud asks a little longer than the person has, to hear the end from us. What is left by our
		// clock does not count: the push may have been asked for by another one.
		v.WaitMs = uint32(login.PushLife.Milliseconds()) + 2000
	}
	if phase == tunnelpb.Phase_PHASE_DONE {
		v.Remembered = record(s.Remember)
	}
	return v, nil
}
