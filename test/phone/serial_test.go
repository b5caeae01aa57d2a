package phone_test

import (
	"context"
	"crypto/ecdh"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tokensvcpb"
	"github.com/sallyport/sallyport/appliance-connector/devices"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/pki"
)

// app is an app that shows a serial number, as docs/protocol/device.md says it.
type app struct {
	t      *testing.T
	client *deviceproto.Client
	box    *ecdh.PrivateKey
	seed   sallyport.Key
	serial deviceproto.Serial
}

func (w *world) newApp() *app {
	w.t.Helper()
	key, err := deviceproto.NewKey()
	check(w.t, err)
	a := &app{t: w.t, seed: deviceproto.NewSeed(), client: &deviceproto.Client{Base: w.service.DeviceURL(), Tenant: deviceproto.UnclaimedTenant, Key: key,
		HTTP: http.DefaultClient, Now: time.Now}}
	a.box, err = deviceproto.NewBoxKey()
	check(w.t, err)
	public, err := deviceproto.BoxPublicKey(a.box)
	check(w.t, err)
	a.serial, err = a.client.ShowSerial(w.ctx, public)
	check(w.t, err)
	return a
}

func (a *app) code() sallyport.Secret {
	a.t.Helper()
	code, err := deviceproto.TokenCode(a.seed, time.Now())
	check(a.t, err)
	return code
}

// answers takes one invitation, and says whether its code is right.
func (a *app) answers(ctx context.Context) (i deviceproto.Invitation, right bool, err error) {
	list, err := a.client.Invitations(ctx, a.serial, deviceproto.MaxWait)
	if err != nil || len(list) == 0 {
		return i, false, errors.Join(err, errors.New("no invitation came"))
	}
	box, err := deviceproto.Decode(list[0].Sealed)
	if err != nil {
		return i, false, err
	}
	if i, err = deviceproto.OpenInvitation(a.box, a.serial, list[0].Tenant, list[0].ID, box); err != nil {
		return i, false, err
	}
	right = i.CodeHolds(a.seed, time.Now())
	return i, right, a.client.AnswerInvitation(ctx, a.serial, list[0].ID, i.Verdict(right))
}

// follows enrols by the link of an invitation, as by any other.
func (a *app) follows(ctx context.Context, l deviceproto.Link) error {
	key, err := deviceproto.NewKey()
	if err != nil {
		return err
	}
	keys := deviceproto.DeriveKeys(l.Secret, deviceproto.Thumbprint(&key.PublicKey))
	c := &deviceproto.Client{Base: l.Base, Tenant: l.Tenant, Key: key, HTTP: http.DefaultClient, Now: time.Now}
	return c.Register(ctx, l.Enrolment, keys.Proof, deviceproto.About{Name: "Alice's phone", Platform: "cli", AppVersion: "1", Push: deviceproto.Push{Provider: deviceproto.ProviderNone}})
}

// office is the appliance's side of enrolling, with its real store.
type office struct {
	client *devices.Client
	store  *store.Store
}

func (o office) Invite(ctx context.Context, account sallyport.AccountName) (login.Invitation, error) {
	e, err := o.client.Invite(ctx, tenant, "St. Mary's", account)
	return login.Invitation{ID: e.ID, Link: string(e.Link.Text())}, err
}

func (o office) InviteSerial(ctx context.Context, account sallyport.AccountName, serial string, code sallyport.Secret) (login.Invitation, error) {
	e, err := o.client.InviteSerial(ctx, tenant, "St. Mary's", account, serial, code)
	if err != nil {
		return login.Invitation{}, err
	}
	return login.Invitation{ID: e.ID, Link: string(e.Link.Text())}, nil
}

func (o office) Await(ctx context.Context, account sallyport.AccountName, i login.Invitation) (string, error) {
	link, err := deviceproto.ParseLink(i.Link)
	if err != nil {
		return "", err
	}
	d, err := o.client.Await(ctx, devices.Enrolment{ID: i.ID, Tenant: tenant, Account: account, Enterprise: "St. Mary's", Link: link}, time.Now, o.store.PutDevice)
	return d.Name, err
}

// newOffice has dial options for what stands between appliance and token service.
func (w *world) newOffice(ca *pki.CA, more ...grpc.DialOption) office {
	w.t.Helper()
	key, err := pki.NewKey()
	check(w.t, err)
	csr, err := pki.CSR(key)
	check(w.t, err)
	chain, err := ca.SignAppliance(csr, pki.Identity{Tenant: tenant, Appliance: "a1"}, time.Now(), time.Hour)
	check(w.t, err)
	get := func() (*tls.Certificate, error) { return &tls.Certificate{Certificate: chain, PrivateKey: key}, nil }
	client, err := devices.Dial(w.service.GRPCAddr(), pki.ClientTLS(get, ca.Pool(), "127.0.0.1"), more...)
	check(w.t, err)
	w.t.Cleanup(func() { _ = client.Close() })
	db, err := store.Open(w.ctx, filepath.Join(w.t.TempDir(), "a.db"), make(sallyport.Key, 32))
	check(w.t, err)
	w.t.Cleanup(func() { _ = db.Close() })
	return office{client, db}
}

