package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/export"
)

// integrationLine is an integration as programs see it.
type integrationLine struct {
	ID                       sallyport.IntegrationID        `json:"id"`
	Kind                     string                         `json:"kind"`
	Nickname                 string                         `json:"nickname"`
	Note                     string                         `json:"note,omitempty"`
	Clients                  []netip.Prefix                 `json:"clients"`
	Hosts                    []string                       `json:"hosts"`
	Origins                  []string                       `json:"origins"`
	MessageAuthenticator     sallyport.MessageAuthenticator `json:"messageAuthenticator"`
	MessageAuthenticatorSeen time.Time                      `json:"messageAuthenticatorSeen,omitzero"`
	AllowNonLicensed         bool                           `json:"allowNonLicensed"`
	Language                 string                         `json:"language,omitempty"`
	Experience               sallyport.Experience           `json:"experience"`
	PasswordEncoding         sallyport.PasswordEncoding     `json:"passwordEncoding"`
	PasscodeSeparator        string                         `json:"passcodeSeparator,omitempty"`
	AskMethod                bool                           `json:"askMethod"`
	TLS                      *sallyport.RADIUSTLS           `json:"tls,omitempty"`
	Attributes               []sallyport.GroupAttribute     `json:"attributes"`
	PreviousUntil            time.Time                      `json:"previousSecretUntil,omitzero"`
	Version                  int64                          `json:"version"`
	Secret                   string                         `json:"secret,omitempty"` // one that was just made
}

func lineOf(in sallyport.Integration) integrationLine {
	var secured *sallyport.RADIUSTLS
	if in.TLS.Allowed() {
		secured = &in.TLS
	}
	return integrationLine{
		ID: in.ID, Kind: in.Kind, Nickname: in.Nickname, Note: in.Note, Clients: orEmpty(in.Clients), Hosts: orEmpty(in.Hosts), Origins: orEmpty(in.Origins),
		MessageAuthenticator: in.MessageAuthenticator, MessageAuthenticatorSeen: in.MessageAuthenticatorSeen,
		AllowNonLicensed: in.AllowNonLicensed, Language: in.Language, Attributes: orEmpty(in.Attributes), PreviousUntil: in.PreviousUntil, Version: in.Version,
		Experience: cmp.Or(in.Experience, sallyport.ExperienceCloud), PasswordEncoding: cmp.Or(in.PasswordEncoding, sallyport.PasswordUTF8),
		PasscodeSeparator: in.PasscodeSeparator, AskMethod: in.AskMethod, TLS: secured,
	}
}

// tlsText says by what the gateway is known over TLS.
func (l integrationLine) tlsText() string {
	if l.TLS == nil {
		return ""
	}
	return export.KnownOverTLS(*l.TLS)
}

// orEmpty is a list that programs see as [] and not as null.
func orEmpty[T any](list []T) []T { return append([]T{}, list...) }

// clientsText lists addresses, networks and host names; an address without its length.
func (l integrationLine) clientsText() string {
	var out []string
	for _, p := range l.Clients {
		if p.IsSingleIP() {
			out = append(out, p.Addr().String())
		} else {
			out = append(out, p.String())
		}
	}
	return strings.Join(append(out, l.Hosts...), ", ")
}

func (l integrationLine) demandText() string {
	switch {
	case l.MessageAuthenticator != sallyport.MessageAuthenticatorOnceSeen:
		return string(l.MessageAuthenticator)
	case l.MessageAuthenticatorSeen.IsZero():
		return "once seen (not yet)"
	}
	return "once seen (since " + when(l.MessageAuthenticatorSeen) + ")"
}

func (l integrationLine) oneFieldText() string {
	if l.PasscodeSeparator == "" {
		return ""
	}
	return "password" + l.PasscodeSeparator + "123456"
}

// dateTime is how a time in UTC is written for people.
const dateTime = time.DateTime + "Z"

// when is a time for people, in UTC, as --from and --to are.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(dateTime)
}

