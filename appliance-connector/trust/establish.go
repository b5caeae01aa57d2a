package trust

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/internal/pki"
)

// Request is what a person enters to establish trust.
type Request struct {
	Dir      string // the appliance's data directory
	CloudURL string
	Tenant   sallyport.TenantID
	Code     sallyport.Secret // the provisioning code
	Name     string           // what the appliance is called in lists
	Client   *http.Client
}

// maxAnswer bounds what the cloud may answer, in octets.
const maxAnswer = 64 << 10

type provisionRequest struct {
	EnterpriseID  string `json:"enterpriseId"`
	Code          string `json:"code"`
	CSR           string `json:"csr"`
	ApplianceName string `json:"applianceName"`
}

type provisionAnswer struct {
	ApplianceID    string   `json:"applianceId"`
	EnterpriseName string   `json:"enterpriseName"`
	Chain          []string `json:"chain"`
	CA             string   `json:"ca"`
	TunnelAddress  string   `json:"tunnelAddress"`
	TokenService   string   `json:"tokensvcAddress"`
	// Further is true when other appliances have the enterprise's keys: they come by joining.
	Further bool `json:"further"`
}

// Establish uses the provisioning code and writes what comes of it to the data directory. further
// says that the enterprise's keys are on other appliances already. Trust that is there is left alone.
func Establish(ctx context.Context, r Request) (t *Trust, further bool, err error) {
	if _, err := os.Stat(filepath.Join(r.Dir, trustFile)); err == nil {
		return nil, false, sallyport.Errorf(sallyport.CodeConflict,
			"This appliance has trust with the cloud already. Use another data directory, or remove "+r.Dir+" if it is to begin anew.", nil)
	}
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("make data directory: %w", err)
	}
	key, err := ensureKey(r.Dir)
	if err != nil {
		return nil, false, err
	}
	csr, err := pki.CSR(key)
	if err != nil {
		return nil, false, err
	}
	a, err := provision(ctx, r, csr)
	if err != nil {
		return nil, false, err
	}
	t = &Trust{
		Tenant: r.Tenant, EnterpriseName: a.EnterpriseName, Appliance: sallyport.ApplianceID(a.ApplianceID), Name: r.Name,
		CloudURL: r.CloudURL, TunnelAddress: a.TunnelAddress, TokenService: a.TokenService, dir: r.Dir, key: key,
	}
	return t, a.Further, t.keep(a)
}

func (t *Trust) keep(a provisionAnswer) error {
	var chain [][]byte
	for _, c := range a.Chain {
		der, err := base64.RawURLEncoding.DecodeString(c)
		if err != nil {
			return fmt.Errorf("read certificate from the cloud: %w", err)
		}
		chain = append(chain, der)
	}
	if err := keyring.WriteFile(filepath.Join(t.dir, rootsFile), []byte(a.CA)); err != nil {
		return fmt.Errorf("keep the cloud's authority: %w", err)
	}
	if err := t.install(chain); err != nil {
		return err
	}
	text, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return fmt.Errorf("encode trust: %w", err)
	}
	if err := keyring.WriteFile(filepath.Join(t.dir, trustFile), append(text, '\n')); err != nil {
		return fmt.Errorf("keep trust: %w", err)
	}
	loaded, err := Load(t.dir)
	if err != nil {
		return err
	}
	t.roots = loaded.roots
	return nil
}

func provision(ctx context.Context, r Request, csr []byte) (a provisionAnswer, err error) {
	body, err := json.Marshal(provisionRequest{
		EnterpriseID: string(r.Tenant), Code: string(sallyport.CanonicalCode(r.Code)),
		CSR: base64.RawURLEncoding.EncodeToString(csr), ApplianceName: r.Name,
	})
	if err != nil {
		return a, fmt.Errorf("encode request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(r.CloudURL, "/")+"/v1/provision", bytes.NewReader(body))
	if err != nil {
		return a, sallyport.Errorf(sallyport.CodeInvalid, "The cloud's address is not a valid https:// address.", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.Client.Do(req)
	if err != nil {
		return a, sallyport.Errorf(sallyport.CodeUnavailable, "The cloud cannot be reached at "+r.CloudURL+
			". Check the address, the proxy and the firewall; the provisioning code was not used.", err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return a, sallyport.Errorf(sallyport.CodeUnavailable, "The cloud's answer broke off. Ask for a new provisioning code if this one is refused now.", err)
	}
	if resp.StatusCode != http.StatusOK {
		return a, refusal(resp.StatusCode, text)
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, sallyport.Errorf(sallyport.CodeUnsupported, "The address answered, but not as the Sallyport cloud does. Check it.", err)
	}
	return a, nil
}

func refusal(status int, text []byte) error {
	var e struct {
		Code        sallyport.Code `json:"code"`
		Message     string         `json:"message"`
		SupportCode string         `json:"supportCode"`
	}
	if json.Unmarshal(text, &e) != nil || e.Message == "" {
		return sallyport.Errorf(sallyport.CodeUnsupported, fmt.Sprintf("The address answered %d, not as the Sallyport cloud does. Check it.", status), nil)
	}
	return &sallyport.Error{Code: e.Code, Message: e.Message, SupportCode: e.SupportCode}
}
