package enterprise

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/cloud/edge"
)

// Door is the address where appliances establish trust: POST /v1/provision.
type Door struct {
	Authority Authority
	Proxies   edge.Proxies
	Log       *slog.Logger
	// Rate bounds requests of one address, right or wrong.
	Rate *edge.Limiter
	// Addresses that the appliance dials, and the roots (PEM) it trusts there.
	TunnelAddress, TokenServiceAddress string
	Roots                              []byte
}

// Guesses are bounded so: an address that was wrong ten times within an hour is refused for the rest
// of that hour, even with the right code. When an enterprise was guessed at ten times in all, from
// wherever, addresses that were wrong once already are refused too. An address that was never wrong
// is always let in, so whoever guesses cannot lock the real holder of a code out; a guesser with
// many addresses gains one guess an address, against 2^100.
const (
	maxWrong    = 10
	wrongWindow = time.Hour
)

const maxBody = 16 << 10

type provisionRequest struct {
	EnterpriseID  sallyport.TenantID `json:"enterpriseId"`
	Code          string             `json:"code"`
	CSR           string             `json:"csr"`
	ApplianceName string             `json:"applianceName"`
}

type provisionAnswer struct {
	ApplianceID     sallyport.ApplianceID `json:"applianceId"`
	EnterpriseName  string                `json:"enterpriseName"`
	Chain           []string              `json:"chain"`
	CA              string                `json:"ca"`
	TunnelAddress   string                `json:"tunnelAddress"`
	TokensvcAddress string                `json:"tokensvcAddress"`
	Further         bool                  `json:"further"`
}

// Routes adds the door to e.
func (d *Door) Routes(e *echo.Echo) { e.POST("/v1/provision", d.provision) }

func (d *Door) provision(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	caller := d.Proxies.Caller(c.Request())
	if !d.Rate.Allow(edge.Network(caller)) {
		return errTooMany()
	}
	var r provisionRequest
	if err := edge.ReadJSON(c, maxBody, &r); err != nil {
		return err
	}
	csr, err := base64.RawURLEncoding.Strict().DecodeString(r.CSR)
	if err != nil {
		return sallyport.Errorf(sallyport.CodeInvalid, "The certificate request is not base64url.", err)
	}
	t, err := d.trust(c.Request().Context(), caller, r, csr)
	if err != nil {
		return err
	}
	d.Log.InfoContext(c.Request().Context(), "appliance trusted", "enterprise", t.Identity.Tenant,
		"appliance", t.Identity.Appliance, "name", r.ApplianceName, "caller", caller.String())
	a := provisionAnswer{
		ApplianceID: t.Identity.Appliance, EnterpriseName: t.Enterprise.Name, CA: string(d.Roots),
		TunnelAddress: d.TunnelAddress, TokensvcAddress: d.TokenServiceAddress, Further: t.Further,
	}
	for _, der := range t.Chain {
		a.Chain = append(a.Chain, base64.RawURLEncoding.EncodeToString(der))
	}
	return c.JSON(http.StatusOK, a)
}

// trust lets a caller try a code.
func (d *Door) trust(ctx context.Context, caller netip.Addr, r provisionRequest, csr []byte) (Trusted, error) {
	network := edge.Network(caller)
	if !sallyport.ValidID(string(r.EnterpriseID)) {
		return Trusted{}, d.refuse(ctx, caller, "", "enterprise id is malformed")
	}
	ok, err := d.mayTry(ctx, network, r.EnterpriseID)
	if err != nil {
		return Trusted{}, unavailable(err)
	}
	if !ok {
		support := sallyport.NewSupportCode()
		d.Log.WarnContext(ctx, "provisioning refused", "reason", "too many wrong codes", "enterprise", r.EnterpriseID,
			"caller", caller.String(), "support_code", support)
		e := errTooMany()
		e.SupportCode = support
		return Trusted{}, e
	}
	t, err := d.Authority.Trust(ctx, r.EnterpriseID, sallyport.Secret(r.Code), csr, r.ApplianceName)
	switch {
	case errors.Is(err, errNoCode), sallyport.ErrorCode(err) == sallyport.CodeNotFound:
		if err := d.countWrong(ctx, network, r.EnterpriseID); err != nil {
			return Trusted{}, unavailable(err)
		}
		return Trusted{}, d.refuse(ctx, caller, r.EnterpriseID, "code wrong, used or expired, or no such enterprise")
	case sallyport.ErrorCode(err) == sallyport.CodeInternal:
		return Trusted{}, unavailable(err)
	}
	return t, err
}

// refuse says the same whatever was wrong; the log says more.
func (d *Door) refuse(ctx context.Context, caller netip.Addr, tenant sallyport.TenantID, why string) error {
	e := sallyport.Errorf(sallyport.CodeDenied,
		"The enterprise id or the provisioning code is not right, or the code was used already or has expired. Ask for a new code.", nil)
	e.SupportCode = sallyport.NewSupportCode()
	d.Log.WarnContext(ctx, "provisioning refused", "reason", why, "enterprise", tenant, "caller", caller.String(), "support_code", e.SupportCode)
	return e
}

func errTooMany() *sallyport.Error {
	return sallyport.Errorf(sallyport.CodeLimited, "There were too many wrong attempts from this address. Try again in an hour.", nil)
}

func unavailable(err error) error {
	return sallyport.Errorf(sallyport.CodeUnavailable, "Trust cannot be established now. Please try again.", err)
}

// The counters are named after what was tried, whether it exists or not: they tell nobody which
// enterprises there are.
func wrongKey(network string) string { return "sp:wrong:" + network }
func wrongAtKey(tenant sallyport.TenantID) string {
	return tenantKey(tenant, "wrong")
}

func (d *Door) mayTry(ctx context.Context, network string, tenant sallyport.TenantID) (bool, error) {
	p := d.Authority.Redis.Pipeline()
	own, all := p.Get(ctx, wrongKey(network)), p.Get(ctx, wrongAtKey(tenant))
	if _, err := p.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return false, err
	}
	ownWrong, _ := own.Int() // absent is none
	allWrong, _ := all.Int()
	return ownWrong < maxWrong && (ownWrong == 0 || allWrong < maxWrong), nil
}

func (d *Door) countWrong(ctx context.Context, network string, tenant sallyport.TenantID) error {
	_, err := d.Authority.Redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range []string{wrongKey(network), wrongAtKey(tenant)} {
			p.SetNX(ctx, key, 0, wrongWindow)
			p.Incr(ctx, key)
		}
		return nil
	})
	return err
}
