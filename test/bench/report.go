package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// row is one line of the table. Nothing in it but names and targets is known beforehand.
type row struct {
	what, ours, peer, ratio, target string
	met                             bool
	info                            bool // without a target: it explains another line
}

func (r row) verdict() string {
	switch {
	case r.info:
		return ""
	case r.met:
		return "met"
	}
	return "**missed**"
}

func (r row) line() string {
	parts := []string{r.what + ":", r.ours}
	if r.peer != "" {
		parts = append(parts, "beside", r.peer)
	}
	if r.ratio != "" {
		parts = append(parts, "= "+r.ratio)
	}
	if !r.info {
		parts = append(parts, "(target "+r.target+")", strings.Trim(r.verdict(), "*"))
	}
	return strings.Join(parts, " ")
}

// report is what a run found.
type report struct {
	machine machine
	begun   time.Time
	took    time.Duration
	rows    []row
}

func (r report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s, in %.0f minutes, by `make bench`.\n\n", r.begun.UTC().Format("2 January 2006, 15:04 UTC"), r.took.Minutes())
	b.WriteString(r.machine.markdown())
	b.WriteString("\n| what | ours | peer, in the same run | ratio | target | |\n|---|---|---|---|---|---|\n")
	for _, l := range r.rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", l.what, l.ours, l.peer, l.ratio, l.target, l.verdict())
	}
	return b.String()
}

// The generated part of the file stands between these; the rest is written by people.
const (
	beginMark = "<!-- begin: written by make bench -->"
	endMark   = "<!-- end: written by make bench -->"
)

// write replaces the generated part of a file.
func (r report) write(name string) error {
	old, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	before, rest, found := strings.Cut(string(old), beginMark)
	_, after, foundEnd := strings.Cut(rest, endMark)
	if !found || !foundEnd {
		return errors.New("read report: " + name + " lacks the marks of the generated part")
	}
	text := before + beginMark + "\n" + r.markdown() + endMark + after
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
