package legacy_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
	wire "layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

// radclient asks with FreeRADIUS's client and returns what it prints.
func radclient(t *testing.T, a *appliance, kind, attributes string) string {
	t.Helper()
	return radclientAt(t, a.Addr(), secret, kind, attributes)
}

func radclientAt(t *testing.T, at netip.AddrPort, secret, kind, attributes string) string {
	t.Helper()
	program, err := exec.LookPath("radclient")
	if err != nil {
		t.Fatal("radclient is needed (Debian package freeradius-utils)")
	}
	cmd := exec.Command(program, "-x", "-r", "2", "-t", "30", at.String(), kind, secret)
	cmd.Stdin = strings.NewReader(attributes + "\nMessage-Authenticator = 0x00\n")
	out, _ := cmd.CombinedOutput() // radclient fails when it is rejected or challenged
	return string(out)
}

// received returns the value of an attribute in what radclient received.
func received(t *testing.T, out, name string) string {
	t.Helper()
	_, answer, _ := strings.Cut(out, "Received ")
	_, value, found := strings.Cut(answer, name+" = ")
	if !found {
		t.Fatalf("no %s in\n%s", name, out)
	}
	value, _, _ = strings.Cut(value, "\n")
	return value
}

func TestRadclientGoesThroughChallenges(t *testing.T) {
	w := newWorld(t)
	w.people.set(func(p *people) { p.matching = true })
	a, b := w.appliance(), w.appliance()
	login := fmt.Sprintf("User-Name = alice\nUser-Password = %q\nProxy-State = 0x0102\nProxy-State = 0x03", password)
	out := radclient(t, a, "auth", login)
	message, state := received(t, out, "Reply-Message"), received(t, out, "State")
	if !strings.Contains(out, "Received Access-Challenge") || !strings.Contains(message, "in the app on your phone") || len(state) > 2+2*253 {
		t.Fatalf("%s", out)
	}
	_, answer, _ := strings.Cut(out, "Received ")
	if one, two := strings.Index(answer, "Proxy-State = 0x0102"), strings.Index(answer, "Proxy-State = 0x03"); one < 0 || two < one {
		t.Errorf("Proxy-States:\n%s", out)
	}
	// The state travels as it is, to the other appliance; a code ends the login.
	out = radclient(t, b, "auth", fmt.Sprintf("User-Name = alice\nUser-Password = %q\nState = %s", w.code(), state))
	if !strings.Contains(out, "Received Access-Accept") {
		t.Errorf("%s\n%s", out, b.log)
	}
	out = radclient(t, b, "auth", "User-Name = alice\nUser-Password = 123123\nState = "+state)
	if !strings.Contains(out, "Received Access-Reject") || !strings.Contains(out, "cannot be continued") {
		t.Errorf("%s", out)
	}
	if out := radclient(t, a, "status", ""); !strings.Contains(out, "Received Access-Accept") {
		t.Errorf("Status-Server:\n%s", out)
	}
}

func TestRadclientWaitsForThePush(t *testing.T) {
	w := newWorld(t)
	a := w.appliance()
	out := make(chan string, 1)
	go func() {
		out <- radclient(t, a, "auth", fmt.Sprintf("User-Name = alice\nUser-Password = %q", password))
	}()
	w.answer(1, sallyport.DecisionApprove, "")
	if got := <-out; !strings.Contains(got, "Received Access-Accept") {
		t.Errorf("%s", got)
	}
}

func TestOtherProtocolsAreRefusedAndTheLogSaysWhatToSet(t *testing.T) {
	w := newWorld(t)
	a := w.appliance()
	for protocol, attributes := range map[string]string{
		"CHAP":     "User-Name = alice\nCHAP-Password = hello",
		"MS-CHAP":  "User-Name = alice\nMS-CHAP-Password = hello",
		"EAP":      "User-Name = alice\nEAP-Message = 0x0200000a01616c696365",
		"MS-CHAPv": "User-Name = alice\nMS-CHAP-Challenge = 0x00112233445566778899aabbccddeeff\nMS-CHAP2-Response = 0x" + strings.Repeat("00", 50),
	} {
		if out := radclient(t, a, "auth", attributes); !strings.Contains(out, "Received Access-Reject") {
			t.Errorf("%s:\n%s", protocol, out)
		}
		if !a.log.has("wrong protocol: "+protocol) || !a.log.has("set the gateway's RADIUS server to PAP instead of "+protocol) {
			t.Errorf("%s: log:\n%s", protocol, a.log)
		}
	}
	if w.binds.Load() != 0 {
		t.Error("the directory was asked")
	}
}

func TestHostilePacketsNeitherLogInNorStopAnybody(t *testing.T) {
	w := newWorld(t)
	w.vpn.PasscodeSeparator = ","
	w.people.set(func(p *people) { p.temporary = "12345678" })
	a := w.appliance()
	g := a.gateway(t)
	challenge := g.ask("alice", password, nil)
	good := request(t, "alice", "12345678", rfc2865.State_Get(challenge))
	noise := make([]byte, 4096)
	rand.Read(noise)
	twice := request(t, "alice", password, []byte("one"), func(p *wire.Packet) { p.Add(rfc2865.State_Type, []byte("two")) })
	sent := uint64(1)
	for n := range good {
		for _, packet := range [][]byte{good[:n], append(bytes.Clone(good[:n]), noise[:len(good)-n]...)} {
			g.send(packet)
			sent++
		}
	}
	g.send(noise)
	g.send(twice)
	g.send(request(t, "mallory", password, bytes.Repeat([]byte{0xff}, 253)))
	g.send(request(t, "mallory", password, []byte{}))
	sent += 4
	eventually(t, "everything is read", func() bool { return a.Stats().Received == sent })
	eventually(t, "nothing is under way", func() bool { return a.door.Stats().Waiting == 0 })
	if s := a.Stats(); s.Accepted != 0 || w.binds.Load() != 1 {
		t.Errorf("%+v, %d binds", s, w.binds.Load())
	}
	fresh := a.gateway(t)
	want(t, fresh.ask("alice", "12345678", rfc2865.State_Get(challenge)), wire.CodeAccessAccept, "")
}
