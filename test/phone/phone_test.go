// Package phone_test drives the phone page, in Chromium, against the real token service on real Redis,
// with pushes through the real FCM sender and the push simulator: what the stories of
// web/authenticator assume of the service holds of it.
package phone_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tokensvcpb"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/pki"
	"github.com/sallyport/sallyport/test/harness"
	"github.com/sallyport/sallyport/test/pushsim"
	"github.com/sallyport/sallyport/tokensvc"
	"github.com/sallyport/sallyport/tokensvc/deviceapi"
	"github.com/sallyport/sallyport/tokensvc/push"
	"github.com/sallyport/sallyport/tokensvc/push/fcm"
	"github.com/sallyport/sallyport/web/authenticator"
)

const (
	tenant   = sallyport.TenantID("hospital")
	patience = 30 * time.Second
)

// world is the token service, an appliance of one enterprise, and the page in a tab.
type world struct {
	t         *testing.T
	ctx       context.Context
	service   *tokensvc.Service
	appliance tokensvcpb.TokenServiceClient
	tab       context.Context
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	ca, err := pki.NewCA(time.Now())
	check(t, err)
	w := &world{t: t, ctx: ctx}
	w.startService(ca)
	w.connectAppliance(ca)
	w.tab = harness.StartChromium(t).Tab(390, 844)
	return w
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) startService(ca *pki.CA) {
	w.t.Helper()
	sim, err := pushsim.Start(pushsim.Config{})
	check(w.t, err)
	w.t.Cleanup(sim.Close)
	sender, err := fcm.New(w.ctx, fcm.Config{ServiceAccount: sim.ServiceAccount, Endpoint: sim.FCMURL, Roots: sim.Roots, Now: time.Now})
	check(w.t, err)
	w.t.Cleanup(sender.Close)
	cert, err := ca.ServerCertificate(time.Now(), time.Hour, "127.0.0.1")
	check(w.t, err)
	w.service, err = tokensvc.New(tokensvc.Config{
		Redis: harness.StartRedis(w.t).Client(), GRPCAddr: "127.0.0.1:0", GRPCTLS: pki.ServerTLS(cert, ca.Pool()),
		DeviceAddr: "localhost:0", Page: authenticator.Files,
		WebPush: deviceapi.WebPush{URL: sim.ControlURL, Provider: deviceproto.ProviderFCM},
		Senders: map[deviceproto.Provider]push.Sender{deviceproto.ProviderFCM: sender},
		Log:     slog.New(slog.DiscardHandler), Now: time.Now,
	})
	check(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.service.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("token service ended: %v", err)
		}
	})
}

func (w *world) connectAppliance(ca *pki.CA) {
	w.t.Helper()
	key, err := pki.NewKey()
	check(w.t, err)
	csr, err := pki.CSR(key)
	check(w.t, err)
	chain, err := ca.SignAppliance(csr, pki.Identity{Tenant: tenant, Appliance: "a1"}, time.Now(), time.Hour)
	check(w.t, err)
	get := func() (*tls.Certificate, error) { return &tls.Certificate{Certificate: chain, PrivateKey: key}, nil }
	conn, err := grpc.NewClient(w.service.GRPCAddr(), grpc.WithTransportCredentials(credentials.NewTLS(pki.ClientTLS(get, ca.Pool(), "127.0.0.1"))))
	check(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	w.appliance = tokensvcpb.NewTokenServiceClient(conn)
}

func (w *world) do(steps ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.tab, patience)
	defer cancel()
	check(w.t, chromedp.Do(ctx, steps...))
}

func (w *world) click(id string) {
	w.t.Helper()
	w.do(chromedp.Click(chromedp.ID(id)))
}

