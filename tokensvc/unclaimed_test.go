package tokensvc_test

import (
	"context"
	"crypto/ecdh"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tokensvcpb"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/tokensvc"
	"github.com/sallyport/sallyport/tokensvc/deviceapi"
)

// newcomer is an app that shows a serial number.
type newcomer struct {
	*phone
	box    *ecdh.PrivateKey
	app    deviceproto.UnclaimedApp
	serial deviceproto.Serial
}

func (r *replica) newNewcomer() *newcomer {
	t := r.w.t
	t.Helper()
	n := &newcomer{phone: r.newPhone(deviceproto.UnclaimedTenant, deviceproto.Push{Provider: deviceproto.ProviderNone})}
	var err error
	if n.box, err = deviceproto.NewBoxKey(); err != nil {
		t.Fatal(err)
	}
	public, err := deviceproto.BoxPublicKey(n.box)
	if err != nil {
		t.Fatal(err)
	}
	sign, err := deviceproto.ParsePublicKey(n.der)
	if err != nil {
		t.Fatal(err)
	}
	if n.app.JWK, err = deviceproto.NewJWK(sign); err != nil {
		t.Fatal(err)
	}
	if n.app.Box, err = deviceproto.NewJWK(public); err != nil {
		t.Fatal(err)
	}
	n.serial = deviceproto.SerialOf(sign, public)
	return n
}

func (n *newcomer) show(t *testing.T) {
	t.Helper()
	public, err := deviceproto.BoxPublicKey(n.box)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := n.ShowSerial(t.Context(), public); err != nil || s != n.serial {
		t.Fatalf("shown as %s, %v", s, err)
	}
}

// invite sends an invitation from one replica, and answers what is said of it.
func invite(t *testing.T, a tokensvcpb.TokenServiceClient, n *newcomer, id string) chan *tokensvcpb.InviteUnclaimedResponse {
	t.Helper()
	said := make(chan *tokensvcpb.InviteUnclaimedResponse, 1)
	go func() {
		defer close(said)
		out, err := a.InviteUnclaimed(t.Context(), &tokensvcpb.InviteUnclaimedRequest{InvitationId: id, Serial: string(n.serial), Sealed: []byte("sealed " + id)})
		if err != nil {
			t.Error(err)
			return
		}
		said <- out
	}()
	return said
}

func (n *newcomer) next(t *testing.T) deviceproto.PendingInvitation {
	t.Helper()
	list, err := n.Invitations(t.Context(), n.serial, deviceproto.MaxWait)
	if err != nil || len(list) != 1 {
		t.Fatalf("invitations: %v, %v", list, err)
	}
	return list[0]
}

func TestAnAppIsFoundByItsSerialNumberAndInvited(t *testing.T) {
	w := newWorld(t)
	one, two := w.start(nil), w.start(nil)
	a := one.appliance("hospital")
	n := two.newNewcomer()
	find := func() error {
		found, err := a.FindUnclaimed(t.Context(), &tokensvcpb.FindUnclaimedRequest{Serial: string(n.serial)})
		if err == nil && string(found.PublicKey) != string(n.der) {
			t.Error("found with another key")
		}
		return err
	}
	if err := find(); status.Code(err) != codes.NotFound {
		t.Fatalf("found before it was shown: %v", err)
	}
	n.show(t)
	n.show(t) // again is no error
	if err := find(); err != nil {
		t.Fatal(err)
	}

	said := invite(t, a, n, "i1")
	p := n.next(t)
	if p.ID != "i1" || p.Tenant != "hospital" || p.Sealed != deviceproto.Encode([]byte("sealed i1")) {
		t.Errorf("invited by %+v", p)
	}
	for range 2 { // the same answer may be sent again
		if err := n.AnswerInvitation(t.Context(), n.serial, "i1", []byte("verdict")); err != nil {
			t.Fatal(err)
		}
	}
	if out := <-said; string(out.GetSealed()) != "verdict" {
		t.Errorf("the appliance hears %q", out.GetSealed())
	}
	if err := n.AnswerInvitation(t.Context(), n.serial, "i1", []byte("another")); sallyport.ErrorCode(err) != sallyport.CodeConflict {
		t.Errorf("a second answer: %v", err)
	}
	// A request repeated gets the same answer, and reaches the app once.
	if out := <-invite(t, a, n, "i1"); string(out.GetSealed()) != "verdict" {
		t.Errorf("repeated, the appliance hears %q", out.GetSealed())
	}
	if list, err := n.Invitations(t.Context(), n.serial, 0); err != nil || len(list) != 0 {
		t.Errorf("the app hears it again: %v, %v", list, err)
	}

	if err := n.HideSerial(t.Context(), n.serial); err != nil {
		t.Fatal(err)
	}
	if err := find(); status.Code(err) != codes.NotFound {
		t.Errorf("found when it is not shown any more: %v", err)
	}
	if _, err := n.Invitations(t.Context(), n.serial, 0); sallyport.ErrorCode(err) != sallyport.CodeNotFound {
		t.Errorf("asks for invitations: %v", err)
	}
}

