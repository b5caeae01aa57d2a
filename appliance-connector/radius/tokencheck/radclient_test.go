package tokencheck_test

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/claims"
	"github.com/sallyport/sallyport/appliance-connector/radius"
	"github.com/sallyport/sallyport/appliance-connector/radius/tokencheck"
	"github.com/sallyport/sallyport/internal/gatewaytoken"
	"github.com/sallyport/sallyport/internal/radiusattr"
)

// radclient asks with FreeRADIUS's client and returns what it prints.
func radclient(t *testing.T, a *appliance, secret, user, passcode, more string) string {
	t.Helper()
	program, err := exec.LookPath("radclient")
	if err != nil {
		t.Fatal("radclient is needed (Debian package freeradius-utils)")
	}
	cmd := exec.Command(program, "-x", "-r", "1", "-t", "3", a.Addr().String(), "auth", secret)
	cmd.Stdin = strings.NewReader(fmt.Sprintf("User-Name = %q\nUser-Password = %q\n%s", user, passcode, more))
	out, _ := cmd.CombinedOutput() // radclient fails when it is rejected
	return strings.ReplaceAll(string(out), passcode, "[passcode]")
}

const signed = "Message-Authenticator = 0x00\n"

// groups are those of alice.
type groups struct{ asked atomic.Int32 }

func (g *groups) Groups(_ context.Context, account sallyport.AccountName) ([]string, error) {
	g.asked.Add(1)
	if account == alice {
		return []string{"CN=Doctors,DC=hospital,DC=example", "CN=Staff,DC=hospital,DC=example"}, nil
	}
	return nil, nil
}

