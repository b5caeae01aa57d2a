package embed

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/web"
)

// gatewayKind is what the access token calls the gateways that this script is for.
const gatewayKind = "f5-big-ip"

// fingerprintLen is a SHA-256 in base64url without padding.
const fingerprintLen = 43

// Script makes the integration script of docs/protocol/browser.md, "The script tag", for the overlay
// of this release. standardTag is pasted before </body> of the standard logon page; modernAddress and
// integrity go into the modern page's "External JavaScript" setting. rootFingerprint is the
// base64url SHA-256 of the enterprise's root public key. language is the page's where the browser asks for none that
// there is; empty: the script's own. Nothing in the result is a secret.
func Script(cloudURL string, integration sallyport.IntegrationID, tenant sallyport.TenantID, rootFingerprint, language string) (standardTag, modernAddress, integrity string, err error) {
	base, err := baseOf(cloudURL)
	if err != nil {
		return "", "", "", err
	}
	if !sallyport.ValidID(string(integration)) || !sallyport.ValidID(string(tenant)) {
		return "", "", "", fmt.Errorf("make integration script: %q or %q is no id", integration, tenant)
	}
	if len(rootFingerprint) != fingerprintLen || !sallyport.ValidID(rootFingerprint) {
		return "", "", "", fmt.Errorf("make integration script: the root key's fingerprint is not %d characters of base64url", fingerprintLen)
	}
	if language != "" && sallyport.LanguageName(language) == "" {
		return "", "", "", fmt.Errorf("make integration script: %q is no language that there is", language)
	}
	token, err := accessToken(integration, tenant)
	if err != nil {
		return "", "", "", err
	}
	attribute, fragment := "", ""
	if language != "" {
		attribute, fragment = fmt.Sprintf(" data-lang=\"%s\"", language), "&l="+language
	}
	overlay := web.Overlay()
	src, integrity := base+address(hashOf(overlay)), integrityOf(overlay)
	standardTag = fmt.Sprintf("<!-- Sallyport F5 integration script -->\n%s\n<script src=\"%s\" integrity=\"%s\" crossorigin=\"anonymous\"\n"+
		"  data-access-token=\"%s\" data-key=\"%s\"%s></script>\n",
		web.Guard, html.EscapeString(src), integrity, base64.StdEncoding.EncodeToString(token), rootFingerprint, attribute)
	modernAddress = src + "#t=" + base64.RawURLEncoding.EncodeToString(token) + "&k=" + rootFingerprint + fragment
	return standardTag, modernAddress, integrity, nil
}

// baseOf checks the cloud's address: https, or http on this machine for a demo.
func baseOf(cloudURL string) (string, error) {
	u, err := url.Parse(cloudURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", fmt.Errorf("make integration script: %q is not the address of a cloud, as https://cloud.example", cloudURL)
	}
	return strings.TrimRight(u.String(), "/"), nil
}

func accessToken(integration sallyport.IntegrationID, tenant sallyport.TenantID) ([]byte, error) {
	type contextData struct {
		AuthAppID      string                  `json:"authAppId"`
		AuthInstanceID sallyport.IntegrationID `json:"authInstanceId"`
	}
	token, err := json.Marshal(struct {
		TenantID    sallyport.TenantID `json:"tenantId"`
		ContextData contextData        `json:"contextData"`
	}{tenant, contextData{gatewayKind, integration}})
	if err != nil {
		return nil, fmt.Errorf("make access token: %w", err)
	}
	return token, nil
}
