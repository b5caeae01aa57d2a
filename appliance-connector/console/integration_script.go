package console

import (
	"net"
	"strings"

	"github.com/sallyport/sallyport"
)

// gatewaySetUp is what a gateway's administrator needs: the steps, with what to paste.
type gatewaySetUp struct {
	Tabs     []Tab
	Secret   *Code // shown once, after it was made
	Warnings []string
	Here     string // where the same stands later; empty: here
	Name     string
	// Appliances are those that answer RADIUS requests, Port where.
	Appliances []string
	Port       string
	Group      bool // attributes depend on groups, so that a policy may use them
	// Legacy: the whole login is in RADIUS, so the page carries no script. Both: it is where the script is not.
	Legacy, Both bool
	Charset      string
	Origins      []string
	Tag          Code
	Address      Code
	Integrity    Code
}

func (r *request) setUp(in sallyport.Integration) (gatewaySetUp, error) {
	ctx, a := r.Request().Context(), r.Actor()
	script, err := r.s.admin.IntegrationScript(ctx, a, in.ID, "")
	if err != nil {
		return gatewaySetUp{}, err
	}
	c, err := r.s.admin.Appliances(ctx, a)
	if err != nil {
		return gatewaySetUp{}, err
	}
	d := gatewaySetUp{Tabs: r.integrationTabs(in.ID, "/script"), Name: in.Nickname, Port: "1812", Group: len(in.Attributes) > 0, Origins: in.Origins,
		Legacy: in.Experience == sallyport.ExperienceLegacy, Both: in.Experience == sallyport.ExperienceBoth, Charset: encodingWords(in.PasswordEncoding),
		Tag:     Code{Label: "Script for logon.inc", Text: strings.TrimSpace(script.StandardTag), Long: true},
		Address: Code{Label: "External JavaScript 1 Address", Text: script.ModernAddress}, Integrity: Code{Label: "External JavaScript 1 Integrity", Text: script.Integrity}}
	for _, x := range c.Appliances {
		if _, port, err := net.SplitHostPort(x.RADIUS); err == nil {
			d.Port = port
		}
		d.Appliances = append(d.Appliances, x.Name)
	}
	return d, nil
}

func (r *request) integrationScript() error {
	in, err := r.readIntegration()
	if err != nil {
		return err
	}
	d, err := r.setUp(in)
	if err != nil {
		return err
	}
	return r.show(Page{Title: in.Nickname, Lead: "What is done at the gateway. Nothing on this page is secret, and it is here whenever you need it again.", Crumbs: integrationCrumbs(), Content: "setup-gateway", Data: d})
}
