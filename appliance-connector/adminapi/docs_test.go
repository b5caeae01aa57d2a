package adminapi

import (
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/sallyport/sallyport"
)

var example = regexp.MustCompile("(?s)```sh\n(.*?)```")

// The examples of docs/admin/api.md are run, one after the other, as somebody pastes them.
func TestTheExamplesOfTheManualWork(t *testing.T) {
	w := newWorld(t)
	text, err := os.ReadFile("../../docs/admin/api.md")
	w.must(err)
	examples := example.FindAllSubmatch(text, -1)
	if len(examples) < 8 {
		t.Fatalf("%d examples were found", len(examples))
	}
	for _, m := range examples {
		c := exec.CommandContext(t.Context(), "sh", "-euc", string(m[1]))
		c.Env = append(os.Environ(), "CONSOLE="+w.url, "TOKEN="+bearer("super", sallyport.TokenWrites))
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", m[1], err, out)
		}
	}
}