// says waits until the element is seen with this text.
func (w *world) says(id, text string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.tab, patience)
	defer cancel()
	condition := fmt.Sprintf("document.getElementById(%q).checkVisibility() && document.getElementById(%q).textContent === %q", id, id, text)
	for {
		// An error is a page on its way to another: asked again until the deadline.
		if holds, err := chromedp.Run(ctx, chromedp.Evaluate[bool](condition)); err == nil && holds {
			return
		}
		select {
		case <-ctx.Done():
			shown, _ := chromedp.Run(w.tab, chromedp.Evaluate[string](`document.body.innerText`))
			w.t.Fatalf("%s never said %q; the page shows:\n%s", id, text, shown)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// device is the phone as the appliance knows it.
type device struct {
	id     sallyport.DeviceID
	public []byte
	keys   deviceproto.Keys
}

// enrol invites, lets the page answer, checks the proof, and accepts or refuses.
func (w *world) enrol(accept bool) device {
	w.t.Helper()
	id := sallyport.NewID()
	created, err := w.appliance.CreateEnrolment(w.ctx, &tokensvcpb.CreateEnrolmentRequest{EnrolmentId: id, TtlSeconds: 300})
	check(w.t, err)
	secret := make(sallyport.Key, deviceproto.SecretSize)
	rand.Read(secret)
	link := deviceproto.Link{Base: created.GetDeviceUrl(), Tenant: tenant, Enrolment: sallyport.EnrolmentID(id), Secret: secret}
	w.do(chromedp.Navigate(string(link.Text())))
	w.says("enrol-title", "Add this account?")
	w.click("enrol-confirm")
	reg, err := w.appliance.AwaitEnrolment(w.ctx, &tokensvcpb.AwaitEnrolmentRequest{EnrolmentId: id})
	check(w.t, err)
	d := device{id: sallyport.DeviceID(reg.GetDeviceId()), public: reg.GetPublicKey()}
	d.keys = deviceproto.DeriveKeys(secret, d.id)
	e := deviceproto.Enrolling{Tenant: tenant, Enrolment: link.Enrolment, Device: d.id, Name: reg.GetName(), Platform: reg.GetPlatform()}
	if !e.ProofHolds(d.keys.Proof, reg.GetProof()) {
		w.t.Fatal("the proof does not hold")
	}
	box, err := deviceproto.SealAccount(d.keys.Details, d.id, deviceproto.Account{User: "alice", Enterprise: "St. Mary's Hospital"})
	check(w.t, err)
	_, err = w.appliance.FinishEnrolment(w.ctx, &tokensvcpb.FinishEnrolmentRequest{EnrolmentId: id, Accepted: accept, Sealed: box})
	check(w.t, err)
	return d
}

// ask makes a challenge and returns what becomes of it.
func (w *world) ask(d device) (sallyport.ChallengeID, grpc.ServerStreamingClient[tokensvcpb.ChallengeEvent]) {
	w.t.Helper()
	id := sallyport.ChallengeID(sallyport.NewID())
	box, err := deviceproto.SealDetails(d.keys.Details, d.id, id, sallyport.ChallengeDetails{
		User: "alice", Application: "Hospital VPN", Place: "203.0.113.7", Time: time.Now(), Digits: 2})
	check(w.t, err)
	_, err = w.appliance.CreateChallenge(w.ctx, &tokensvcpb.CreateChallengeRequest{
		ChallengeId: string(id), DeviceId: string(d.id), SealedDetails: box, TtlMs: 60_000})
	check(w.t, err)
	events, err := w.appliance.WatchChallenge(w.ctx, &tokensvcpb.WatchChallengeRequest{ChallengeId: string(id)})
	check(w.t, err)
	return id, events
}

// answer waits for the device's answer; sent says whether the push went out meanwhile.
func (w *world) answer(d device, id sallyport.ChallengeID, events grpc.ServerStreamingClient[tokensvcpb.ChallengeEvent]) (a deviceproto.Answer, sent bool) {
	w.t.Helper()
	for {
		event, err := events.Recv()
		check(w.t, err)
		switch {
		case event.GetDelivery() != nil:
			sent = sent || event.GetDelivery().GetState() == tokensvcpb.Delivery_SENT
		case event.GetAnswer() != nil:
			a, err := deviceproto.OpenAnswer(d.keys.Details, d.public, d.id, id, event.GetAnswer().GetSealed())
			check(w.t, err)
			return a, sent
		default:
			w.t.Fatalf("ended without an answer: %v", event)
		}
	}
}

func TestThePhoneAndTheTokenServiceUnderstandEachOther(t *testing.T) {
	w := newWorld(t)
	d := w.enrol(true)
	w.says("enrol-title", "Account added")
	w.click("enrol-close")

	id, events := w.ask(d)
	w.says("challenge-user", "alice")
	w.do(chromedp.SendKeys(chromedp.ID("number"), "42"))
	w.click("approve")
	w.says("result-title", "Sent")
	a, sent := w.answer(d, id, events)
	if a.Decision != sallyport.DecisionApprove || a.Number != "42" || a.User != "alice" || a.Application != "Hospital VPN" {
		t.Errorf("answered %+v", a)
	}
	if !sent {
		t.Error("no push went to the phone's address")
	}
	w.click("result-done")

	id, events = w.ask(d)
	w.says("challenge-user", "alice")
	w.click("not-me")
	w.click("not-me-confirm")
	w.says("result-title", "Stopped and reported")
	if a, _ := w.answer(d, id, events); a.Decision != sallyport.DecisionNotMe {
		t.Errorf("answered %+v", a)
	}
	w.click("result-done")

	id, events = w.ask(d)
	w.says("challenge-user", "alice")
	_, err := w.appliance.CancelChallenge(w.ctx, &tokensvcpb.CancelChallengeRequest{ChallengeId: string(id)})
	check(t, err)
	w.says("result-title", "No longer needed")
	w.click("result-done")
	for event := (*tokensvcpb.ChallengeEvent)(nil); event.GetEnded() == nil; {
		event, err = events.Recv()
		check(t, err)
	}

	w.do(chromedp.Click(chromedp.CSS(".card .more")))
	w.click("remove")
	w.click("remove-confirm")
	w.says("empty-add", "Add account")
	_, err = w.appliance.CreateChallenge(w.ctx, &tokensvcpb.CreateChallengeRequest{
		ChallengeId: sallyport.NewID(), DeviceId: string(d.id), SealedDetails: []byte("sealed"), TtlMs: 60_000})
	if err == nil {
		t.Error("a device that was removed can still be asked")
	}
}

func TestARefusedEnrolmentLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.enrol(false)
	w.says("enrol-title", "Not accepted")
	w.click("enrol-close")
	w.says("empty-add", "Add account")
}
