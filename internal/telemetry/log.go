// Package telemetry is what every process shows to those who run it: structured logs, health probes
// and metrics. It never holds what a login carries.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
)

// NewLogger makes the log of a process. format is "text" or "json"; level one of debug, info, warn, error.
func NewLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: use debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, fmt.Errorf("log format %q: use text or json", format)
}
