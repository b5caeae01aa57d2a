// Package independent_test runs clients that were written in Python from docs/protocol/ and api/ alone, by
// nobody's code but their own, against the product. What they cannot do, the documents do not say.
package independent_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/cmd/sallyport/demo"
	"github.com/sallyport/sallyport/test/harness"
)

// patience bounds every program.
const patience = 2 * time.Minute

// client is a Python program as it runs.
type client struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *json.Decoder
	stderr strings.Builder
}

// line is whatever a client prints.
type line struct {
	// browser.py
	Phase  string
	Prompt struct{ Kind, Number, Reason, Token, SupportCode string }
	Said   string
	View   *line
	// what a service refused
	Refused *struct {
		Code  string
		Ended bool
	}
	Status  int
	Gateway string
	// device.py
	User, Code, Foreign string
	Challenge           *struct {
		User, Application, Place string
		Digits                   int
	}
	// appliance.py
	AccessToken, Fingerprint, Welcome, Failed, Origin, Result string
	Features                                                  []string
	Further, Heartbeat                                        bool
	First                                                     []bool
	PasswordOctets                                            int `json:"password_octets"`
}

// sources reads what the clients are made of, so that a cached result cannot hide a change of it.
func sources(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob("*.py")
	check(t, err)
	for _, file := range append(files, filepath.Join(repository, "api", "tunnelpb", "tunnel.proto")) {
		_, err := os.ReadFile(file)
		check(t, err)
	}
}

// python starts a client.
func python(t *testing.T, name string, args ...string) *client {
	t.Helper()
	sources(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	c := &client{t: t, name: name, cmd: exec.CommandContext(ctx, "/usr/bin/python3", append([]string{"-B", name}, args...)...)}
	c.cmd.Stderr = &c.stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	c.stdin, err = c.cmd.StdinPipe()
	check(t, err)
	stdout, err := c.cmd.StdoutPipe()
	check(t, err)
	c.stdout = json.NewDecoder(stdout)
	check(t, c.cmd.Start())
	return c
}

func (c *client) say(text string) {
	c.t.Helper()
	_, err := io.WriteString(c.stdin, text+"\n")
	check(c.t, err)
}

// until reads what the client prints up to the line that is waited for.
func (c *client) until(what string, found func(line) bool) line {
	c.t.Helper()
	for {
		var l line
		if err := c.stdout.Decode(&l); err != nil {
			err = errors.Join(err, c.cmd.Wait())
			c.t.Fatalf("%s ended without %s: %v\n%s", c.name, what, err, c.stderr.String())
		}
		if found(l) {
			return l
		}
	}
}

// finish waits for a client's end and returns the last line it printed.
func finish(t *testing.T, c *client, code int) (last line) {
	t.Helper()
	for {
		var l line
		if err := c.stdout.Decode(&l); err != nil {
			break // the end, or the exit code tells
		}
		last = l
	}
	check(t, c.stdin.Close())
	if err := c.cmd.Wait(); c.cmd.ProcessState.ExitCode() != code {
		t.Fatalf("%s: %v, want exit code %d; last %+v\n%s", c.name, err, code, last, c.stderr.String())
	}
	return last
}

// world is a demo with an independent phone enrolled for its first user.
type world struct {
	t *testing.T
	demo.Ready
	phone string // its store
}

func start(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, phone: filepath.Join(dir, "phone.json")}
	file := filepath.Join(dir, "ready.json")
	p := harness.NewProgram(t, "demo", harness.Build(t, "github.com/sallyport/sallyport/cmd/sallyport"), func(context.Context) error {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &w.Ready)
	}, "demo", "--port-base", strconv.Itoa(harness.PortBlock(t)), "--ready-file", file)
	p.Start()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.Log())
		}
	})
	return w
}

// link asks the demo's phone page for an enrolment link.
func (w *world) link() string {
	w.t.Helper()
	plain := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := plain.Get(w.PhoneURL)
	check(w.t, err)
	check(w.t, r.Body.Close())
	return r.Header.Get("Location")
}

