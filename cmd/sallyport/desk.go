package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport"
	appliance "github.com/sallyport/sallyport/appliance-connector"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// desk is the appliance's administration for somebody at its terminal.
type desk struct {
	*admin.Service
	actor sallyport.Actor
}

// withDesk opens the appliance's administration for f.
func (p *place) withDesk(c *cobra.Command, f func(context.Context, *desk) error) error {
	return p.with(c, func(ctx context.Context, a *opened) error {
		cfg := appliance.Administration(a.store, a.trust, a.ring)
		cfg.Texts = deskTexts{a}
		s, err := admin.New(cfg)
		if err != nil {
			return err
		}
		return f(ctx, &desk{s, atTerminal()})
	})
}

// task is one command at the desk.
type task struct {
	*desk
	c *cobra.Command
	o *output
}

// atDesk makes c do run at the desk, with the flags that such commands have.
func atDesk(c *cobra.Command, run func(ctx context.Context, t *task, args []string) error) *cobra.Command {
	var o output
	o.flag(c)
	return withOutput(c, &o, run)
}

// withOutput is atDesk for a command that has an output of its own. c.Args has to be set.
func withOutput(c *cobra.Command, o *output, run func(ctx context.Context, t *task, args []string) error) *cobra.Command {
	var p place
	c.RunE = func(c *cobra.Command, args []string) error {
		return p.withDesk(c, func(ctx context.Context, d *desk) error { return run(ctx, &task{d, c, o}, args) })
	}
	p.admin(c)
	args := c.Args
	c.Args = func(c *cobra.Command, list []string) error { return calledWrongly(c, args(c, list)) }
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		return calledWrongly(c, errors.Join(c.ValidateRequiredFlags(), c.ValidateFlagGroups()))
	}
	return c
}

// calledWrongly says err with this program's exit status for it, and where to look.
func calledWrongly(c *cobra.Command, err error) error {
	if err == nil || errors.As(err, new(*usageError)) {
		return err
	}
	return &usageError{fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())}
}

// asking gives a command that does harm the flag --yes; the command asks by sure.
func asking(c *cobra.Command) *cobra.Command {
	c.Flags().Bool("yes", false, "do not ask")
	return c
}

// sure asks before harm is done.
func (t *task) sure(question string) (bool, error) {
	yes, err := t.c.Flags().GetBool("yes")
	if err != nil {
		return false, err
	}
	return confirm(t.c, yes, printable(question))
}

// versioned gives a command that changes something the flag --if-version; the command takes it by seen.
func versioned(c *cobra.Command) *cobra.Command {
	c.Flags().Int64("if-version", 0, "change it only if it still has this version, as shown before (default: the one it has now)")
	_ = c.RegisterFlagCompletionFunc("if-version", cobra.NoFileCompletions)
	return c
}

// seen is the version that a change starts from: the one the person saw, else the one there is.
func (t *task) seen(now int64) int64 {
	if v, err := t.c.Flags().GetInt64("if-version"); err == nil && t.given("if-version") {
		return v
	}
	return now
}

// given reports whether a flag was given: an edit changes what was.
func (t *task) given(flag string) bool { return t.c.Flags().Changed(flag) }

// somethingGiven refuses an edit that would change nothing.
func (t *task) somethingGiven() error {
	some := false
	t.c.Flags().Visit(func(f *pflag.Flag) {
		some = some || !slices.Contains([]string{"config", "data", "store", "output", "yes", "if-version"}, f.Name)
	})
	if some {
		return nil
	}
	return &usageError{fmt.Errorf("say what to change; see '%s --help'", t.c.CommandPath())}
}

// set puts what a flag holds where it belongs, if the flag was given.
func set[T any](t *task, flag string, where *T, value T) {
	if t.given(flag) {
		*where = value
	}
}

// show prints v for programs, or what text writes for people.
func (t *task) show(v any, text func(io.Writer)) error { return t.o.print(t.c.OutOrStdout(), v, text) }

// done says what was done: words for people, v for programs.
func (t *task) done(v any, format string, args ...any) error {
	return t.show(v, func(w io.Writer) { _, _ = fmt.Fprintln(w, printable(fmt.Sprintf(format, args...))) })
}

// facts prints what is known of one thing, the rows with a value.
func (t *task) facts(v any, rows ...[2]string) error {
	return t.show(v, func(w io.Writer) { writeFacts(w, rows...) })
}

func writeFacts(w io.Writer, rows ...[2]string) {
	for _, row := range rows {
		if row[1] != "" {
			_, _ = fmt.Fprintf(w, "%s:\t%s\n", row[0], printable(row[1]))
		}
	}
}

// lookUp returns the thing of a list that a word means: one of whose names, the id first, compared without case,
// it is. all is the command that shows them.
func lookUp[T any](list []T, what, all, word string, names func(T) []string) (found T, err error) {
	n := 0
	for _, v := range list {
		called := names(v)
		if called[0] == word {
			return v, nil
		}
		if slices.ContainsFunc(called, func(name string) bool { return strings.EqualFold(name, word) }) {
			found = v
			n++
		}
	}
	switch n {
	case 0:
		err = sallyport.Errorf(sallyport.CodeNotFound, fmt.Sprintf("There is no %s %q. '%s' shows them.", what, word, all), nil)
	case 1:
		return found, nil
	default:
		err = sallyport.Errorf(sallyport.CodeConflict, fmt.Sprintf("%q is more than one %s. Use an id: '%s' shows them.", word, what, all), nil)
	}
	var none T
	return none, err
}

// completing offers what f finds of the appliance's things, as far as they can be opened.
func completing(f func(ctx context.Context, d *desk, begun string) ([]cobra.Completion, error)) cobra.CompletionFunc {
	return func(c *cobra.Command, _ []string, begun string) (out []cobra.Completion, _ cobra.ShellCompDirective) {
		if fill(c) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var p place
		p.data, _ = c.Flags().GetString("data")
		p.store, _ = c.Flags().GetString("store")
		_ = p.withDesk(c, func(ctx context.Context, d *desk) (err error) {
			out, err = f(ctx, d, begun)
			return err
		})
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// firstArg completes the first argument only.
func firstArg(f cobra.CompletionFunc) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f(c, args, begun)
	}
}

// values completes one of a few words.
func values[T ~string](words ...T) cobra.CompletionFunc {
	out := make([]cobra.Completion, len(words))
	for i, w := range words {
		out[i] = string(w)
	}
	return cobra.FixedCompletions(out, cobra.ShellCompDirectiveNoFileComp)
}

// completes says how flags of a command are completed.
func completes(c *cobra.Command, f cobra.CompletionFunc, flags ...string) {
	for _, name := range flags {
		_ = c.RegisterFlagCompletionFunc(name, f)
	}
}
