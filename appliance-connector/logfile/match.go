package logfile

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
)

// Names of the parts of a line, as the appliance writes them.
const (
	timeKey, levelKey, messageKey = slog.TimeKey, slog.LevelKey, slog.MessageKey
	supportKey                    = "support_code"
	// maxFields bounds what is shown of one line, maxText what is looked for.
	maxFields = 64
	maxText   = 256
	maxDepth  = 3 // of groups
)

// matcher tells which lines are asked for.
type matcher struct {
	level slog.Level
	all   bool
	text  []byte
	code  string
}

func newMatcher(q sallyport.LogQuery) (*matcher, error) {
	m := &matcher{all: q.Level == "", text: bytes.ToLower([]byte(strings.TrimSpace(q.Text))), code: canonical(q.SupportCode)}
	if q.Most < 1 || q.Most > mostLines || len(q.Text) > maxText || len(q.SupportCode) > maxText {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "Ask for 1 to 1000 lines, and look for at most 256 octets.", nil)
	}
	if !m.all && m.level.UnmarshalText([]byte(q.Level)) != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "Levels are debug, info, warn and error.", nil)
	}
	return m, nil
}

func canonical(code string) string { return string(sallyport.CanonicalCode(sallyport.Secret(code))) }

func (m *matcher) match(text []byte) (sallyport.LogEntry, bool) {
	if len(m.text) > 0 && !bytes.Contains(bytes.ToLower(text), m.text) {
		return sallyport.LogEntry{}, false
	}
	e := parse(text)
	var level slog.Level
	if !m.all && (level.UnmarshalText([]byte(e.Level)) != nil || level < m.level) {
		return e.LogEntry, false
	}
	return e.LogEntry, m.code == "" || e.supports(m.code)
}

// parsed is an entry being read.
type parsed struct{ sallyport.LogEntry }

func (e parsed) supports(code string) bool {
	for _, f := range e.Fields {
		if (f.Name == supportKey || strings.HasSuffix(f.Name, "."+supportKey)) && canonical(f.Value) == code {
			return true
		}
	}
	return false
}

// parse reads a line; what is no entry becomes its message.
func parse(text []byte) parsed {
	var e parsed
	if !e.read("", text, maxDepth) || e.Message == "" && e.Level == "" {
		return raw(text)
	}
	return e
}

// read reads an object's members; those of a group get its name before theirs.
func (e *parsed) read(group string, object []byte, deeper int) bool {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return false
	}
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err == nil {
			err = d.Decode(&value)
		}
		key, ok := name.(string)
		if err != nil || !ok {
			return false
		}
		if value[0] == '{' && deeper > 0 && e.read(group+key+".", value, deeper-1) {
			continue
		}
		e.set(group+key, value)
	}
	return true
}

func raw(text []byte) parsed {
	return parsed{sallyport.LogEntry{Message: strings.ToValidUTF8(string(text), "\uFFFD")}}
}

func (e *parsed) set(key string, value json.RawMessage) {
	var s string
	if json.Unmarshal(value, &s) != nil {
		s = string(value)
	}
	switch key {
	case timeKey:
		if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
			e.Time = t.UTC()
		}
	case levelKey:
		e.Level = s
	case messageKey:
		e.Message = s
	default:
		if len(e.Fields) < maxFields {
			e.Fields = append(e.Fields, sallyport.LogField{Name: key, Value: s})
		}
	}
}
