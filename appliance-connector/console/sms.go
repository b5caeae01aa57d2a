package console

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/texts"
)

func (s *Server) smsRoutes() {
	s.page("/settings/sms", "TextSettings", (*request).textSettings)
	s.act("/settings/sms", "SetTextSettings", (*request).setTextSettings)
	s.act("/settings/sms/test", "SendTestText", (*request).sendTestText)
}

// gatewayNames are what kinds of gateways are called.
var gatewayNames = map[texts.Kind]string{
	texts.Operator: "That of the token service", texts.Twilio: "Twilio, or compatible", texts.SMPP: "SMPP 3.4", texts.Webhook: "Webhook",
}

func (r *request) smsForm(v texts.Settings, secret bool) Form {
	keep := "Twilio: the auth token, or the secret of the API key. SMPP: the password, at most 8 characters. Webhook: what requests are signed with. Kept sealed."
	if secret {
		keep = "There is one. Leave the field empty to keep it; type it again when you change kind, address, user or authority."
	}
	kind := func(k texts.Kind, help string) Option {
		return Option{Value: string(k), Label: gatewayNames[k], Help: help, Chosen: v.Kind == k}
	}
	f := r.form("Save",
		Field{Kind: "radio", Name: "kind", Label: "Gateway", Options: []Option{
			kind(texts.Operator, "The one that whoever runs the token service has set up, if any. Nothing but the region is needed then."),
			kind(texts.Twilio, "The HTTP interface of Twilio, which other providers offer as well."),
			kind(texts.SMPP, "A message centre of your provider."),
			kind(texts.Webhook, "A signed request to a program of your own; docs/protocol/sms-webhook.md describes it.")}},
		Field{Name: "url", Label: "Address", Value: v.URL, Most: 1024, Placeholder: "https://api.twilio.com", Help: "For SMPP: smpps://host:port, or smpp://host:port without TLS, where passwords and codes travel readable."},
		Field{Name: "user", Label: "Account or system id", Value: v.User, Most: 128, Autocomplete: "off", Help: "Twilio: the account’s SID; with an API key SID:key SID. Webhook: empty."},
		Field{Kind: "password", Name: "secret", Label: "Secret", Autocomplete: "new-password", Help: keep},
		Field{Name: "from", Label: "Sender", Value: v.From, Most: 128, Help: "A number (+44…), a short code, a name where the country allows it, or the SID of a messaging service."},
		Field{Name: "systemType", Label: "System type", Value: v.SystemType, Most: 12, Help: "SMPP only; usually empty."},
		Field{Kind: "area", Name: "authority", Label: "Authority of the gateway’s certificate", Value: v.Authority, Rows: 4, Placeholder: "-----BEGIN CERTIFICATE-----", Help: "In PEM; empty: those that the token service’s system trusts."},
		Field{Name: "region", Label: "Country of numbers", Value: v.Region, Most: 2, Placeholder: "GB", Help: "Two letters. Numbers typed without a country are read as of this one; empty: every number is typed with its country."},
		Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(v.Version, 10)})
	f.Path = "/settings/sms"
	return f
}

func (r *request) smsTestForm(to string) Form {
	f := r.form("Send a test message", Field{Name: "to", Label: "To", Value: to, Required: true, Most: 64, Autocomplete: "off", Placeholder: "+44 7700 900123"})
	f.Path = "/settings/sms/test"
	return f
}

func (r *request) textSettings() error {
	v, secret, err := r.s.admin.TextSettings(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	return r.showTexts(http.StatusOK, v, r.smsForm(v, secret), r.smsTestForm(""), nil)
}

func (r *request) showTexts(status int, v texts.Settings, form, test Form, result *Alert) error {
	settings := Card{Title: "Gateway for text messages", Text: "Through it the token service sends codes by SMS. The same for all appliances of the enterprise."}
	if r.May("SetTextSettings") {
		settings.Form = &form
	} else {
		settings.Facts = []Fact{fact("Gateway", gatewayNames[v.Kind]), fact("Address", orNone(v.URL)), fact("Account or system id", orNone(v.User)), fact("Sender", orNone(v.From)), fact("Country of numbers", orNone(v.Region))}
	}
	if strings.HasPrefix(v.URL, "smpp:") {
		settings.Alert = &Alert{"warn", "Codes travel readable", "Whoever sees the network between the token service and the gateway reads the password, numbers and codes. Use smpps:// where your provider has it."}
	}
	d := CardPage{Tabs: r.settingTabs("sms"), Cards: []Card{settings}}
	if r.May("SendTestText") {
		d.Cards = append(d.Cards, Card{Title: "Try it", Text: "Sends a text message at once, by the settings as they are saved, and shows what the gateway says.", Alert: result, Form: &test})
	}
	return r.showAs(status, Page{Title: "SMS", Crumbs: []Link{{"Settings", "/settings"}}, Content: "cardpage", Data: d})
}

func (r *request) setTextSettings() error {
	ctx := r.Request().Context()
	version, err := r.formVersion()
	if err != nil {
		return err
	}
	field := func(name string) string { return strings.TrimSpace(r.FormValue(name)) }
	v := texts.Settings{Kind: texts.Kind(r.FormValue("kind")), URL: field("url"), User: field("user"), From: field("from"), SystemType: field("systemType"),
		Authority: field("authority"), Region: strings.ToUpper(field("region")), Version: version}
	err = r.s.admin.SetTextSettings(ctx, r.Actor(), v, sallyport.Secret(r.FormValue("secret")))
	if err == nil {
		return r.done("/settings/sms", "Saved. Send a test message to see whether it works.")
	}
	before, secret, rerr := r.s.admin.TextSettings(ctx, r.Actor())
	f, ok := r.smsForm(v, secret).with(err)
	if !ok || rerr != nil {
		return err
	}
	return r.showTexts(http.StatusUnprocessableEntity, before, f, r.smsTestForm(""), nil)
}

// smsTestFor is longer than a message may take.
const smsTestFor = 30 * time.Second

func (r *request) sendTestText() error {
	ctx, cancel := r.within(smsTestFor)
	defer cancel()
	v, secret, err := r.s.admin.TextSettings(ctx, r.Actor())
	if err != nil {
		return err
	}
	to := strings.TrimSpace(r.FormValue("to"))
	a, err := r.s.admin.SendTestText(ctx, r.Actor(), to)
	if err != nil {
		f, ok := r.smsTestForm(to).with(err)
		if !ok {
			return err
		}
		return r.showTexts(http.StatusUnprocessableEntity, v, r.smsForm(v, secret), f, nil)
	}
	return r.showTexts(http.StatusOK, v, r.smsForm(v, secret), r.smsTestForm(to), smsResult(a))
}

func smsResult(a texts.Answer) *Alert {
	detail := texts.Advice(a.Outcome)
	if a.Detail != "" {
		detail += " Its answer: " + a.Detail
	}
	switch a.Outcome {
	case texts.Sent:
		return &Alert{"ok", "The gateway took the message", "Look at the phone. If nothing comes, look into the gateway’s log."}
	case texts.Uncertain:
		return &Alert{"warn", "Nobody knows whether the message was sent", detail}
	}
	return &Alert{"bad", "The message was not sent", detail}
}
