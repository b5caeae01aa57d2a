package e2e_test

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"layeh.com/radius"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/stack"
)

var stateShown = regexp.MustCompile(`State = (0x[0-9a-f]+)`)

// typedToRadclient asks one appliance with FreeRADIUS's client and returns what it prints.
func typedToRadclient(ctx context.Context, t *testing.T, addr string, secret sallyport.Secret, user string, typed sallyport.Secret, state string) string {
	t.Helper()
	program, err := exec.LookPath("radclient")
	if err != nil {
		t.Fatal("radclient is needed (Debian package freeradius-utils)")
	}
	packet := fmt.Sprintf("User-Name = %q\nUser-Password = %q\nNAS-Identifier = \"big-ip-7\"\nCalling-Station-Id = \"203.0.113.7\"\nMessage-Authenticator = 0x00\n", user, string(typed))
	if state != "" {
		packet += "State = " + state + "\n"
	}
	cmd := exec.CommandContext(ctx, program, "-x", "-r", "3", "-t", "20", addr, "auth", string(secret))
	cmd.Stdin = strings.NewReader(packet)
	out, _ := cmd.CombinedOutput() // it fails when it is refused
	return strings.ReplaceAll(string(out), string(typed), "[typed]")
}

// The appliance that sent a challenge is killed, and the other one goes on with the login: with a code, and with the
// number typed on the phone.
func TestTheOtherApplianceGoesOnWhenTheOneThatSentTheChallengeIsKilled(t *testing.T) {
	t.Parallel()
	s := stack.Start(t, stack.Options{})
	if r, err := s.Run("integration", "edit", stack.Nickname, "--config", s.ApplianceConfig(0), "--experience", "legacy"); err != nil {
		t.Fatalf("%v: %+v", err, r)
	}
	addrs := s.RADIUSAddrs()
	ctx := within(t, 10*patience)
	for i, by := range []string{"code", "number"} {
		u, d := enrolled(t, s)
		var said string
		stack.Until(t, patience, "the appliance to take the change", func() bool {
			said = typedToRadclient(ctx, t, addrs[i], s.RADIUSSecret, u.Name, u.Password, "")
			return strings.Contains(said, "Received "+radius.CodeAccessChallenge.String())
		})
		shown := stateShown.FindStringSubmatch(said)
		if shown == nil {
			t.Fatalf("no challenge: %s", said)
		}
		number := twoDigits.FindString(said[strings.Index(said, "Reply-Message"):])
		c, err := d.Challenge(ctx)
		if err != nil {
			t.Fatal(err)
		}
		s.Appliances[i].Kill()
		if s.Appliances[i].Running() {
			t.Fatal("it runs still")
		}
		typed := sallyport.Secret("ok")
		switch by {
		case "code":
			if typed, err = d.CodeAt(time.Now()); err != nil {
				t.Fatal(err)
			}
		default:
			if err := c.Answer(ctx, sallyport.DecisionApprove, number); err != nil {
				t.Fatal(err)
			}
		}
		if said = typedToRadclient(ctx, t, addrs[1-i], s.RADIUSSecret, u.Name, typed, shown[1]); !strings.Contains(said, "Received "+radius.CodeAccessAccept.String()) {
			t.Fatalf("by %s: %s", by, said)
		}
		s.Appliances[i].Start()
		if said = typedToRadclient(ctx, t, addrs[i], s.RADIUSSecret, u.Name, "654321", shown[1]); !strings.Contains(said, "Received "+radius.CodeAccessReject.String()) {
			t.Errorf("the State is taken again: %s", said)
		}
	}
}