// A newer invitation takes the place of one that waits, whose app then answers too late.
func TestOneInvitationWaitsAtATime(t *testing.T) {
	w := newWorld(t)
	r := w.start(nil)
	a, n := r.appliance("hospital"), r.newNewcomer()
	n.show(t)
	first := invite(t, a, n, "i1")
	n.next(t)
	second := invite(t, a, n, "i2")
	eventually(t, "the second waits", func() bool { return n.next(t).ID == "i2" })
	if err := n.AnswerInvitation(t.Context(), n.serial, "i1", []byte("late")); sallyport.ErrorCode(err) != sallyport.CodeExpired {
		t.Errorf("the first is answered: %v", err)
	}
	if err := n.AnswerInvitation(t.Context(), n.serial, "i2", []byte("verdict")); err != nil {
		t.Fatal(err)
	}
	if out := <-second; string(out.GetSealed()) != "verdict" {
		t.Errorf("the second hears %q", out.GetSealed())
	}
	if out := <-first; out.GetSealed() != nil {
		t.Errorf("the first hears %q", out.GetSealed())
	}
}

func TestASerialNumberExpiresUnlessTheAppIsOpen(t *testing.T) {
	w := newWorld(t)
	r := w.start(nil)
	n := r.newNewcomer()
	n.show(t)
	key := "sp:{serial:" + string(n.serial) + "}:ts:unclaimed:app"
	ttl := func() time.Duration { return w.redis.TTL(t.Context(), key).Val() }
	if got := ttl(); got <= deviceproto.UnclaimedLife-time.Minute || got > deviceproto.UnclaimedLife {
		t.Fatalf("kept for %v", got)
	}
	w.redis.Expire(t.Context(), key, time.Minute)
	if _, err := n.Invitations(t.Context(), n.serial, 0); err != nil {
		t.Fatal(err)
	}
	if got := ttl(); got <= time.Minute {
		t.Errorf("asking keeps it for %v", got)
	}
	// Nothing of it stays for good.
	invited := invite(t, r.appliance("hospital"), n, "i1")
	n.next(t)
	if err := n.AnswerInvitation(t.Context(), n.serial, "i1", []byte("v")); err != nil {
		t.Fatal(err)
	}
	<-invited
	for _, k := range w.redis.Keys(t.Context(), "sp:*").Val() {
		if w.redis.TTL(t.Context(), k).Val() < 0 {
			t.Errorf("%s stays for ever", k)
		}
	}
}

