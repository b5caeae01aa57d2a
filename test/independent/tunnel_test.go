package independent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/test/harness"
)

// cloud is a replica of the cloud with an enterprise that has no appliance yet.
type cloud struct {
	url, enterprise, code string
}

func startCloud(t *testing.T) cloud {
	t.Helper()
	bin, redis := harness.Build(t, "github.com/sallyport/sallyport/cmd/sallyport"), harness.StartRedis(t)
	run := func(args ...string) []byte {
		t.Helper()
		out, err := exec.Command(bin, args...).Output()
		var ended *exec.ExitError
		if errors.As(err, &ended) {
			t.Fatalf("%q: %v\n%s", args, err, ended.Stderr)
		}
		check(t, err)
		return out
	}
	keys, base := filepath.Join(t.TempDir(), "keys"), harness.PortBlock(t)
	at := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", base+port) }
	run("cloud", "init", "--key-dir", keys)
	p := harness.NewProgram(t, "cloud", bin, func(context.Context) error {
		r, err := http.Get("http://" + at(2) + "/readyz")
		if err != nil {
			return err
		}
		if err := r.Body.Close(); err != nil || r.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d, %v", r.StatusCode, err)
		}
		return nil
	}, "cloud", "--redis", redis.URL(), "--key-dir", keys, "--replica", "one", "--listen", at(0), "--public-url", "http://"+at(0),
		"--tunnel-listen", at(1), "--tunnel-address", at(1), "--admin-listen", at(2), "--tokensvc-address", at(3))
	p.Start()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.Log())
		}
	})
	var made struct{ EnterpriseID, ProvisioningCode string }
	check(t, json.Unmarshal(run("enterprise", "create", "--name", "Independent", "--redis", redis.URL(), "-o", "json"), &made))
	return cloud{"http://" + at(0), made.EnterpriseID, made.ProvisioningCode}
}

const pageOrigin = "https://vpn.hospital.example"

// appliance starts the Python appliance with a provisioning code.
func (c cloud) appliance(t *testing.T, code string) *client {
	t.Helper()
	a := python(t, "appliance.py", "--cloud", c.url, "--enterprise", c.enterprise, "--origin", pageOrigin)
	a.say(code)
	return a
}

// logIn is the Python browser at a page of an integration of the Python appliance.
func (c cloud) logIn(t *testing.T, trusted line, origin string) *client {
	t.Helper()
	b := python(t, "browser.py", "--cloud", c.url, "--token", trusted.AccessToken, "--fingerprint", trusted.Fingerprint,
		"--origin", origin, "--user", "zoë")
	b.say("Pässword 1")
	return b
}

func TestIndependentApplianceServesTheTunnel(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	a := c.appliance(t, c.code)
	trusted := a.until("trust", func(l line) bool { return l.AccessToken != "" })
	if trusted.Further {
		t.Error("the first appliance is told of others")
	}
	welcome := a.until("a welcome", func(l line) bool { return l.Welcome != "" })
	if welcome.Welcome != "one" || !slices.Contains(welcome.Features, "progress_ack") {
		t.Errorf("welcomed with %+v", welcome)
	}
	for range 2 { // the key statement, and the claims of two owners
		if l := a.until("a result", func(l line) bool { return l.Result != "" }); l.Result == "claims" && !slices.Equal(l.First, []bool{true, false}) {
			t.Errorf("claims: %v", l.First)
		} else if l.Result != "claims" && l.Result != "ack" {
			t.Errorf("a call ended with %q", l.Result)
		}
	}
	a.until("a heartbeat", func(l line) bool { return l.Heartbeat })

	if l := finish(t, c.logIn(t, trusted, pageOrigin), 1); l.Prompt.Reason != "credentials" || l.Prompt.SupportCode != "TEST-0000" {
		t.Errorf("the page was told %+v", l)
	}
	asked := a.until("a login", func(l line) bool { return l.User != "" })
	if asked.User != "zoë" || asked.PasswordOctets != len("Pässword 1") || asked.Origin != pageOrigin {
		t.Errorf("the appliance opened %+v", asked)
	}
	if l := finish(t, c.logIn(t, trusted, "https://evil.example"), 3); l.Status != http.StatusBadRequest || l.Refused.Code != "invalid" || !l.Refused.Ended {
		t.Errorf("a page of another origin was told %+v", l)
	}
	a.until("an error", func(l line) bool { return l.Failed == "invalid" })

	if l := finish(t, c.appliance(t, c.code), 3); l.Status != http.StatusForbidden || l.Refused.Code != "denied" {
		t.Errorf("a used code: %+v", l)
	}
	check(t, a.stdin.Close()) // it leaves
	check(t, a.cmd.Wait())
}