func newIntegrationList() *cobra.Command {
	var p place
	var o output
	c := &cobra.Command{
		Use: "list", Short: "List the gateways", Args: cobra.NoArgs,
		Example: `  sallyport integration list --output json`,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withGateways(c, func(ctx context.Context, d *gatewayDesk) error {
				list, err := d.Integrations(ctx, d.actor)
				if err != nil {
					return err
				}
				health, err := d.IntegrationHealth(ctx, d.actor, "")
				if err != nil {
					return err
				}
				lines := make([]integrationLine, 0, len(list))
				for _, in := range list {
					lines = append(lines, lineOf(in))
				}
				return o.print(c.OutOrStdout(), lines, func(w io.Writer) {
					_, _ = fmt.Fprintln(w, "NICKNAME\tRADIUS CLIENTS\tORIGINS\tMESSAGE-AUTHENTICATOR\tLAST ACCEPTED\tID")
					for _, l := range lines {
						_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", l.Nickname, l.clientsText(), strings.Join(l.Origins, ", "), l.demandText(),
							when(latest(health, l.ID).Accepted), l.ID)
					}
					printUnknown(w, health.Unknown)
				})
			})
		},
	}
	p.admin(c)
	o.flag(c)
	return c
}

// latest is what any appliance heard last of a gateway.
func latest(health admin.IntegrationHealth, id sallyport.IntegrationID) (out sallyport.GatewayHealth) {
	for _, h := range health.Appliances {
		if h.Integration == id && h.Accepted.After(out.Accepted) {
			out = h
		}
	}
	return out
}

func printUnknown(w io.Writer, list []sallyport.UnknownSource) {
	for _, u := range list {
		_, _ = fmt.Fprintf(w, "RADIUS requests arrive from %s, which no integration has: %d at %s, the last one %s.\n", u.Source, u.Count, u.Appliance, when(u.Last))
	}
}

func newIntegrationShow() *cobra.Command {
	var p place
	var o output
	c := &cobra.Command{
		Use: "show ID", Short: "Show a gateway, and what was heard of it", Args: cobra.ExactArgs(1), ValidArgsFunction: p.complete,
		Example: `  sallyport integration show "Hospital VPN"`,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withGateways(c, func(ctx context.Context, d *gatewayDesk) error {
				in, err := d.find(ctx, args[0])
				if err != nil {
					return err
				}
				health, err := d.IntegrationHealth(ctx, d.actor, in.ID)
				if err != nil {
					return err
				}
				v := struct {
					integrationLine
					Health []healthLine `json:"health"`
				}{lineOf(in), healthLines(health)}
				return o.print(c.OutOrStdout(), v, func(w io.Writer) {
					printIntegration(w, v.integrationLine)
					printHealth(w, v.Health)
				})
			})
		},
	}
	p.admin(c)
	o.flag(c)
	return c
}

func printIntegration(w io.Writer, l integrationLine) {
	nonLicensed := "refused"
	if l.AllowNonLicensed {
		nonLicensed = "let in on the directory's word alone"
	}
	rows := [][2]string{
		{"Nickname", l.Nickname}, {"Id", string(l.ID)}, {"Kind", l.Kind}, {"Note", l.Note}, {"RADIUS clients", l.clientsText()},
		{"Origins", strings.Join(l.Origins, ", ")}, {"Message-Authenticator", "demanded " + l.demandText()}, {"Users without a licence", nonLicensed}, {"Language", l.Language},
		{"Experience", string(l.Experience)}, {"Names and passwords", string(l.PasswordEncoding)}, {"Password and code in one field", l.oneFieldText()}, {"Known over TLS by", l.tlsText()},
	}
	if l.AskMethod {
		rows = append(rows, [2]string{"Second factor", "users with several choose one first"})
	}
	if !l.PreviousUntil.IsZero() {
		rows = append(rows, [2]string{"Old secret", "taken until " + when(l.PreviousUntil)})
	}
	for _, row := range rows {
		if row[1] != "" {
			_, _ = fmt.Fprintf(w, "%s:\t%s\n", row[0], row[1])
		}
	}
	for n, a := range l.Attributes {
		_, _ = fmt.Fprintf(w, "Attribute %d:\t%s\n", n+1, attributeText(a))
	}
}

