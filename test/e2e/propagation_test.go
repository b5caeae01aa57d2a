package e2e_test

import (
	"context"
	"net"
	"testing"
	"time"

	"layeh.com/radius"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/stack"
)

// follows is how long a change may take to count on the other appliance in a test: what is promised is 2 seconds, on a
// machine that does nothing else.
const follows = 15 * time.Second

// elsewhere asks an appliance from an address of the test's own, once and with little patience.
type elsewhere struct {
	addr string
	from net.IP
}

// verdict is what came back: accepted, refused, or nothing.
type verdict string

const (
	accepted verdict = "accepted"
	refused  verdict = "refused"
	silence  verdict = "no answer"
)

func (e elsewhere) ask(ctx context.Context, secret sallyport.Secret, user string, code sallyport.Secret, patience time.Duration) (verdict, error) {
	wire, err := packet(secret, user, code)
	if err != nil {
		return "", err
	}
	d := net.Dialer{LocalAddr: &net.UDPAddr{IP: e.from}}
	conn, err := d.DialContext(ctx, "udp", e.addr)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write(wire); err != nil {
		return "", err
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	buf := make([]byte, radius.MaxPacketLength)
	n, err := conn.Read(buf)
	if err != nil || !radius.IsAuthenticResponse(buf[:n], wire, []byte(secret)) {
		return silence, nil
	}
	answer, err := radius.Parse(buf[:n], []byte(secret))
	switch {
	case err != nil:
		return "", err
	case answer.Code == radius.CodeAccessAccept:
		return accepted, nil
	}
	return refused, nil
}

// counts waits until the appliance says what it has to after a change at the other one, and tells when it was asked.
func (e elsewhere) counts(t *testing.T, what string, secret sallyport.Secret, user string, code sallyport.Secret, want verdict) {
	t.Helper()
	listen := 200 * time.Millisecond // an answer comes at once, or the request is sent again
	if want != accepted {
		listen = 2 * time.Second // a refusal is held back, and silence takes longer than any answer
	}
	begun, asked := time.Now(), time.Time{}
	stack.Until(t, follows, what+": "+string(want), func() bool {
		asked = time.Now()
		got, err := e.ask(within(t, patience), secret, user, code, listen)
		if err != nil {
			t.Fatal(err)
		}
		return got == want
	})
	t.Logf("%s: %s when asked %v after the change", what, want, asked.Sub(begun).Round(time.Millisecond))
}

// What an administrator's program changes at one appliance counts at the other within moments: a gateway, its secret, a
// user policy, who has which policy, a temporary code.
func TestAChangeAtOneApplianceCountsAtTheOther(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	api := s.API(t, 0)
	ctx := within(t, 3*patience)
	do := func(method, path string, version int64, body, v any) int64 {
		t.Helper()
		tag, err := api.Do(ctx, method, path, version, body, v)
		if err != nil {
			t.Fatal(err)
		}
		return tag
	}
	u := s.NewUser(t)
	give(t, s, u, live, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledOther})
	code := issue(t, s, u)
	other := elsewhere{s.RADIUSAddrs()[1], net.IPv4(127, 0, 0, 77)}

	// A gateway that nobody knew, and a new secret for it.
	var added struct{ Secret sallyport.Secret }
	var text struct {
		Secret      string
		Integration struct{ ID string }
	}
	tag := do("POST", "/integrations", 0, map[string]any{"nickname": "Gateway of " + u.Name, "clients": []string{"127.0.0.77/32"}, "origins": []string{"https://vpn." + u.Name + ".example"}}, &text)
	added.Secret = sallyport.Secret(text.Secret)
	other.counts(t, "a gateway that was added", added.Secret, u.Name, code, accepted)
	gateway := "/integrations/" + text.Integration.ID
	tag = do("POST", gateway+"/rotate-secret", tag, map[string]any{"overlapHours": 0}, &text)
	other.counts(t, "a gateway's new secret", sallyport.Secret(text.Secret), u.Name, code, accepted)
	other.counts(t, "a gateway's old secret", added.Secret, u.Name, code, silence)
	secret := sallyport.Secret(text.Secret)

	// The user's policy, and what it says.
	listed, err := s.Store.UserByAccount(ctx, u.Account())
	if err != nil {
		t.Fatal(err)
	}
	var policy map[string]any
	path := "/user-policies/" + string(listed.Policy)
	version := do("GET", path, 0, nil, &policy)
	change := func(live bool) {
		t.Helper()
		version = do("PUT", path, version, map[string]any{"name": policy["name"], "note": "", "licensed": true, "remoteAccess": live, "enrolRule": policy["enrolRule"]}, nil)
	}
	change(false)
	other.counts(t, "a user policy taken off remote access", secret, u.Name, code, refused)
	change(true)
	other.counts(t, "a user policy that goes live", secret, u.Name, code, accepted)

	// Who has which policy.
	out, err := s.Store.PutUserPolicy(ctx, sallyport.UserPolicy{Name: "Leavers of " + u.Name})
	if err != nil {
		t.Fatal(err)
	}
	assign := func(p sallyport.UserPolicyID) {
		t.Helper()
		do("POST", "/policy-assignments", 0, map[string]any{"policy": p, "users": []sallyport.UserID{listed.ID}}, nil)
	}
	assign(out.ID)
	other.counts(t, "a user who was given another policy", secret, u.Name, code, refused)
	assign(listed.Policy)
	other.counts(t, "a user who was given the first policy again", secret, u.Name, code, accepted)

	// The temporary code, and the gateway itself.
	do("POST", "/users/"+string(listed.ID)+"/revoke-temporary-code", 0, nil, nil)
	other.counts(t, "a temporary code that was revoked", secret, u.Name, code, refused)
	do("DELETE", gateway, tag, nil, nil)
	other.counts(t, "a gateway that was deleted", secret, u.Name, code, silence)
}

