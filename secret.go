package sallyport

import "log/slog"

// Secret is a text that must not be shown: a password, a passcode, a shared secret, a
// provisioning code. It prints, logs and marshals as [redacted]; string(s) shows it.
type Secret string

const redacted = "[redacted]"

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Key is secret key material. It prints, logs and marshals as [redacted].
type Key []byte

func (Key) String() string               { return redacted }
func (Key) GoString() string             { return redacted }
func (Key) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }
