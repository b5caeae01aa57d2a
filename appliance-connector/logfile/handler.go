package logfile

import (
	"context"
	"log/slog"
)

// asLoud is a handler that takes what another one takes.
type asLoud struct {
	slog.Handler
	like slog.Handler
}

// Enabled is as the other handler has it.
func (h asLoud) Enabled(ctx context.Context, l slog.Level) bool { return h.like.Enabled(ctx, l) }

// WithAttrs keeps the other handler.
func (h asLoud) WithAttrs(attrs []slog.Attr) slog.Handler {
	return asLoud{h.Handler.WithAttrs(attrs), h.like}
}

// WithGroup keeps the other handler.
func (h asLoud) WithGroup(name string) slog.Handler { return asLoud{h.Handler.WithGroup(name), h.like} }