// A temporary code ends in three ways: it expires, the user enrols (TestATemporaryCodeLetsIn…), or logs in with the usual
// factor. It is for remote access alone.
func TestATemporaryCodeEnds(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	ctx := within(t, 3*patience)
	addr := s.RADIUSAddrs()[0]
	issueFor := func(u stack.User, life time.Duration) sallyport.Secret {
		t.Helper()
		code, now := sallyport.NewTemporaryCode(), time.Now()
		err := s.Store.As(sallyport.Actor{Kind: sallyport.ActorAdministrator, Name: "helga", Role: sallyport.RoleHelpDesk}).IssueTemporaryCode(ctx,
			sallyport.TemporaryCode{ID: sallyport.NewID(), Account: u.Account(), Issued: now, Expires: now.Add(life), By: "helga"}, code)
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	ended := func(u stack.User, want sallyport.TemporaryCodeEnd) {
		t.Helper()
		stack.Until(t, patience, "the code is said to have ended: "+string(want), func() bool {
			list, err := s.Store.TemporaryCodes(ctx, u.Account())
			return err == nil && len(list) == 1 && list[0].EndedBy == want
		})
	}
	t.Run("when it expires", func(t *testing.T) {
		u := s.NewUser(t)
		give(t, s, u, live, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledOther})
		code := issueFor(u, 5*time.Second)
		if !radclient(t, s, addr, u.Name, code) {
			t.Fatal("refused before its end")
		}
		stack.Until(t, patience, "it is refused", func() bool { return !radclient(t, s, addr, u.Name, code) })
	})
	t.Run("with the usual factor", func(t *testing.T) {
		u, d := enrolled(t, s)
		give(t, s, u, live, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledOther})
		code := issueFor(u, time.Hour)
		if !radclient(t, s, addr, u.Name, code) {
			t.Fatal("refused although the phone is not at hand")
		}
		usual, err := d.CodeAt(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if !radclient(t, s, s.RADIUSAddrs()[1], u.Name, usual) {
			t.Fatal("the usual factor is refused")
		}
		ended(u, sallyport.EndedByUsualLogin)
		if radclient(t, s, addr, u.Name, code) {
			t.Error("good although the phone is at hand again")
		}
	})
	t.Run("only for remote access", func(t *testing.T) {
		u := s.NewUser(t)
		give(t, s, u, sallyport.UserPolicy{Licensed: true}, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledOther})
		code := issueFor(u, time.Hour)
		if radclient(t, s, addr, u.Name, code) {
			t.Error("it opens what the user policy keeps shut")
		}
		deniedFor(t, logIn(t, s, u), sallyport.ReasonNotAllowed)
	})
}
