package adminapi

import (
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

func factorHandlers() map[string]handler {
	return map[string]handler{
		"listAdministratorFactors": (*call).listAdministratorFactors, "removeAdministratorFactor": (*call).removeAdministratorFactor,
		"listOwnFactors": (*call).listOwnFactors, "removeOwnFactor": (*call).removeOwnFactor,
	}
}

// factor is a second factor of an administrator.
type factor struct {
	ID      string     `json:"id"`
	Kind    string     `json:"kind"` // "passkey" or "totp"
	Name    string     `json:"name,omitempty"`
	Host    string     `json:"host,omitempty"`
	Created *time.Time `json:"created,omitempty"`
	Used    *time.Time `json:"used,omitempty"`
}

type factors struct {
	Factors       []factor `json:"factors"`
	RecoveryCodes int      `json:"recoveryCodes"`
}

func showFactors(f admin.Factors) factors {
	out := factors{Factors: []factor{}, RecoveryCodes: f.Recovery}
	for _, k := range f.Passkeys {
		out.Factors = append(out.Factors, factor{k.ID, "passkey", k.Name, k.Host, stamp(orNever(k.Created)), stamp(orNever(k.Used))})
	}
	if f.TOTP {
		out.Factors = append(out.Factors, factor{ID: admin.FactorTOTP, Kind: "totp"})
	}
	return out
}

func (c *call) administrator() sallyport.AdministratorID {
	return sallyport.AdministratorID(c.text("administrator"))
}

func (c *call) listAdministratorFactors() error {
	f, err := c.admin().AdministratorFactors(c.ctx(), c.actor, c.administrator())
	if err != nil {
		return err
	}
	return c.answer(showFactors(f))
}

func (c *call) removeAdministratorFactor() error {
	return c.empty(c.admin().RemoveFactor(c.ctx(), c.actor, c.administrator(), c.text("factor")))
}

func (c *call) listOwnFactors() error {
	f, err := c.admin().OwnFactors(c.ctx(), c.actor)
	if err != nil {
		return err
	}
	return c.answer(showFactors(f))
}

func (c *call) removeOwnFactor() error {
	return c.empty(c.admin().RemoveOwnFactor(c.ctx(), c.actor, c.text("factor")))
}
