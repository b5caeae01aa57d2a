package adminapi

import (
	"net/http"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func otpTokenHandlers() map[string]handler {
	return map[string]handler{
		"searchOTPTokens": (*call).searchOTPTokens, "getOTPToken": (*call).getOTPToken, "listUserOTPTokens": (*call).listUserOTPTokens,
		"unassignOTPToken": (*call).unassignOTPToken, "disableOTPToken": (*call).disableOTPToken, "deleteOTPToken": (*call).deleteOTPToken,
		"getPIN": (*call).getPIN, "deletePIN": (*call).deletePIN,
	}
}

// otpToken is one without its seed, and without where it is in its sequence.
type otpToken struct {
	ID        sallyport.OTPTokenID    `json:"id"`
	Serial    string                  `json:"serial"`
	Maker     string                  `json:"maker"`
	Kind      sallyport.OTPKind       `json:"kind"`
	Algorithm sallyport.OTPAlgorithm  `json:"algorithm"`
	Digits    int                     `json:"digits"`
	Period    int                     `json:"periodSeconds,omitempty"`
	State     sallyport.OTPTokenState `json:"state"`
	Account   sallyport.AccountName   `json:"account,omitempty"`
	Imported  *time.Time              `json:"imported,omitempty"`
	Assigned  *time.Time              `json:"assigned,omitempty"`
	Used      *time.Time              `json:"used,omitempty"`
	Version   int64                   `json:"version"`
}

func showOTPToken(k sallyport.OTPToken) otpToken {
	return otpToken{ID: k.ID, Serial: k.Serial, Maker: k.Maker, Kind: k.Kind, Algorithm: k.Algorithm, Digits: k.Digits, Period: int(k.Period / time.Second),
		State: k.State, Account: k.Account, Imported: stamp(k.Imported), Assigned: stamp(k.Assigned), Used: stamp(k.Used), Version: k.Version}
}

func (c *call) searchOTPTokens() error {
	found, err := c.admin().OTPTokens(c.ctx(), c.actor, store.OTPTokenQuery{Text: c.text("q"), Serial: c.text("serial"), State: sallyport.OTPTokenState(c.text("state")),
		Kind: sallyport.OTPKind(c.text("kind")), Assigned: c.truth("assigned"), After: c.text("cursor"), Most: c.most()})
	if err != nil {
		return err
	}
	p := pageOf(found.Tokens, found.Next, showOTPToken)
	p.Total = &found.Total
	return c.answer(p)
}

func (c *call) otpToken() sallyport.OTPTokenID { return sallyport.OTPTokenID(c.text("token")) }

// changedToken sends a token as it is after a change.
func (c *call) changedToken(k sallyport.OTPToken, err error) error {
	if err != nil {
		return err
	}
	return c.versioned(http.StatusOK, k.Version, showOTPToken(k))
}

func (c *call) getOTPToken() error {
	return c.changedToken(c.admin().OTPToken(c.ctx(), c.actor, c.otpToken()))
}

func (c *call) listUserOTPTokens() error {
	list, err := c.admin().UserOTPTokens(c.ctx(), c.actor, c.user())
	if err != nil {
		return err
	}
	return part(c, list, func(k sallyport.OTPToken) string { return byName(k.Serial, string(k.ID)) }, showOTPToken)
}

func (c *call) unassignOTPToken() error {
	return c.changedToken(c.admin().UnassignOTPToken(c.ctx(), c.actor, c.otpToken(), c.version))
}

func (c *call) disableOTPToken() error {
	return c.changedToken(c.admin().DisableOTPToken(c.ctx(), c.actor, c.otpToken(), c.version))
}

func (c *call) deleteOTPToken() error {
	return c.empty(c.admin().DeleteOTPToken(c.ctx(), c.actor, c.otpToken(), c.version))
}

// pin says that there is a PIN, and never what it is.
type pin struct {
	Set bool       `json:"set"`
	At  *time.Time `json:"at,omitempty"`
	By  string     `json:"by,omitempty"`
}

func (c *call) getPIN() error {
	p, err := c.admin().OTPPIN(c.ctx(), c.actor, c.user())
	if err != nil {
		return err
	}
	if p == nil {
		return c.answer(pin{})
	}
	return c.answer(pin{Set: true, At: stamp(p.Set), By: p.By})
}

func (c *call) deletePIN() error {
	return c.empty(c.admin().DeleteOTPPIN(c.ctx(), c.actor, c.user()))
}
