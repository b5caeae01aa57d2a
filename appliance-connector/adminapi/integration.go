package adminapi

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/internal/radiusattr"
)

func integrationHandlers() map[string]handler {
	return map[string]handler{
		"listIntegrations": (*call).listIntegrations, "getIntegration": (*call).getIntegration, "addIntegration": (*call).addIntegration,
		"changeIntegration": (*call).changeIntegration, "deleteIntegration": (*call).deleteIntegration, "rotateSecret": (*call).rotateSecret,
		"endOverlap": (*call).endOverlap, "getScript": (*call).getScript, "previewAttributes": (*call).previewAttributes,
		"getIntegrationHealth": (*call).getIntegrationHealth, "listIntegrationHealth": (*call).listIntegrationHealth,
	}
}

// integrationInput is what can be said of a gateway.
type integrationInput struct {
	ID                   sallyport.IntegrationID        `json:"id,omitempty"`
	Kind                 string                         `json:"kind,omitempty"`
	Nickname             string                         `json:"nickname"`
	Note                 string                         `json:"note"`
	Clients              []string                       `json:"clients"`
	Hosts                []string                       `json:"hosts"`
	MessageAuthenticator sallyport.MessageAuthenticator `json:"messageAuthenticator,omitempty"`
	Origins              []string                       `json:"origins"`
	AllowNonLicensed     bool                           `json:"allowNonLicensed"`
	Attributes           []sallyport.GroupAttribute     `json:"attributes"`
	Language             string                         `json:"language"`
	Experience           sallyport.Experience           `json:"experience,omitempty"`
	PasswordEncoding     sallyport.PasswordEncoding     `json:"passwordEncoding,omitempty"`
	PasscodeSeparator    string                         `json:"passcodeSeparator"`
	AskMethod            bool                           `json:"askMethod"`
	TLS                  radiusTLS                      `json:"tls"`
}

// radiusTLS is how a gateway is known that asks over TLS.
type radiusTLS struct {
	Fingerprints []string `json:"fingerprints"`
	Authority    string   `json:"authority"`
	Names        []string `json:"names"`
}

// integration is one as it is shown: its secrets are not in it.
type integration struct {
	integrationInput
	MessageAuthenticatorSeen *time.Time `json:"messageAuthenticatorSeen,omitempty"`
	PreviousUntil            *time.Time `json:"previousSecretUntil,omitempty"`
	Version                  int64      `json:"version"`
}

func showIntegration(i sallyport.Integration) integration {
	return integration{integrationInput: integrationInput{ID: i.ID, Kind: i.Kind, Nickname: i.Nickname, Note: i.Note, Clients: networks(i.Clients), Hosts: orEmpty(i.Hosts),
		MessageAuthenticator: i.MessageAuthenticator, Origins: orEmpty(i.Origins), AllowNonLicensed: i.AllowNonLicensed, Attributes: orEmpty(i.Attributes), Language: i.Language,
		Experience: cmp.Or(i.Experience, sallyport.ExperienceCloud), PasswordEncoding: cmp.Or(i.PasswordEncoding, sallyport.PasswordUTF8), PasscodeSeparator: i.PasscodeSeparator, AskMethod: i.AskMethod,
		TLS: radiusTLS{orEmpty(i.TLS.Fingerprints), i.TLS.Authority, orEmpty(i.TLS.Names)}},
		MessageAuthenticatorSeen: stamp(i.MessageAuthenticatorSeen), PreviousUntil: stamp(i.PreviousUntil), Version: i.Version}
}

func networks(list []netip.Prefix) []string {
	out := []string{}
	for _, p := range list {
		out = append(out, p.String())
	}
	return out
}

func (in integrationInput) integration() (sallyport.Integration, error) {
	i := sallyport.Integration{ID: in.ID, Kind: in.Kind, Nickname: in.Nickname, Note: in.Note, Hosts: in.Hosts,
		MessageAuthenticator: in.MessageAuthenticator, Origins: in.Origins, AllowNonLicensed: in.AllowNonLicensed, Attributes: in.Attributes, Language: in.Language,
		Experience: in.Experience, PasswordEncoding: in.PasswordEncoding, PasscodeSeparator: in.PasscodeSeparator, AskMethod: in.AskMethod,
		TLS: sallyport.RADIUSTLS{Fingerprints: in.TLS.Fingerprints, Authority: in.TLS.Authority, Names: in.TLS.Names}}
	for n, text := range in.Clients {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return i, unfit(fmt.Sprintf("clients.%d", n), "This is no network: write it like 192.0.2.10/32 or 2001:db8::/64.")
		}
		i.Clients = append(i.Clients, p)
	}
	return i, nil
}

// integrationBody is what a program sends; the secret goes in and never comes back.
type integrationBody struct {
	integrationInput
	Secret string `json:"secret"`
}

func (c *call) integrationBody() (sallyport.Integration, error) {
	var in integrationBody
	if err := c.decode(&in); err != nil {
		return sallyport.Integration{}, err
	}
	i, err := in.integration()
	if err != nil {
		return i, err
	}
	i.Secret, i.Version = sallyport.Secret(in.Secret), c.version
	return i, nil
}

// savedIntegration is an integration after a change.
type savedIntegration struct {
	Integration integration `json:"integration"`
	// Secret is the one that was made, shown this once.
	Secret   string   `json:"secret,omitempty"`
	Warnings []string `json:"warnings"`
}