func (w *world) device(t *testing.T, code int, args ...string) line {
	t.Helper()
	return finish(t, python(t, "device.py", append([]string{"--store", w.phone}, args...)...), code)
}

// logIn opens the gateway's page as the demo's first user.
func (w *world) logIn(t *testing.T, password string, args ...string) *client {
	t.Helper()
	c := python(t, "browser.py", append([]string{"--page", w.GatewayURL, "--user", w.Users[0].Username}, args...)...)
	c.say(password)
	return c
}

func push(l line) bool { return l.Prompt.Kind == "push" }

func TestIndependentClientsLogInWithOneAnother(t *testing.T) {
	t.Parallel()
	w := start(t)
	password := w.Users[0].Password

	enrolment := python(t, "device.py", "--store", w.phone, "enrol")
	enrolment.say(w.link())
	if l := finish(t, enrolment, 0); l.User != w.Users[0].Username {
		t.Fatalf("enrolled for %q", l.User)
	}
	w.device(t, 1, "--clock", "7200", "pending") // no challenge; the clock is corrected

	for _, watch := range []string{"sse", "poll"} {
		t.Run("number matching, "+watch, func(t *testing.T) {
			page := w.logIn(t, password, "--watch", watch, "--submit")
			number := page.until("a number", push).Prompt.Number
			asked := w.device(t, 0, "approve", "--number", number, "--wait", "10").Challenge
			if asked.User != w.Users[0].Username || asked.Digits != 2 || asked.Application == "" || asked.Place == "" {
				t.Errorf("the phone showed %+v", asked)
			}
			done := page.until("the end", func(l line) bool { return l.Phase == "done" })
			if len(done.Prompt.Token) != 48 {
				t.Errorf("gateway token of %d characters", len(done.Prompt.Token))
			}
			if in := finish(t, page, 0).Gateway; !strings.Contains(in, "Welcome") {
				t.Errorf("the gateway answered\n%s", in)
			}
		})
	}
	t.Run("token code instead of the push", func(t *testing.T) {
		page := w.logIn(t, password, "--submit")
		page.until("a push", push)
		page.say("use_code")
		page.until("the field", func(l line) bool { return l.Prompt.Kind == "code" && l.Said == "" })
		page.say("code 12 34")
		page.until("a refusal", func(l line) bool { return l.Prompt.Reason == "wrong_code" })
		page.say("code " + w.device(t, 0, "code").Code)
		if in := finish(t, page, 0).Gateway; !strings.Contains(in, "Welcome") {
			t.Errorf("the gateway answered\n%s", in)
		}
	})
	for _, c := range [][2]string{{"cancel", "cancelled"}, {"deny", "rejected"}, {"approve", "wrong_number"}, {"not_me", "not_me"}} {
		decision, reason := c[0], c[1]
		t.Run("refused: "+reason, func(t *testing.T) {
			page := w.logIn(t, password)
			page.until("the way used last, a code", func(l line) bool { return l.Prompt.Kind == "code" })
			page.say("use push")
			number := page.until("a push", push).Prompt.Number
			switch decision {
			case "cancel":
				page.say("cancel")
			case "approve":
				w.device(t, 0, "approve", "--wait", "10", "--number", other(number))
			default:
				w.device(t, 0, decision, "--wait", "10")
			}
			if l := finish(t, page, 1); l.Phase != "denied" || l.Prompt.Reason != reason || l.Prompt.Token != "" {
				t.Errorf("the page was told %+v", l)
			}
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		if l := finish(t, w.logIn(t, "wrong"), 1); l.Prompt.Reason != "credentials" || l.Prompt.SupportCode == "" {
			t.Errorf("the page was told %+v", l)
		}
	})
	t.Run("the device forgets itself", func(t *testing.T) {
		w.device(t, 0, "forget")
		if l := w.device(t, 3, "pending"); l.Status != http.StatusUnauthorized || l.Refused.Code != "denied" {
			t.Errorf("the device was told %+v", l)
		}
	})
}

// other is another number of two digits.
func other(number string) string {
	if number == "42" {
		return "24"
	}
	return "42"
}
