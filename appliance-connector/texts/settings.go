package texts

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sallyport/sallyport"
)

// Sections of the store with the settings, and with the gateway's secret.
const (
	Section       = "sms"
	SecretSection = "sms-secret"
)

// Kind is a kind of gateway.
type Kind string

const (
	// Operator is the gateway that the token service's operator has, if any.
	Operator Kind = ""
	Twilio   Kind = "twilio"
	SMPP     Kind = "smpp"
	Webhook  Kind = "webhook"
)

// Settings are how the enterprise's text messages are sent.
type Settings struct {
	Kind Kind `json:"kind"`
	// URL is the address of a Twilio-compatible interface or of a webhook (https://…), or smpp://host:port, or
	// smpps://host:port with TLS.
	URL string `json:"url,omitempty"`
	// User is the account's SID (Twilio; SID:key SID for an API key) or the system id (SMPP).
	User string `json:"user,omitempty"`
	// From is the sender: a number, a short code, a name, or the SID of a messaging service.
	From       string `json:"from,omitempty"`
	SystemType string `json:"systemType,omitempty"`
	// Authority holds certificates in PEM that may sign the gateway's own; empty: the system's.
	Authority string `json:"authority,omitempty"`
	// Region is the country (ISO 3166-1, two letters) of numbers that are typed without one; empty: every number
	// is typed with its country.
	Region string `json:"region,omitempty"`
	// Version is that of what was read; it goes back with what is saved.
	Version int64 `json:"-"`
}

// SameGateway reports whether a secret for one is one for the other.
func (v Settings) SameGateway(other Settings) bool {
	return v.Kind == other.Kind && v.URL == other.URL && v.User == other.User && v.Authority == other.Authority
}

// Sections is the part of the store that holds settings.
type Sections interface {
	Section(ctx context.Context, name string) ([]byte, int64, error)
	SealedSection(ctx context.Context, name string) (sallyport.Secret, int64, error)
}

// ReadSettings returns the settings; never set, they are those of the operator's gateway.
func ReadSettings(ctx context.Context, s Sections) (v Settings, err error) {
	text, version, err := s.Section(ctx, Section)
	if err != nil || version == 0 {
		return v, err
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return v, fmt.Errorf("read SMS settings: %w", err)
	}
	v.Version = version
	return v, nil
}

// Gateway is the enterprise's own with its secret; nil for the operator's.
type Gateway struct {
	Settings
	Secret sallyport.Secret
}

// ReadGateway returns the gateway of the settings.
func ReadGateway(ctx context.Context, s Sections) (*Gateway, error) {
	v, err := ReadSettings(ctx, s)
	if err != nil || v.Kind == Operator {
		return nil, err
	}
	g := &Gateway{Settings: v}
	g.Secret, _, err = s.SealedSection(ctx, SecretSection)
	return g, err
}
