package e2e_test

import (
	"context"
	"crypto/hmac"
	"crypto/md5" // RADIUS is made of it
	"errors"
	"net"
	"regexp"
	"testing"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"

	"github.com/sallyport/sallyport"
)

// legacyGateway is a gateway without the overlay.
type legacyGateway struct {
	t      *testing.T
	from   string // its address
	secret sallyport.Secret
}

// ask sends what a user typed to one appliance, and again while there is no answer, as a gateway does.
func (g *legacyGateway) ask(ctx context.Context, addr, user string, typed sallyport.Secret, state []byte) (*radius.Packet, error) {
	p := radius.New(radius.CodeAccessRequest, []byte(g.secret))
	p.Add(rfc2869.MessageAuthenticator_Type, make(radius.Attribute, 16))
	err := errors.Join(rfc2865.UserName_AddString(p, user), rfc2865.UserPassword_AddString(p, string(typed)),
		rfc2865.NASIdentifier_AddString(p, "big-ip-7"), rfc2865.CallingStationID_AddString(p, "203.0.113.7"))
	if state != nil {
		p.Add(rfc2865.State_Type, state)
	}
	if err != nil {
		return nil, err
	}
	wire, err := p.Encode()
	if err != nil {
		return nil, err
	}
	m := hmac.New(md5.New, []byte(g.secret))
	m.Write(wire)
	copy(wire[22:38], m.Sum(nil))
	d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(g.from)}}
	conn, err := d.DialContext(ctx, "udp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	buf := make([]byte, radius.MaxPacketLength)
	for ctx.Err() == nil {
		if _, err := conn.Write(wire); err != nil {
			return nil, err
		}
		if err := conn.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
			return nil, err
		}
		if n, err := conn.Read(buf); err == nil && radius.IsAuthenticResponse(buf[:n], wire, []byte(g.secret)) {
			return radius.Parse(buf[:n], []byte(g.secret))
		}
	}
	return nil, errSilent
}

// must asks and holds the answer to a code.
func (g *legacyGateway) must(addr, user string, typed sallyport.Secret, state []byte, code radius.Code) *radius.Packet {
	g.t.Helper()
	p, err := g.ask(within(g.t, patience), addr, user, typed, state)
	if err != nil {
		g.t.Fatal(err)
	}
	if p.Code != code {
		g.t.Fatalf("%v %q, want %v", p.Code, rfc2865.ReplyMessage_GetString(p), code)
	}
	return p
}

var (
	twoDigits  = regexp.MustCompile(`\b[0-9]{2}\b`)
	supportRef = regexp.MustCompile(`[0-9A-Z]{4}-[0-9A-Z]{4}`)
)

// The whole login in RADIUS, with real directory, token service and phone: a number by challenge, the answer held at
// the other appliance while the gateway repeats itself, a code in one field, and a wrong password.
func TestLogInByRADIUSAlone(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	id, secret := s.AddLegacyGateway(t, "Legacy VPN", "127.0.0.7", "--passcode-separator", ",")
	g := &legacyGateway{t: t, from: "127.0.0.7", secret: secret}
	u, d := enrolled(t, s)
	one, two := s.RADIUSAddrs()[0], s.RADIUSAddrs()[1]

	challenge := g.must(one, u.Name, u.Password, nil, radius.CodeAccessChallenge)
	state := rfc2865.State_Get(challenge)
	number := twoDigits.FindString(rfc2865.ReplyMessage_GetString(challenge))
	if len(state) > 253 || number == "" {
		t.Fatalf("State of %d octets, %q", len(state), rfc2865.ReplyMessage_GetString(challenge))
	}
	c, err := d.Challenge(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	if c.Details.Application != "Legacy VPN" || c.Details.Place != "203.0.113.7 via big-ip-7" || c.Details.Digits != 2 {
		t.Errorf("the phone shows %+v", c.Details)
	}
	type answer struct {
		p   *radius.Packet
		err error
	}
	held := make(chan answer, 1)
	ctx := within(t, patience)
	go func() {
		p, err := g.ask(ctx, two, u.Name, "", state)
		held <- answer{p, err}
	}()
	select {
	case a := <-held:
		t.Fatalf("answered before the user: %+v", a)
	case <-shortly(t).Done():
	}
	if err := c.Answer(ctx, sallyport.DecisionApprove, number); err != nil {
		t.Fatal(err)
	}
	if a := <-held; a.err != nil || a.p.Code != radius.CodeAccessAccept {
		t.Fatalf("%+v", a)
	}
	g.must(one, u.Name, "123456", state, radius.CodeAccessReject) // that State was used

	code, err := d.CodeAt(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	g.must(two, u.Name, u.Password+","+code, nil, radius.CodeAccessAccept)
	refused := g.must(one, u.Name, u.Password+"x", nil, radius.CodeAccessReject)
	support := supportRef.FindString(rfc2865.ReplyMessage_GetString(refused))
	recorded(t, s, support, sallyport.LoginRecord{Outcome: sallyport.OutcomeDenied, Account: u.Account(), Door: sallyport.DoorRADIUS, Integration: id, Reason: sallyport.ReasonCredentials}, 4, 5, 11)
}
