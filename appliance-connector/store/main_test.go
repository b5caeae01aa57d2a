package store_test

import (
	"fmt"
	"os"
	"testing"
)

// TestMain ends the PostgreSQL server that the tests share. As a child (see sqlite_process_test.go)
// the program is another process with the same database.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child(os.Args[1:]))
	}
	code := m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
		code = 1
	}
	os.Exit(code)
}