func TestASerialNumberIsTheAppsOwn(t *testing.T) {
	w := newWorld(t)
	r := w.start(nil)
	n, other := r.newNewcomer(), r.newNewcomer()
	n.show(t)
	if _, err := other.Invitations(t.Context(), n.serial, 0); sallyport.ErrorCode(err) != sallyport.CodeDenied {
		t.Errorf("another app reads its invitations: %v", err)
	}
	if err := other.HideSerial(t.Context(), n.serial); sallyport.ErrorCode(err) != sallyport.CodeDenied {
		t.Errorf("another app hides it: %v", err)
	}
	// The device of an enterprise with the same key is not the app without one.
	member := *n.phone
	member.Client = &deviceproto.Client{Base: deviceURL, Tenant: "hospital", Key: n.Key, Now: time.Now, HTTP: n.HTTP}
	if _, err := member.Invitations(t.Context(), n.serial, 0); sallyport.ErrorCode(err) != sallyport.CodeDenied {
		t.Errorf("an authorization within an enterprise opens it: %v", err)
	}
	c := newContract(t)
	c.holds(r, other.phone, "PUT", "/v1/unclaimed/"+string(n.serial), n.app, http.StatusUnauthorized)
	c.holds(r, other.phone, "PUT", "/v1/unclaimed/"+string(n.serial), other.app, http.StatusBadRequest)
	c.holds(r, n.phone, "PUT", "/v1/unclaimed/"+n.serial.Text(), n.app, http.StatusBadRequest)
	c.holds(r, n.phone, "PUT", "/v1/unclaimed/"+string(n.serial), n.app, http.StatusOK)
	c.holds(r, n.phone, "GET", "/v1/unclaimed/"+string(n.serial), nil, http.StatusOK)
	said := invite(t, r.appliance("hospital"), n, "i1")
	c.holds(r, n.phone, "GET", "/v1/unclaimed/"+string(n.serial)+"?wait=25", nil, http.StatusOK)
	answer := "/v1/unclaimed/" + string(n.serial) + "/invitations/"
	c.holds(r, n.phone, "POST", answer+"i1", deviceproto.VerdictBody{Sealed: "="}, http.StatusBadRequest)
	c.holds(r, n.phone, "POST", answer+"i2", deviceproto.VerdictBody{Sealed: "AAAA"}, http.StatusGone)
	c.holds(r, n.phone, "POST", answer+"i1", deviceproto.VerdictBody{Sealed: "AAAA"}, http.StatusNoContent)
	c.holds(r, n.phone, "POST", answer+"i1", deviceproto.VerdictBody{Sealed: "BBBB"}, http.StatusConflict)
	<-said
	c.holds(r, n.phone, "DELETE", "/v1/unclaimed/"+string(n.serial), nil, http.StatusNoContent)
	c.holds(r, n.phone, "GET", "/v1/unclaimed/"+string(n.serial), nil, http.StatusNotFound)
}

// An app is invited so often and no more, whoever asks; and an address has so many apps and no more.
func TestTriesAreBounded(t *testing.T) {
	w := newWorld(t)
	r := w.start(func(cfg *tokensvc.Config) {
		cfg.Limits = deviceapi.DefaultLimits()
		cfg.Limits.Newcomers = deviceapi.Rate{PerSecond: 0.0001, Burst: 2}
		cfg.Limits.PerDevice = deviceapi.Rate{PerSecond: 100, Burst: 1000}
	})
	n := r.newNewcomer()
	n.show(t)
	taken := 0
	for i := range 40 {
		a := r.appliance(sallyport.TenantID([]string{"hospital", "clinic"}[i%2]))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		said := make(chan error, 1)
		go func() {
			_, err := a.InviteUnclaimed(ctx, &tokensvcpb.InviteUnclaimedRequest{InvitationId: "i" + sallyport.NewID(), Serial: string(n.serial), Sealed: []byte("x")})
			said <- err
		}()
		list, err := n.Invitations(ctx, n.serial, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			err := <-said
			cancel()
			if status.Code(err) != codes.ResourceExhausted {
				t.Fatalf("try %d: %v", i, err)
			}
			break
		}
		if err := n.AnswerInvitation(ctx, n.serial, list[0].ID, []byte("wrong")); err != nil {
			t.Fatal(err)
		}
		if err := <-said; err != nil {
			t.Fatal(err)
		}
		taken++
		cancel()
	}
	if taken != 20 {
		t.Errorf("invited %d times", taken)
	}
	second, third := r.newNewcomer(), r.newNewcomer()
	second.show(t)
	public, err := deviceproto.BoxPublicKey(third.box)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := third.ShowSerial(t.Context(), public); sallyport.ErrorCode(err) != sallyport.CodeLimited {
		t.Errorf("a third app of one address: %v", err)
	}
	if strings.Contains(w.logs.String(), "sealed") {
		t.Error("the log holds what was sealed")
	}
}
