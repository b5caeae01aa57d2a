package main

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sallyport": main})
}

// TestScripts types what people type. Every script has a token service of its own, which the command
// "tokens" moves, and a home without anything in it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
			setupTokens(e)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"tokens":    tokensCommand,
			"appliance": applianceCommand,
			"hospital":  hospitalCommand,
		},
	})
}
