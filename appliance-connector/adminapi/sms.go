package adminapi

import "github.com/sallyport/sallyport/appliance-connector/texts"

func smsHandlers() map[string]handler {
	return map[string]handler{"getTextSettings": (*call).getTextSettings}
}

// textSettings are the gateway for text messages without its secret.
type textSettings struct {
	Kind       texts.Kind `json:"kind"`
	URL        string     `json:"url"`
	User       string     `json:"user"`
	Secret     bool       `json:"secret"` // whether there is one
	From       string     `json:"from"`
	SystemType string     `json:"systemType"`
	Authority  string     `json:"authority"`
	Region     string     `json:"region"`
	Version    int64      `json:"version"`
}

func (c *call) getTextSettings() error {
	v, secret, err := c.admin().TextSettings(c.ctx(), c.actor)
	if err != nil {
		return err
	}
	return c.answer(textSettings{Kind: v.Kind, URL: v.URL, User: v.User, Secret: secret, From: v.From, SystemType: v.SystemType, Authority: v.Authority, Region: v.Region, Version: v.Version})
}
