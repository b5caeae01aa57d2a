package harness

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestProgramsAreBuiltAsTheTestsAre(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	if line := "\nUNWATCHED := " + strings.Join(unwatched[:], " ") + "\n"; !strings.Contains(string(text), line) {
		t.Errorf("the Makefile does not have%s", line)
	}
}
