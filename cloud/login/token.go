package login

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"github.com/sallyport/sallyport"
)

// maxAccessToken bounds the access token of the script tag, in characters of base64.
const maxAccessToken = 1024

// accessToken is what the script tag says about the page it stands on. It is no secret and proves
// nothing: it is an address.
type accessToken struct {
	Tenant      sallyport.TenantID
	Kind        string
	Integration sallyport.IntegrationID
}

// parseAccessToken reads the token of docs/protocol/browser.md, "The script tag": base64 in the
// standard or the URL alphabet, padded or not.
func parseAccessToken(s string) (accessToken, error) {
	if s == "" || len(s) > maxAccessToken {
		return accessToken{}, errors.New("access token is empty or too long")
	}
	s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	data, err := base64.RawStdEncoding.Strict().DecodeString(s)
	if err != nil {
		return accessToken{}, errors.New("access token is not base64")
	}
	var t struct {
		TenantID    string `json:"tenantId"`
		ContextData struct {
			AuthAppID      string `json:"authAppId"`
			AuthInstanceID string `json:"authInstanceId"`
		} `json:"contextData"`
	}
	if err := json.Unmarshal(data, &t); err != nil {
		return accessToken{}, errors.New("access token is not JSON")
	}
	c := t.ContextData
	if !sallyport.ValidID(t.TenantID) || !sallyport.ValidID(c.AuthAppID) || !sallyport.ValidID(c.AuthInstanceID) {
		return accessToken{}, errors.New("access token lacks enterprise, kind or integration")
	}
	return accessToken{sallyport.TenantID(t.TenantID), c.AuthAppID, sallyport.IntegrationID(c.AuthInstanceID)}, nil
}
