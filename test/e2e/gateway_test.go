package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
)

// What an administrator types about a gateway counts at every appliance without a restart, and what the
// appliances heard of it comes back.
func TestAGatewayIsToldTheAttributesThatWereTypedAndIsHeardOf(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	u, d := enrolled(t, s)
	config := s.ApplianceConfig(0)
	if _, err := s.Run("integration", "attributes", "add", string(s.Integration), "--attribute", "Class", "--value", "ward 3", "--config", config); err != nil {
		t.Fatal(err)
	}
	ctx := within(t, patience)
	for _, addr := range s.RADIUSAddrs() {
		for told := false; !told; {
			if ctx.Err() != nil {
				t.Fatalf("the appliance at %s does not tell the attribute", addr)
			}
			out := radclientSays(t, addr, s.RADIUSSecret, u.Name, granted(t, s.Page(), u, d))
			told = strings.Contains(out, "Received Access-Accept") && strings.Contains(out, fmt.Sprintf("Class = 0x%x", "ward 3"))
		}
	}
	heard := map[string]bool{}
	for len(heard) < len(s.RADIUSAddrs()) {
		if ctx.Err() != nil {
			t.Fatalf("heard of by %v only", heard)
		}
		r, err := s.Run("integration", "health", "--config", config, "-o", "json")
		if err != nil {
			t.Fatal(err)
		}
		var v struct {
			Health []struct{ Integration, Appliance, Accepted string }
		}
		if err := json.Unmarshal([]byte(r.Stdout), &v); err != nil {
			t.Fatal(err)
		}
		for _, h := range v.Health {
			if h.Integration == string(s.Integration) && h.Accepted != "" {
				heard[h.Appliance] = true
			}
		}
	}
}

// radclientSays asks one appliance with FreeRADIUS's client and returns what it prints.
func radclientSays(t *testing.T, addr string, secret sallyport.Secret, user string, passcode sallyport.Secret) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(within(t, patience), "radclient", "-x", "-t", "5", "-r", "3", "-S", file, addr, "auth")
	cmd.Stdin = strings.NewReader(fmt.Sprintf("User-Name = %q, User-Password = %q, Message-Authenticator = 0x00\n", user, string(passcode)))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("radclient: %v\n%s", err, out)
	}
	return string(out)
}
