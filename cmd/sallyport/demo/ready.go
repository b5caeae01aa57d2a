package demo

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Ready is what other programs need to drive the demo; the ready file holds it as JSON.
type Ready struct {
	GatewayURL      string `json:"gateway_url"`
	ModernURL       string `json:"gateway_modern_url"`
	LegacyURL       string `json:"gateway_legacy_url"` // without the overlay: the whole login in RADIUS
	PhoneURL        string `json:"phone_url"`
	ConsoleURL      string `json:"console_url"` // https, with the appliance's own certificate
	ConsoleUser     string `json:"console_user"`
	ConsolePassword string `json:"console_password"`
	// ConsoleTOTPSecret is of the console user's code generator: base32, for 'oathtool --totp -b'.
	ConsoleTOTPSecret string `json:"console_totp_secret"`
	CloudURL          string `json:"cloud_url"`
	TokensvcURL       string `json:"tokensvc_url"`
	RADIUSAddr        string `json:"radius_addr"`
	RADIUSSecret      string `json:"radius_secret"`
	LDAPURL           string `json:"ldap_url"`
	EnterpriseID      string `json:"enterprise_id"`
	// DeviceStore is the folder of a command-line device of the enrolled user, for
	// 'sallyport authenticator --store'.
	DeviceStore string `json:"device_store"`
	Users       []User `json:"users"`
}

// User is somebody to try.
type User struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Enrolled bool   `json:"enrolled"`
	// Disabled accounts have the right password and are refused.
	Disabled bool `json:"disabled"`
}

// write replaces the file as a whole: who sees it, sees all of it.
func (r Ready) write(name string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode ready file: %w", err)
	}
	tmp := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".tmp")
	if err := os.WriteFile(tmp, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write ready file: %w", err)
	}
	if err := os.Rename(tmp, name); err != nil {
		return fmt.Errorf("write ready file: %w", err)
	}
	return nil
}
