// Package config finds the value of every setting: a flag on the command line, else a SALLYPORT_*
// variable, else a line in the YAML file, else the default. The flags are the list of settings; this
// package adds the other two sources and can say where each value came from.
package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// File is the flag that names the YAML file.
const File = "config"

// Source says where a value came from.
type Source string

const (
	FromFlag     Source = "flag"
	FromVariable Source = "variable"
	FromFile     Source = "file"
	FromDefault  Source = "default"
)

// Setting is one setting with its value and source.
type Setting struct {
	Name   string
	Value  string
	Source Source
}

// Variable is the environment variable of a flag: "radius-listen" is SALLYPORT_RADIUS_LISTEN.
func Variable(flag string) string {
	return "SALLYPORT_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Apply fills the flags that were not given from variables and from the file named by --config. A key
// in the file that is no setting is an error, since it is a spelling mistake more often than not; those
// of the flag sets in others, which share the file, are passed over.
func Apply(flags *pflag.FlagSet, lookup func(string) (string, bool), others ...*pflag.FlagSet) ([]Setting, error) {
	file, err := read(flags, lookup)
	if err != nil {
		return nil, err
	}
	var out []Setting
	var problems []error
	flags.VisitAll(func(f *pflag.Flag) {
		source := FromDefault
		switch value, ok := lookup(Variable(f.Name)); {
		case f.Changed:
			source = FromFlag
		case ok:
			source = FromVariable
			problems = append(problems, set(flags, f, []string{value}, "variable "+Variable(f.Name)))
		case file[f.Name] != nil:
			source = FromFile
			problems = append(problems, set(flags, f, file[f.Name], "file, key "+f.Name))
		}
		delete(file, f.Name)
		if f.Name != "help" {
			out = append(out, Setting{f.Name, shown(f), source})
		}
	})
	for name := range file {
		if slices.ContainsFunc(others, func(o *pflag.FlagSet) bool { return o.Lookup(name) != nil }) {
			continue
		}
		problems = append(problems, fmt.Errorf("file: %q is not a setting of this command", name))
	}
	slices.SortFunc(out, func(a, b Setting) int { return strings.Compare(a.Name, b.Name) })
	return out, errors.Join(problems...)
}

// shown hides what may be secret: settings hold names of files with secrets, and addresses that may
// carry a password.
func shown(f *pflag.Flag) string {
	v := f.Value.String()
	if i := strings.LastIndex(v, "@"); i >= 0 && strings.Contains(v, "://") {
		return v[:strings.Index(v, "://")+3] + "[redacted]" + v[i:]
	}
	return v
}

func set(flags *pflag.FlagSet, f *pflag.Flag, values []string, where string) error {
	for _, v := range values {
		if err := flags.Set(f.Name, v); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	return nil
}

func read(flags *pflag.FlagSet, lookup func(string) (string, bool)) (map[string][]string, error) {
	f := flags.Lookup(File)
	if f == nil {
		return nil, nil
	}
	name := f.Value.String()
	if v, ok := lookup(Variable(File)); ok && !f.Changed {
		name = v
	}
	if name == "" {
		return nil, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return parse(text)
}

// maxFile bounds a configuration file, in octets.
const maxFile = 1 << 20

// parse reads settings: scalars, and lists for flags that may be given more than once.
func parse(text []byte) (map[string][]string, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("read configuration: more than %d octets", maxFile)
	}
	var raw map[string]yaml.Node
	if err := yaml.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	out := make(map[string][]string, len(raw))
	for name, node := range raw {
		switch node.Kind {
		case yaml.ScalarNode:
			out[name] = []string{node.Value}
		case yaml.SequenceNode:
			for _, item := range node.Content {
				if item.Kind != yaml.ScalarNode {
					return nil, fmt.Errorf("read configuration: line %d: a list may hold plain values only", item.Line)
				}
				out[name] = append(out[name], item.Value)
			}
		default:
			return nil, fmt.Errorf("read configuration: line %d: %q has to be a value or a list of values", node.Line, name)
		}
	}
	return out, nil
}
