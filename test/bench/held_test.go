package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"
)

// TestMain has this program be its own roles, as the command is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "role" {
		if err := run(context.Background(), os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// A small run of what 'make bench' does with 10,000: one appliance, gRPC to a real token service on Redis. All pushes
// are held until their phones answer, others log in meanwhile, and beyond the limit there is a refusal with its line.
func TestHeldLoginsWaitForTheirPhonesAndOthersLogInMeanwhile(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const held = 150
	b := &bench{self: self, quick: true, out: io.Discard}
	got, err := b.hold(t.Context(), held, 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.ends) != held+spare {
		t.Errorf("%d of %d were let in", len(got.ends), held+spare)
	}
}
