package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/telemetry"
)

// logging are the settings that every role has.
type logging struct {
	format, level string
}

func (l *logging) flags(c *cobra.Command) {
	configFlag(c)
	c.Flags().StringVar(&l.format, "log-format", "text", "log format: text or json")
	c.Flags().StringVar(&l.level, "log-level", "info", "log level: debug, info, warn or error")
}

// logger fills the settings of a role from flags, variables and file, and opens its log.
func (l *logging) logger(c *cobra.Command) (*slog.Logger, error) {
	if err := fill(c); err != nil {
		return nil, err
	}
	log, err := telemetry.NewLogger(c.ErrOrStderr(), l.format, l.level)
	if err != nil {
		return nil, &usageError{err}
	}
	return log, nil
}

// fill fills the settings of a command from flags, variables and file. The file of a role serves its
// administrative commands as well.
func fill(c *cobra.Command) error {
	var roles []*pflag.FlagSet
	for _, name := range [][]string{{"cloud"}, {"tokensvc"}, {"appliance", "run"}} {
		if role, _, err := c.Root().Find(name); err == nil {
			roles = append(roles, role.Flags())
		}
	}
	if c.Flags().Lookup("log-level") != nil {
		roles = nil // a role: its file is for it alone
	}
	if _, err := config.Apply(c.Flags(), os.LookupEnv, roles...); err != nil {
		return &usageError{err}
	}
	return nil
}

func configFlag(c *cobra.Command) {
	c.Flags().String(config.File, "", "YAML file with settings; keys are the names of the flags")
	_ = c.MarkFlagFilename(config.File, "yaml", "yml")
}

func newConfigCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Look at the configuration"}
	check := &cobra.Command{
		Use:   "check ROLE [FLAGS OF THE ROLE]",
		Short: "Show every setting of a role, its value, and where the value comes from",
		Long: `Shows every setting of a role (cloud, tokensvc, appliance run), its value, and whether it comes from
a flag, a SALLYPORT_* variable, the YAML file or is the default. Fails when a setting is unknown or
malformed. Starts nothing.`,
		Example:            "  sallyport config check cloud --config /etc/sallyport/cloud.yaml",
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "--help" || args[0] == "-h" {
				return c.Help()
			}
			role, rest, err := c.Root().Find(args)
			if err != nil || role == c.Root() || role.Flags().Lookup(config.File) == nil {
				return &usageError{fmt.Errorf("%q is not a role; use cloud, tokensvc or 'appliance run'", args[0])}
			}
			if err := role.ParseFlags(rest); err != nil {
				return &usageError{err}
			}
			settings, err := config.Apply(role.Flags(), os.LookupEnv)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 4, 2, ' ', 0)
			_, _ = fmt.Fprintln(w, "SETTING\tVALUE\tFROM\tVARIABLE")
			for _, s := range settings {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Name, s.Value, s.Source, config.Variable(s.Name))
			}
			return w.Flush()
		},
	}
	c.AddCommand(check)
	return c
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "development build"
}

// output is the choice between a table for people and JSON for programs.
type output struct{ format string }

func (o *output) flag(c *cobra.Command) {
	c.Flags().StringVarP(&o.format, "output", "o", "text", "output: text or json")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

// print writes v as JSON, or lets text write it for people.
func (o *output) print(w io.Writer, v any, text func(io.Writer)) error {
	switch o.format {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(v)
	case "text":
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		text(t)
		return t.Flush()
	}
	return &usageError{fmt.Errorf("output %q: use text or json", o.format)}
}
