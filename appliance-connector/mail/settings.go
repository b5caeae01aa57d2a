package mail

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sallyport/sallyport"
)

// Sections of the store with the settings, and with the password.
const (
	Section         = "mail"
	PasswordSection = "mail-password"
)

// Settings are how the enterprise's appliances send mail; without a host they do not.
type Settings struct {
	Host      string   `json:"host"`
	Port      int      `json:"port"`
	Security  Security `json:"security"`
	User      string   `json:"user"`
	From      string   `json:"from"`
	Authority string   `json:"authority,omitempty"`
	// TellUsers has users told when one of their authenticators comes or goes; on unless switched off.
	TellUsers bool `json:"tellUsers"`
	// Version is that of what was read; it goes back with what is saved.
	Version int64 `json:"-"`
}

// Plain is the part of the store that holds settings which are not secret.
type Plain interface {
	Section(ctx context.Context, name string) ([]byte, int64, error)
}

// Sections is the part of the store that holds settings.
type Sections interface {
	Plain
	SealedSection(ctx context.Context, name string) (sallyport.Secret, int64, error)
}

// ReadSettings returns the settings; never set, they are those of the usual way with no host.
func ReadSettings(ctx context.Context, s Plain) (Settings, error) {
	v := Settings{Port: 587, Security: StartTLS, TellUsers: true}
	text, version, err := s.Section(ctx, Section)
	if err != nil || version == 0 {
		return v, err
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return v, fmt.Errorf("read mail settings: %w", err)
	}
	v.Version = version
	return v, nil
}

// ReadServer returns the server of the settings, its password included; ok is false when there is none.
func ReadServer(ctx context.Context, s Sections) (server Server, ok bool, err error) {
	v, err := ReadSettings(ctx, s)
	if err != nil || v.Host == "" {
		return Server{}, false, err
	}
	server = v.Server()
	if server.User != "" {
		server.Password, _, err = s.SealedSection(ctx, PasswordSection)
	}
	return server, err == nil, err
}

// Server is the server of the settings, without the password.
func (v Settings) Server() Server {
	return Server{Host: v.Host, Port: v.Port, Security: v.Security, User: v.User, From: v.From, Authority: v.Authority}
}
