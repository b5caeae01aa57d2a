package login

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/cloud/edge"
)

// maxBody bounds every request of a browser, in octets.
const maxBody = 16 << 10

type beginAnswer struct {
	LoginID     sallyport.LoginID `json:"loginId"`
	ExpiresInMS int64             `json:"expiresInMs"`
	Keys        keyAnswer         `json:"keys"`
}

type keyAnswer struct {
	Statement octets `json:"statement"`
	Signature octets `json:"signature"`
}

// begin gives out a login id and the keys to seal to. It stores nothing.
func (s *Service) begin(c echo.Context) error {
	answer, err := s.newLogin(c)
	s.metrics.begun.WithLabelValues(result(err)).Inc()
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, answer)
}

func (s *Service) newLogin(c echo.Context) (*beginAnswer, error) {
	if !s.address.Allow("begin " + edge.Network(s.cfg.Proxies.Caller(c.Request()))) {
		return nil, errLimited()
	}
	var body struct {
		AccessToken string `json:"accessToken"`
	}
	if err := edge.ReadJSON(c, maxBody, &body); err != nil {
		return nil, err
	}
	token, err := parseAccessToken(body.AccessToken)
	if err != nil {
		return nil, errInvalid("The page's login settings are not right: the access token cannot be read.", err)
	}
	return s.give(c.Request().Context(), token.Tenant)
}

// give gives out a login of tenant.
func (s *Service) give(ctx context.Context, tenant sallyport.TenantID) (*beginAnswer, error) {
	if err := s.admit(ctx, tenant); err != nil {
		return nil, err
	}
	keys, err := s.cfg.Appliances.Statement(ctx, tenant)
	if err != nil {
		return nil, err
	}
	s.cfg.Log.DebugContext(ctx, "login begun", "step", 2, "enterprise", tenant)
	return &beginAnswer{
		LoginID: s.keys.newID(tenant, s.cfg.Now()), ExpiresInMS: lifetime.Milliseconds(),
		Keys: keyAnswer{keys.GetStatement(), keys.GetSignature()},
	}, nil
}

// admit lets a request of an enterprise in: one that there is, within its limit.
func (s *Service) admit(ctx context.Context, tenant sallyport.TenantID) error {
	known, err := s.cfg.Enterprises.Exists(ctx, tenant)
	switch {
	case err != nil:
		return errUnavailable(err)
	case !known:
		return errEnterprise()
	case !s.enterprise.Allow("begin " + string(tenant)):
		return errLimited()
	}
	return nil
}

// checkID says whether a login id may (still) be used.
func (s *Service) checkID(id string, tenant sallyport.TenantID) (issued time.Time, err error) {
	issued, ok := s.keys.openID(id, tenant)
	if !ok {
		return issued, sallyport.Errorf(sallyport.CodeNotFound, "There is no such login. Please begin again.", nil)
	}
	return issued, nil
}

func result(err error) string {
	if err == nil {
		return "ok"
	}
	return string(sallyport.ErrorCode(err))
}
