package main

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// notAdministration are the commands that docs/admin/commands.md leaves out: they run a part, or are for others than
// administrators of an enterprise.
var notAdministration = []string{"authenticator", "cloud", "completion", "config", "demo", "enterprise", "help", "tokensvc", "appliance run"}

// row is a line of the table: task, command, page of the console.
type row struct{ task, command, page string }

// administrative returns a row without a page for every command of an administrator.
func administrative(c *cobra.Command) (out []row) {
	name := strings.TrimPrefix(c.CommandPath(), "sallyport ")
	if slices.Contains(notAdministration, name) {
		return nil
	}
	for _, sub := range c.Commands() {
		out = append(out, administrative(sub)...)
	}
	if !c.HasSubCommands() {
		_, args, _ := strings.Cut(c.Use, " ")
		out = append(out, row{task: c.Short, command: strings.TrimSpace(c.CommandPath() + " " + args)})
	}
	return out
}

func TestTheTableOfCommandsIsWhatThereIs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "admin", "commands.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages := consolePages(t)
	listed := map[string]row{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || !strings.Contains(cells[2], "`sallyport ") {
			continue
		}
		r := row{strings.TrimSpace(cells[1]), strings.Trim(strings.TrimSpace(cells[2]), "`"), strings.Trim(strings.TrimSpace(cells[3]), "`")}
		if _, twice := listed[r.command]; twice {
			t.Errorf("%q stands in the table twice", r.command)
		}
		listed[r.command] = r
		if r.page != "—" && !pages[r.page] {
			t.Errorf("%q is said to be at %q, which is no page of the console", r.command, r.page)
		}
	}
	root := newRoot()
	root.InitDefaultCompletionCmd()
	there := administrative(root)
	if len(there) < 50 {
		t.Errorf("only %d commands were found", len(there))
	}
	for _, r := range there {
		if listed[r.command].task != r.task {
			t.Errorf("docs/admin/commands.md needs the line\n| %s | `%s` | `/PAGE` or — |", r.task, r.command)
		}
		delete(listed, r.command)
	}
	for command := range listed {
		t.Errorf("docs/admin/commands.md has %q, which is no command", command)
	}
}

// consolePages are the addresses of the console's pages, and those of its navigation.
func consolePages(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "appliance-connector", "console", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	address := regexp.MustCompile(`(?:\.page\(|Path: )"(/[^"]*)"`)
	out := map[string]bool{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range address.FindAllSubmatch(text, -1) {
			out[string(m[1])] = true
		}
	}
	if len(out) < 10 {
		t.Fatalf("only %d pages of the console were found", len(out))
	}
	return out
}

// TestEveryCommandOfAnAdministratorExplainsItself: an example, values that can be completed, and a question where
// something is lost.
func TestEveryCommandOfAnAdministratorExplainsItself(t *testing.T) {
	t.Parallel()
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		noun, _, _ := strings.Cut(strings.TrimPrefix(c.CommandPath(), "sallyport "), " ")
		if !slices.Contains([]string{"user", "temporary-code", "policy", "workflow", "enrol-rule", "login", "radius-request", "report", "administrator", "settings", "otp", "site"}, noun) {
			return
		}
		if c.Example == "" || c.Short == "" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for line := range strings.Lines(c.Example) {
			if strings.HasPrefix(line, "  sallyport ") {
				checkExample(t, strings.TrimSpace(line))
			}
		}
		verb, _, _ := strings.Cut(c.Name(), "-")
		if slices.Contains([]string{"remove", "reset", "revoke", "delete"}, verb) && c.Flags().Lookup("yes") == nil {
			t.Errorf("%s does harm without a question", c.CommandPath())
		}
	}
	walk(newRoot())
}

// words splits a command line as a shell does, without expanding anything.
var words = regexp.MustCompile(`(?:[^\s"']|"[^"]*"|'[^']*')+`)

// checkExample fails unless the words are a command that would run: its flags and the number of its arguments.
func checkExample(t *testing.T, line string) {
	t.Helper()
	line, _, _ = strings.Cut(line, " > ")
	args := words.FindAllString(line, -1)[1:]
	for i, a := range args {
		args[i] = strings.NewReplacer(`"`, "", `'`, "").Replace(a)
	}
	c, rest, err := newRoot().Find(args)
	if err != nil || !c.Runnable() {
		t.Errorf("%q is no command: %v", line, err)
		return
	}
	if err := c.ParseFlags(rest); err != nil {
		t.Errorf("%q: %v", line, err)
		return
	}
	if err := c.ValidateArgs(c.Flags().Args()); err != nil {
		t.Errorf("%q: %v", line, err)
	}
	if err := c.PreRunE(c, nil); err != nil {
		t.Errorf("%q: %v", line, err)
	}
}

func TestTheConsolesLinkLeadsToWhereItListens(t *testing.T) {
	for listen, want := range map[string]string{
		":8443": "https://" + net.JoinHostPort(hostname(), "8443"), "0.0.0.0:443": "https://" + net.JoinHostPort(hostname(), "443"),
		"[::]:9000": "https://" + net.JoinHostPort(hostname(), "9000"), "10.1.2.3:8443": "https://10.1.2.3:8443", "[fd00::1]:8443": "https://[fd00::1]:8443", "": "",
	} {
		if got, err := consoleAt(listen); got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, want %q (%v)", listen, got, want, err)
		}
	}
}
