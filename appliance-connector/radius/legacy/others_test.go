package legacy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/harness"
	wire "layeh.com/radius"
)

var numberShown = regexp.MustCompile(`\b[0-9]{2}\b`)

// FreeRADIUS between gateway and appliance, which takes nothing unsigned and signs what it passes on: accept, challenge with
// its State there and back, reject, a push held through it, and the gateway's own Proxy-States in their order.
func TestFreeRADIUSAsAProxyInFront(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.vpn.MessageAuthenticator = sallyport.MessageAuthenticatorAlways
	w.people.set(func(p *people) { p.matching = true })
	a := w.appliance()
	proxy := harness.StartFreeRADIUSProxy(t, a.Addr(), secret)
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(proxy.Port))
	ask := func(attributes string) string { return radclientAt(t, at, proxy.Secret, "auth", attributes) }
	out := ask(fmt.Sprintf("User-Name = alice\nUser-Password = %q\nProxy-State = 0x0102\nProxy-State = 0x03", password))
	message, state := received(t, out, "Reply-Message"), received(t, out, "State")
	if !strings.Contains(out, "Received Access-Challenge") || !strings.Contains(message, "in the app on your phone") {
		t.Fatalf("%s\n%s\n%s", out, a.log, proxy.Log())
	}
	_, answer, _ := strings.Cut(out, "Received ")
	if one, two := strings.Index(answer, "Proxy-State = 0x0102"), strings.Index(answer, "Proxy-State = 0x03"); one < 0 || two < one {
		t.Errorf("Proxy-States:\n%s", out)
	}
	held := make(chan string, 1)
	go func() { held <- ask("User-Name = alice\nUser-Password = ok\nState = " + state) }()
	w.answer(1, sallyport.DecisionApprove, numberShown.FindString(message))
	if out := <-held; !strings.Contains(out, "Received Access-Accept") {
		t.Errorf("%s\n%s", out, a.log)
	}
	if out := ask("User-Name = alice\nUser-Password = wrong"); !strings.Contains(out, "Received Access-Reject") || !strings.Contains(out, "Login failed.") {
		t.Errorf("%s\n%s", out, a.log)
	}
	if s := a.Stats(); s.Unauthentic != 0 || s.Malformed != 0 {
		t.Errorf("%+v\n%s", s, a.log)
	}
}

func TestRadtestIsAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.vpn.PasscodeSeparator = ","
	a := w.appliance()
	for typed, want := range map[string]string{password + "," + w.code(): "Received Access-Accept", "wrong": "Received Access-Reject"} {
		out, err := exec.Command("radtest", "alice", typed, a.Addr().String(), "0", secret).CombinedOutput()
		if !strings.Contains(string(out), want) {
			t.Errorf("radtest (Debian package freeradius-utils): %v\n%s\n%s", err, out, a.log)
		}
	}
}

// pyradAnswer is what pyrad heard.
type pyradAnswer struct {
	Code           wire.Code
	Message, State string
	Proxies        []string
}

// A client that shares no code with FreeRADIUS, nor with ours, checks every answer.
func TestPyradLogsIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.people.set(func(p *people) { p.matching = true })
	a := w.appliance()
	cmd := exec.Command("/usr/bin/python3", "testdata/pyrad_login.py", a.Addr().Addr().String(), strconv.Itoa(int(a.Addr().Port())), secret)
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	var said strings.Builder
	cmd.Stderr = &said
	check(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("pyrad (Debian package python3-pyrad): %v\n%s", err, said.String())
		}
	})
	answers := json.NewDecoder(out)
	send := func(user, typed, state string, proxies ...string) {
		t.Helper()
		check(t, json.NewEncoder(in).Encode(map[string]any{"user": user, "password": typed, "state": state, "proxies": proxies}))
	}
	receive := func(code wire.Code) (p pyradAnswer) {
		t.Helper()
		if err := answers.Decode(&p); err != nil && err != io.EOF || p.Code != code {
			t.Fatalf("%v %+v, want %v\n%s\n%s", err, p, code, said.String(), a.log)
		}
		return p
	}
	send("alice", password, "", "0102", "", "03")
	p := receive(wire.CodeAccessChallenge)
	if !slices.Equal(p.Proxies, []string{"0102", "", "03"}) {
		t.Errorf("Proxy-States %q", p.Proxies)
	}
	send("alice", "ok", p.State)
	w.answer(1, sallyport.DecisionApprove, numberShown.FindString(p.Message))
	receive(wire.CodeAccessAccept)
	send("alice", "wrong", "")
	receive(wire.CodeAccessReject)
}