// healthLine is what an appliance heard of a gateway, as programs see it.
type healthLine struct {
	Integration sallyport.IntegrationID `json:"integration"`
	Appliance   sallyport.ApplianceID   `json:"appliance"`
	Heard       time.Time               `json:"heard,omitzero"`
	Accepted    time.Time               `json:"accepted,omitzero"`
	Refused     time.Time               `json:"refused,omitzero"`
	Reason      string                  `json:"reason,omitempty"`
	Cure        string                  `json:"cure,omitempty"`
	OldSecret   time.Time               `json:"oldSecretUsed,omitzero"`
}

func healthLines(h admin.IntegrationHealth) []healthLine {
	out := make([]healthLine, 0, len(h.Appliances))
	for _, g := range h.Appliances {
		out = append(out, healthLine{g.Integration, g.Appliance, g.Heard, g.Accepted, g.ErrorTime, g.Error, g.Cure, g.OldSecret})
	}
	return out
}

func printHealth(w io.Writer, lines []healthLine) {
	if len(lines) == 0 {
		_, _ = fmt.Fprintln(w, "Heard:\tnever; check the gateway's RADIUS server, and that UDP 1812 of the appliances can be reached from it")
	}
	for _, h := range lines {
		_, _ = fmt.Fprintf(w, "At %s:\theard %s, accepted %s\n", h.Appliance, when(h.Heard), when(h.Accepted))
		if !h.Refused.IsZero() {
			_, _ = fmt.Fprintf(w, "\tlast refusal %s: %s\n\twhat to do: %s\n", when(h.Refused), h.Reason, h.Cure)
		}
		if !h.OldSecret.IsZero() {
			_, _ = fmt.Fprintf(w, "\told secret last used %s\n", when(h.OldSecret))
		}
	}
}

func newIntegrationHealth() *cobra.Command {
	var p place
	var o output
	c := &cobra.Command{
		Use: "health", Short: "Show what was heard of all gateways, and requests from addresses that no integration has", Args: cobra.NoArgs,
		Long: `Shows what each appliance has heard of the gateways, why it refused something last, and what to do about it; and
the addresses that RADIUS requests came from in the last 24 hours that no integration has.`,
		Example: `  sallyport integration health --output json`,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withGateways(c, func(ctx context.Context, d *gatewayDesk) error {
				list, err := d.Integrations(ctx, d.actor)
				if err != nil {
					return err
				}
				health, err := d.IntegrationHealth(ctx, d.actor, "")
				if err != nil {
					return err
				}
				type source struct {
					Source    netip.Addr            `json:"source"`
					Appliance sallyport.ApplianceID `json:"appliance"`
					Count     int64                 `json:"count"`
					First     time.Time             `json:"first"`
					Last      time.Time             `json:"last"`
				}
				v := struct {
					Health  []healthLine `json:"health"`
					Unknown []source     `json:"unknownSources"`
				}{healthLines(health), []source{}}
				for _, u := range health.Unknown {
					v.Unknown = append(v.Unknown, source{u.Source, u.Appliance, u.Count, u.First, u.Last})
				}
				return o.print(c.OutOrStdout(), v, func(w io.Writer) {
					for _, in := range list {
						_, _ = fmt.Fprintf(w, "%s\n", in.Nickname)
						printHealth(w, ofIntegration(v.Health, in.ID))
					}
					printUnknown(w, health.Unknown)
				})
			})
		},
	}
	p.admin(c)
	o.flag(c)
	return c
}

func ofIntegration(lines []healthLine, id sallyport.IntegrationID) (out []healthLine) {
	for _, l := range lines {
		if l.Integration == id {
			out = append(out, l)
		}
	}
	return out
}