// startWith runs an appliance's RADIUS server with an integration as edited.
func startWith(t *testing.T, g radius.Groups, edit func(*sallyport.Integration)) *appliance {
	t.Helper()
	claimer := claims.New(claims.Options{Capacity: 1 << 16})
	in := sallyport.Integration{ID: vpn, Nickname: "Hospital VPN", Secret: secret, MessageAuthenticator: sallyport.MessageAuthenticatorNever,
		Clients: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	edit(&in)
	log := &safeLog{}
	s, err := radius.Listen(radius.Options{
		Address: "127.0.0.1:0", Log: log.logger(), Groups: g, Integrations: []sallyport.Integration{in},
		Verifier: tokencheck.New(tokencheck.Options{
			Keys: func() gatewaytoken.Ring { return ring }, Claimer: claimer, Directory: &directory{}, Standings: people{}, Codes: &codes{}, Even: time.Millisecond,
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		claimer.Close()
	})
	return &appliance{Server: s, log: log}
}

func TestRadclientReceivesTheAttributesOfTheUsersGroupsWhateverTheFactor(t *testing.T) {
	g := &groups{}
	a := startWith(t, g, func(in *sallyport.Integration) {
		in.Attributes = []sallyport.GroupAttribute{
			{Attribute: 27, Type: sallyport.AttributeInteger, Values: []string{"3600"}},
			{Group: "cn=Staff, dc=hospital, dc=example", Attribute: 25, Type: sallyport.AttributeText, Values: []string{"staff", "ward 3"}},
			{Group: "CN=Doctors,DC=hospital,DC=example", Vendor: 3375, Attribute: 1, Type: sallyport.AttributeInteger, Values: []string{"Guest"}},
			{Group: "CN=Doctors,DC=hospital,DC=example", Vendor: 9, Attribute: 1, Type: sallyport.AttributeText, Values: []string{"shell:priv-lvl=1", "ip:dns=10.0.0.1"}},
			{Group: "CN=Doctors,DC=hospital,DC=example", Attribute: 8, Type: sallyport.AttributeIPv4, Values: []string{"10.9.8.7"}},
			{Group: "CN=Doctors,DC=hospital,DC=example", Attribute: 64, Type: sallyport.AttributeInteger, Values: []string{"VLAN"}},
			{Group: "CN=Doctors,DC=hospital,DC=example", Attribute: 81, Type: sallyport.AttributeText, Values: []string{"42"}},
			{Group: "CN=Administrators,DC=hospital,DC=example", Attribute: 25, Type: sallyport.AttributeText, Values: []string{"admin"}},
		}
	})
	want := []string{
		"Received Access-Accept", "Session-Timeout = 3600", "Class = 0x7374616666", "Class = 0x776172642033", "F5-LTM-User-Role = Guest",
		`Cisco-AVPair = "shell:priv-lvl=1"`, `Cisco-AVPair = "ip:dns=10.0.0.1"`, "Framed-IP-Address = 10.9.8.7",
		"Tunnel-Type:0 = VLAN", `Tunnel-Private-Group-Id:0 = "42"`,
	}
	var received []string
	for _, passcode := range []string{fresh(), "123456"} {
		out := radclient(t, a, secret, "alice", passcode, signed)
		for _, line := range want {
			if !strings.Contains(out, line) {
				t.Errorf("no %q in\n%s\n%s", line, out, a.log)
			}
		}
		if strings.Contains(out, "Class = 0x61646d696e") || strings.Contains(out, "Attr-") {
			t.Errorf("too much in\n%s", out)
		}
		_, answer, _ := strings.Cut(out, "Received Access-Accept")
		_, answer, _ = strings.Cut(answer, "Message-Authenticator") // behind it: identifier, length and signature are each answer's own
		_, answer, _ = strings.Cut(answer, "\n")
		received = append(received, answer)
	}
	if received[0] != received[1] {
		t.Errorf("token and token code differ:\n%s\n%s", received[0], received[1])
	}
	if n := g.asked.Load(); n != 2 {
		t.Errorf("groups were asked for %d times", n)
	}
	if out := radclient(t, a, secret, "alice", "654321", signed); !strings.Contains(out, "Received Access-Reject") || strings.Contains(out, "Class") {
		t.Errorf("a refusal carries attributes:\n%s", out)
	}
}

func TestRadclientIsAnsweredUnderBothSecretsWhileOneIsReplaced(t *testing.T) {
	const old = "the-secret-before-this-one"
	for _, until := range []time.Duration{time.Hour, -time.Second} {
		a := startWith(t, nil, func(in *sallyport.Integration) {
			in.PreviousSecret, in.PreviousUntil = old, time.Now().Add(until)
		})
		for _, attributes := range []string{signed, ""} {
			for _, used := range []string{secret, old} {
				taken := used == secret || until > 0
				// radclient checks the answer's signatures itself, and prints nothing received when they are wrong.
				if out := radclient(t, a, used, "alice", fresh(), attributes); strings.Contains(out, "Received Access-Accept") != taken {
					t.Errorf("old secret ends in %v, signed %v, old used %v:\n%s", until, attributes != "", used == old, out)
				}
			}
		}
	}
}

// FreeRADIUS's own dictionaries are another opinion on names, numbers and types.
func TestTheDictionaryAgreesWithFreeRADIUS(t *testing.T) {
	files, err := filepath.Glob("/usr/share/freeradius/dictionary*")
	if err != nil || len(files) == 0 {
		t.Fatalf("FreeRADIUS's dictionaries are needed (Debian package freeradius-common): %v", err)
	}
	theirs := map[string]bool{} // vendor, number, name and type
	for _, file := range files {
		readDictionary(t, file, theirs)
	}
	checked := 0
	for _, def := range radiusattr.Standard().All() {
		if def.Vendor == 3845 { // theirs has another number for it
			continue
		}
		key := fmt.Sprintf("%d %d %s %s", def.Vendor, def.Attribute, strings.ToLower(def.Name), def.Type)
		if !theirs[key] {
			t.Errorf("FreeRADIUS has no %s", key)
		}
		for _, v := range def.Values {
			if key := fmt.Sprintf("%s %s %d", strings.ToLower(def.Name), strings.ToLower(v.Name), v.Value); !theirs[key] {
				t.Errorf("FreeRADIUS has no value %s", key)
			}
		}
		checked++
	}
	if checked < 150 {
		t.Errorf("only %d attributes were compared", checked)
	}
}

// readDictionary takes what it understands of one of FreeRADIUS's files.
func readDictionary(t *testing.T, file string, out map[string]bool) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	types := map[string]sallyport.AttributeType{"string": "text", "integer": "integer", "date": "integer", "ipaddr": "ipaddr", "ipv6addr": "ipv6addr", "octets": "octets", "vsa": "octets"}
	numbers, open := map[string]string{}, "0"
	for lines := bufio.NewScanner(f); lines.Scan(); {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) >= 3 && words[0] == "VENDOR":
			numbers[words[1]] = words[2]
		case len(words) >= 2 && words[0] == "BEGIN-VENDOR":
			open = numbers[words[1]]
		case len(words) >= 1 && words[0] == "END-VENDOR":
			open = "0"
		case len(words) >= 4 && words[0] == "ATTRIBUTE":
			kind, _, _ := strings.Cut(words[3], "[")
			out[fmt.Sprintf("%s %s %s %s", open, words[2], strings.ToLower(words[1]), types[kind])] = true
		case len(words) >= 4 && words[0] == "VALUE":
			out[fmt.Sprintf("%s %s %s", strings.ToLower(words[1]), strings.ToLower(words[2]), words[3])] = true
		}
	}
}