func (o office) engine() *login.Engine {
	return login.New(login.Config{Apps: o, Serials: o, Counters: o.store, TemporaryCodes: o.store, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
}

func serviceWorld(t *testing.T) (*world, *pki.CA) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ca, err := pki.NewCA(time.Now())
	check(t, err)
	w := &world{t: t, ctx: ctx}
	w.startService(ca)
	return w, ca
}

func TestTheAppIsEnrolledByItsSerialNumberAndCode(t *testing.T) {
	w, ca := serviceWorld(t)
	o := w.newOffice(ca)
	engine := o.engine()
	s, err := engine.BeginEnrolment(w.ctx, login.Attempt{Login: "l1", UserName: "alice", Shows: []sallyport.PromptKind{sallyport.PromptEnrol}}, `hospital\alice`, sallyport.AuthenticatorApp)
	check(t, err)
	a := w.newApp()
	try := func(serial string, code sallyport.Secret) {
		t.Helper()
		s, err = engine.Act(w.ctx, s, login.Action{Do: "enrol", Serial: serial, Code: code})
		check(t, err)
	}
	want := func(why sallyport.Reason) {
		t.Helper()
		if p := engine.Prompt(s); p.Kind != sallyport.PromptEnrol || p.Reason != why {
			t.Fatalf("prompt %q, %q", p.Kind, p.Reason)
		}
	}
	if !engine.Prompt(s).Enrol.BySerial {
		t.Error("the serial number is not asked for")
	}

	last := "0"
	if strings.HasSuffix(string(a.serial), last) {
		last = "1"
	}
	try(string(a.serial[:17])+last, a.code())
	want(sallyport.ReasonUnknownSerial)
	other := w.newApp() // shown, and hidden again
	check(t, other.client.HideSerial(w.ctx, other.serial))
	try(other.serial.Text(), other.code())
	want(sallyport.ReasonUnknownSerial)

	type said struct {
		i     deviceproto.Invitation
		right bool
		err   error
	}
	answers := make(chan said, 1)
	go func() { i, right, err := a.answers(w.ctx); answers <- said{i, right, err} }()
	try(a.serial.Text(), "x00000")
	want(sallyport.ReasonWrongCode)
	first := <-answers
	check(t, first.err)
	if first.right {
		t.Error("the app takes a wrong code")
	}
	// Who has had the link with a wrong code gets nowhere with it: nobody waits at its end.
	check(t, a.follows(w.ctx, first.i.Link))

	go func() { i, right, err := a.answers(w.ctx); answers <- said{i, right, err} }()
	try(strings.ToLower(a.serial.Text()), a.code())
	want("")
	second := <-answers
	check(t, second.err)
	if p := engine.Prompt(s); p.Enrol.Link != "" || p.Enrol.Step != sallyport.EnrolApp {
		t.Errorf("prompt %+v", p.Enrol)
	}
	if got := second.i.Account; got.User != "alice" || got.Enterprise != "St. Mary's" {
		t.Errorf("the app shows %+v", got)
	}
	check(t, a.follows(w.ctx, second.i.Link))
	s, err = engine.Wait(w.ctx, s)
	check(t, err)
	if p := engine.Prompt(s); p.Enrol.Step != sallyport.EnrolFinished || p.Enrol.Name != "Alice's phone" {
		t.Errorf("prompt %+v", p.Enrol)
	}
	kept, err := o.store.Devices(w.ctx, `hospital\alice`)
	check(t, err)
	if len(kept) != 1 {
		t.Errorf("%d devices are kept", len(kept))
	}
}

// A token service that lies has nobody enrolled: neither with keys of its own for a serial number, nor with its own word that the
// code was right.
func TestALyingTokenServiceEnrolsNobody(t *testing.T) {
	w, ca := serviceWorld(t)
	own := w.newApp()
	victim := w.newApp()
	var reached bool
	lie := grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if r, ok := req.(*tokensvcpb.FindUnclaimedRequest); ok {
			r.Serial = string(own.serial)
		}
		if _, ok := req.(*tokensvcpb.InviteUnclaimedRequest); ok {
			reached = true
		}
		return call(ctx, method, req, reply, conn, opts...)
	})
	if _, err := w.newOffice(ca, lie).InviteSerial(w.ctx, `hospital\alice`, victim.serial.Text(), victim.code()); err == nil {
		t.Error("the keys of another app are taken")
	}
	if reached {
		t.Error("another app is invited")
	}
	say := grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if out, ok := reply.(*tokensvcpb.InviteUnclaimedResponse); ok {
			out.Sealed = make([]byte, 92)
			return nil
		}
		return call(ctx, method, req, reply, conn, opts...)
	})
	if _, err := w.newOffice(ca, say).InviteSerial(w.ctx, `hospital\alice`, victim.serial.Text(), victim.code()); err == nil {
		t.Error("the token service's own word is taken")
	}
}
