package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("appliance", pflag.ContinueOnError)
	f.String(File, "", "")
	f.String("redis", "redis://localhost", "")
	f.String("radius-listen", ":1812", "")
	f.StringArray("peer", nil, "")
	f.Int("workers", 4, "")
	return f
}

func none(string) (string, bool) { return "", false }

func TestFlagBeatsVariableBeatsFileBeatsDefault(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sallyport.yaml")
	write(t, file, "radius-listen: :1\npeer: [a, b]\nworkers: 7\nredis: redis://file\n")
	f := flags()
	if err := f.Parse([]string{"--config", file, "--redis", "redis://flag"}); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"SALLYPORT_WORKERS": "9", "SALLYPORT_REDIS": "redis://variable"}
	got, err := Apply(f, func(k string) (string, bool) { v, ok := env[k]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Setting{
		"redis":         {"redis", "redis://flag", FromFlag},
		"workers":       {"workers", "9", FromVariable},
		"radius-listen": {"radius-listen", ":1", FromFile},
		"peer":          {"peer", "[a,b]", FromFile},
		"config":        {"config", file, FromFlag},
	}
	for _, s := range got {
		if w := want[s.Name]; s != w {
			t.Errorf("got %+v, want %+v", s, w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d settings, want %d", len(got), len(want))
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"radius-lisen: :1":             `"radius-lisen" is not a setting`,
		"workers: many":                "key workers",
		"peer: {a: b}":                 "line 1",
		"peer: [[a]]":                  "plain values",
		"\tworkers: 1":                 "read configuration",
		"redis: [a, b":                 "read configuration",
		strings.Repeat("#", maxFile+1): "more than",
	} {
		file := filepath.Join(t.TempDir(), "f.yaml")
		write(t, file, text)
		f := flags()
		if err := f.Parse([]string{"--config", file}); err != nil {
			t.Fatal(err)
		}
		if _, err := Apply(f, none); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: got %v, want it to say %q", text, err, want)
		}
	}
}

func TestPasswordsInAddressesAreNotShown(t *testing.T) {
	f := flags()
	if err := f.Parse([]string{"--redis", "redis://user:hunter2@host:6379/0"}); err != nil {
		t.Fatal(err)
	}
	got, err := Apply(f, none)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range got {
		if strings.Contains(s.Value, "hunter2") {
			t.Errorf("%s shows the password: %s", s.Name, s.Value)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("a: b\nc: [d, e]"))
	f.Add([]byte("a: &x [*x]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if out, err := parse(text); err != nil && out != nil {
			t.Error("values beside an error")
		}
	})
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
