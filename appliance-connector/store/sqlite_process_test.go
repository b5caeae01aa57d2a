package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/store/conformance"
)

// childEnv makes this program claim keys instead of running tests.
const childEnv = "SALLYPORT_STORE_TEST_CHILD"

// child claims the keys 0 … n-1 in the database and prints each that it got: arguments address, n.
func child(args []string) int {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, now := context.Background(), time.Now()
	s, err := store.Open(ctx, args[0], conformance.Master())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for key := range n {
		first, err := s.Claim(ctx, []byte(strconv.Itoa(key)), now.Add(time.Hour), now)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if first {
			fmt.Println(key)
		}
	}
	if err := s.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func childCommand(t *testing.T, address string, n int) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], address, strconv.Itoa(n))
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stderr = os.Stderr
	return cmd
}

// Several processes that open one new file at once agree on who was first with each key.
func TestSQLiteProcessesShareTheFile(t *testing.T) {
	t.Parallel()
	const processes, keys = 3, 300
	address := filepath.Join(t.TempDir(), "shared.db")
	outputs := make(chan string, processes)
	for range processes {
		go func() {
			out, err := childCommand(t, address, keys).Output()
			if err != nil {
				t.Errorf("child: %v", err)
			}
			outputs <- string(out)
		}()
	}
	got := make(map[string]int)
	for range processes {
		for _, key := range strings.Fields(<-outputs) {
			got[key]++
		}
	}
	if len(got) != keys {
		t.Errorf("%d keys were claimed, want %d", len(got), keys)
	}
	for key, n := range got {
		if n != 1 {
			t.Errorf("key %s was claimed %d times", key, n)
		}
	}
}

// A process that is killed while it writes loses nothing that it was told, and leaves a file that
// opens.
func TestSQLiteProcessKilled(t *testing.T) {
	t.Parallel()
	address := filepath.Join(t.TempDir(), "killed.db")
	cmd := childCommand(t, address, 1_000_000)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	const enough = 200
	lines := bufio.NewScanner(stdout)
	for n := 0; n < enough && lines.Scan(); n++ {
		if lines.Text() != strconv.Itoa(n) {
			t.Errorf("line %d is %q", n, lines.Text())
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
	s := conformance.Open(t, address)
	for n := range enough {
		claim(t, s, strconv.Itoa(n), time.Now(), false)
	}
	claim(t, s, "another", time.Now(), true)
}
