package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// commandLimit bounds one command.
const commandLimit = 60 * time.Second

// Result is how a command ended.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// Run runs a command of the program to its end.
func (s *Stack) Run(args ...string) (Result, error) { return s.RunWith("", args...) }

// RunWith is Run with something on the standard input.
func (s *Stack) RunWith(stdin string, args ...string) (Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.bin, args...)
	var out, errw bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errw
	err := cmd.Run()
	r := Result{cmd.ProcessState.ExitCode(), out.String(), errw.String()}
	if err != nil {
		return r, fmt.Errorf("run %q: %w\n%s", args, err, r.Stderr)
	}
	return r, nil
}

// ask runs a command and reads the JSON that it prints into v.
func (s *Stack) ask(v any, args ...string) error {
	r, err := s.Run(append(args, "-o", "json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(r.Stdout), v); err != nil {
		return fmt.Errorf("read what %q printed: %w\n%s", args, err, r.Stdout)
	}
	return nil
}