func showSaved(s admin.SavedIntegration) savedIntegration {
	return savedIntegration{showIntegration(s.Integration), string(s.Secret), orEmpty(s.Warnings)}
}

func (c *call) integration() sallyport.IntegrationID {
	return sallyport.IntegrationID(c.text("integration"))
}

func (c *call) listIntegrations() error {
	list, err := c.admin().Integrations(c.ctx(), c.actor)
	if err != nil {
		return err
	}
	return part(c, list, func(i sallyport.Integration) string { return byName(i.Nickname, string(i.ID)) }, showIntegration)
}

func (c *call) getIntegration() error {
	i, err := c.admin().Integration(c.ctx(), c.actor, c.integration())
	if err != nil {
		return err
	}
	return c.versioned(http.StatusOK, i.Version, showIntegration(i))
}

func (c *call) addIntegration() error {
	in, err := c.integrationBody()
	if err != nil {
		return err
	}
	saved, err := c.admin().AddIntegration(c.ctx(), c.actor, in)
	if err != nil {
		return err
	}
	return c.created("/integrations/", string(saved.Integration.ID), saved.Integration.Version, showSaved(saved))
}

func (c *call) changeIntegration() error {
	in, err := c.integrationBody()
	if err != nil {
		return err
	}
	in.ID = c.integration()
	return c.saved(c.admin().SetIntegration(c.ctx(), c.actor, in))
}

func (c *call) saved(s admin.SavedIntegration, err error) error {
	if err != nil {
		return err
	}
	return c.versioned(http.StatusOK, s.Integration.Version, showSaved(s))
}

func (c *call) deleteIntegration() error {
	return c.empty(c.admin().DeleteIntegration(c.ctx(), c.actor, c.integration(), c.version))
}

func (c *call) rotateSecret() error {
	in := struct {
		Secret       string `json:"secret"`
		OverlapHours *int64 `json:"overlapHours"`
	}{}
	if err := c.decode(&in); err != nil {
		return err
	}
	overlap := admin.DefaultOverlap
	if in.OverlapHours != nil {
		overlap = time.Duration(*in.OverlapHours) * time.Hour
	}
	return c.saved(c.admin().RotateIntegrationSecret(c.ctx(), c.actor, c.integration(), c.version, sallyport.Secret(in.Secret), overlap))
}

func (c *call) endOverlap() error {
	return c.saved(c.admin().EndIntegrationOverlap(c.ctx(), c.actor, c.integration(), c.version))
}

func (c *call) getScript() error {
	script, err := c.admin().IntegrationScript(c.ctx(), c.actor, c.integration(), c.text("cloudUrl"))
	if err != nil {
		return err
	}
	return c.answer(script)
}

func (c *call) previewAttributes() error {
	var in struct {
		Attributes []sallyport.GroupAttribute `json:"attributes"`
		Groups     []string                   `json:"groups"`
		Account    sallyport.AccountName      `json:"account"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	list, err := c.admin().PreviewAttributes(c.ctx(), c.actor, sallyport.Integration{Attributes: in.Attributes}, in.Groups, in.Account)
	if err != nil {
		return err
	}
	return c.answer(struct {
		Attributes []radiusattr.Attribute `json:"attributes"`
	}{orEmpty(list)})
}

// gatewayHealth is what one appliance last heard of a gateway.
type gatewayHealth struct {
	Integration sallyport.IntegrationID `json:"integration"`
	Appliance   sallyport.ApplianceID   `json:"appliance"`
	Heard       *time.Time              `json:"heard,omitempty"`
	Accepted    *time.Time              `json:"accepted,omitempty"`
	Error       string                  `json:"error,omitempty"`
	ErrorTime   *time.Time              `json:"errorTime,omitempty"`
	Cure        string                  `json:"cure,omitempty"`
	OldSecret   *time.Time              `json:"oldSecretUsed,omitempty"`
}

// unknownSource is an address that no integration has.
type unknownSource struct {
	Appliance sallyport.ApplianceID `json:"appliance"`
	Source    netip.Addr            `json:"source"`
	First     *time.Time            `json:"first,omitempty"`
	Last      *time.Time            `json:"last,omitempty"`
	Count     int64                 `json:"count"`
}

func (c *call) getIntegrationHealth() error {
	if _, err := c.admin().Integration(c.ctx(), c.actor, c.integration()); err != nil {
		return err
	}
	return c.health(c.integration())
}

func (c *call) listIntegrationHealth() error { return c.health("") }

func (c *call) health(id sallyport.IntegrationID) error {
	h, err := c.admin().IntegrationHealth(c.ctx(), c.actor, id)
	if err != nil {
		return err
	}
	out := struct {
		Appliances []gatewayHealth `json:"appliances"`
		Unknown    []unknownSource `json:"unknown"`
	}{[]gatewayHealth{}, []unknownSource{}}
	for _, a := range h.Appliances {
		out.Appliances = append(out.Appliances, gatewayHealth{a.Integration, a.Appliance, stamp(a.Heard), stamp(a.Accepted), a.Error, stamp(a.ErrorTime), a.Cure, stamp(a.OldSecret)})
	}
	for _, u := range h.Unknown {
		out.Unknown = append(out.Unknown, unknownSource{u.Appliance, u.Source, stamp(u.First), stamp(u.Last), u.Count})
	}
	return c.answer(out)
}
