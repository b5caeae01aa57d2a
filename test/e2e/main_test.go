// Package e2e_test holds the whole of Sallyport to what issue and documents promise, on
// real parts: Samba AD, Redis, PostgreSQL, two replicas of each service as processes,
// FreeRADIUS's radclient and Chromium.
package e2e_test

import (
	"os"
	"testing"

	"github.com/sallyport/sallyport/test/stack"
)

// shared serves every test that leaves its processes alone.
var shared stack.Shared

func TestMain(m *testing.M) { os.Exit(shared.Close(m.Run())) }
