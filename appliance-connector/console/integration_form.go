package console

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// integrationFields are the fields of a gateway's form; from is what its sources field holds.
func integrationFields(in sallyport.Integration, from string) []Field {
	demand := func(p sallyport.MessageAuthenticator, label, help string) Option {
		return Option{Value: string(p), Label: label, Help: help, Chosen: in.MessageAuthenticator == p}
	}
	return append([]Field{
		{Kind: "select", Name: "kind", Label: "Kind", Options: options(in.Kind, admin.KindF5, kindName(admin.KindF5))},
		{Name: "nickname", Label: "Nickname", Value: in.Nickname, Required: true, Most: 64, Focus: in.Version == 0, Placeholder: "Hospital VPN", Help: "What users see on the phone."},
		{Kind: "area", Name: "clients", Label: "Addresses", Value: from, Rows: 3, Placeholder: "192.0.2.10",
			Help: "Where its RADIUS requests come from: addresses, networks (192.0.2.0/28) or host names, one a line. For a BIG-IP it is the self IP; for a high-availability pair the floating one. One that is known over TLS needs none."},
		{Kind: "area", Name: "origins", Label: "Logon page", Value: strings.Join(in.Origins, "\n"), Rows: 2, Placeholder: "https://vpn.hospital.example",
			Help: "The address of the logon page as browsers show it, without a path; one a line. Without it the overlay cannot be used."},
		{Kind: "radio", Name: "messageAuthenticator", Label: "Message-Authenticator", Required: true, Options: []Option{
			demand(sallyport.MessageAuthenticatorOnceSeen, "Once seen (advised)", "Demanded as soon as the gateway has sent it once. An update of the gateway is enough, and nobody can take the attribute out afterwards."),
			demand(sallyport.MessageAuthenticatorAlways, "Always", "Demanded from the first request. BIG-IP sends it since 16.1.6, 17.1.2 and later."),
			demand(sallyport.MessageAuthenticatorNever, "Never", "For gateways that cannot send it. Somebody on the way can then turn a refusal into an acceptance (BlastRADIUS, CVE-2024-3596).")}},
		{Kind: "checkbox", Name: "nonLicensed", Label: "Let in users without a licence on the directory’s word alone", Checked: in.AllowNonLicensed,
			Help: "Also accounts that are not in the list of users. Without this they are refused."},
		{Kind: "select", Name: "language", Label: "Language of users", Options: languageOptions(in.Language, "As the enterprise’s"),
			Help: "Of its page and messages, when the browser names none that there is. A page that has the script already needs the script anew."},
		{Kind: "area", Name: "note", Label: "Note", Value: in.Note, Rows: 2, Help: "Anything that other administrators should know."},
		{Kind: "hidden", Name: "version", Value: strconv.FormatInt(in.Version, 10)},
	}, append(legacyFields(in), tlsFields(in)...)...)
}

// tlsFields are how a gateway is known that asks over TLS.
func tlsFields(in sallyport.Integration) []Field {
	return []Field{
		{Kind: "area", Name: "fingerprints", Label: "Certificates over TLS", Value: strings.Join(in.TLS.Fingerprints, "\n"), Rows: 2,
			Help: "For a gateway that speaks RADIUS over TLS (port 2083): the SHA-256 of its certificate, one a line, as openssl x509 -noout -fingerprint -sha256 prints it. The appliances listen where their configuration says radius-tls-listen."},
		{Kind: "area", Name: "authority", Label: "Or the authority that signs its certificates", Value: in.TLS.Authority, Rows: 3, Placeholder: "-----BEGIN CERTIFICATE-----",
			Help: "In PEM. An authority signs many certificates, so it needs the names below."},
		{Kind: "area", Name: "tlsNames", Label: "Names in its certificate", Value: strings.Join(in.TLS.Names, "\n"), Rows: 2, Placeholder: "vpn.hospital.example", Help: "Host names or addresses, one a line; with an authority only."},
	}
}

// readTLS is what tlsFields hold.
func (r *request) readTLS() sallyport.RADIUSTLS {
	out := sallyport.RADIUSTLS{Fingerprints: lines(r.FormValue("fingerprints")), Authority: strings.TrimSpace(strings.ReplaceAll(r.FormValue("authority"), "\r\n", "\n")), Names: lines(strings.ToLower(r.FormValue("tlsNames")))}
	for n, f := range out.Fingerprints {
		out.Fingerprints[n] = admin.ParseFingerprint(f)
	}
	if out.Authority != "" {
		out.Authority += "\n"
	}
	return out
}

// legacyFields are about logins that happen in RADIUS.
func legacyFields(in sallyport.Integration) []Field {
	experience := func(e sallyport.Experience, label, help string) Option {
		return Option{Value: string(e), Label: label, Help: help, Chosen: cmp.Or(in.Experience, sallyport.ExperienceCloud) == e}
	}
	return []Field{
		{Kind: "radio", Name: "experience", Label: "How users log in", Required: true, Options: []Option{
			experience(sallyport.ExperienceCloud, "In the overlay (advised)", "The logon page carries the script. What comes by RADIUS is a gateway token, or a code typed into the gateway’s own form."),
			experience(sallyport.ExperienceLegacy, "In RADIUS as a whole", "For pages that cannot carry a script. The gateway sends the password, and waits up to 45 seconds for the phone."),
			experience(sallyport.ExperienceBoth, "Either way", "A gateway token is taken as such, anything else for the password.")}},
		{Kind: "select", Name: "encoding", Label: "The gateway writes names and passwords in", Options: options(string(cmp.Or(in.PasswordEncoding, sallyport.PasswordUTF8)),
			string(sallyport.PasswordUTF8), "UTF-8", string(sallyport.PasswordWindows1252), "Windows-1252"), Help: "As the RADIUS server’s Character Set at the gateway says. A BIG-IP’s own default is Windows-1252."},
		{Name: "separator", Label: "Mark between password and code", Value: in.PasscodeSeparator, Most: 1, Placeholder: ",", Autocomplete: "off",
			Help: "Lets users type password,123456 or password,push into one field, where the login is in RADIUS. Empty: they are not told apart. One of !#$%&*+,./:;=?@^_|~"},
		{Kind: "checkbox", Name: "ask", Label: "Let users with several second factors choose one before a phone is asked", Checked: in.AskMethod, Help: "Where the login is in RADIUS. The overlay lets them choose anyway."},
	}
}

// readLegacy puts what legacyFields hold into in.
func (r *request) readLegacy(in *sallyport.Integration) {
	in.Experience, in.PasswordEncoding = sallyport.Experience(r.FormValue("experience")), sallyport.PasswordEncoding(r.FormValue("encoding"))
	in.PasscodeSeparator, in.AskMethod = strings.TrimSpace(r.FormValue("separator")), r.FormValue("ask") != ""
}

// secretFields let somebody choose between a secret that is made and one that there is.
func secretFields(own bool) []Field {
	return []Field{
		{Kind: "radio", Name: "secretKind", Label: "RADIUS secret", Required: true, Options: []Option{
			{Value: "make", Label: "Make one for me (advised)", Help: "32 characters from 160 bits of chance, without look-alikes. It is shown once.", Chosen: !own},
			{Value: "own", Label: "The gateway has one already", Help: "One that a person made up is soon found by whoever reads a RADIUS packet. A weak one is warned about.", Chosen: own}}},
		{Kind: "password", Name: "secret", Label: "The gateway’s secret", Most: 128, Autocomplete: "off", Help: "Only for one that the gateway has already."},
	}
}

// readSecret is what the secret's fields hold; empty: make one.
func (r *request) readSecret() (sallyport.Secret, error) {
	if r.FormValue("secretKind") != "own" {
		return "", nil
	}
	if r.FormValue("secret") == "" {
		return "", admin.FieldErrors{"secret": "Type the secret that the gateway has, or have one made."}
	}
	return sallyport.Secret(r.FormValue("secret")), nil
}

// readGateway puts what the form holds into in.
func (r *request) readGateway(in sallyport.Integration) (sallyport.Integration, error) {
	in.Kind, in.Nickname, in.Note = r.FormValue("kind"), strings.TrimSpace(r.FormValue("nickname")), strings.ReplaceAll(r.FormValue("note"), "\r\n", "\n")
	in.Origins, in.Language = lines(r.FormValue("origins")), strings.TrimSpace(r.FormValue("language"))
	for i, o := range in.Origins {
		in.Origins[i] = strings.TrimSuffix(o, "/")
	}
	in.MessageAuthenticator, in.AllowNonLicensed, in.Version = sallyport.MessageAuthenticator(r.FormValue("messageAuthenticator")), r.FormValue("nonLicensed") != "", r.version()
	r.readLegacy(&in)
	in.TLS = r.readTLS()
	var err error
	if in.Clients, in.Hosts, err = admin.ParseSources(lines(r.FormValue("clients"))); err != nil {
		return in, admin.FieldErrors{"clients": sallyport.ErrorMessage(err)}
	}
	return in, nil
}

// withGateway is Form.with: addresses and host names have one field together, and some fields have shorter names here.
func (f Form) withGateway(err error) (Form, bool) {
	var wrong admin.FieldErrors
	if errors.As(err, &wrong) {
		for field, here := range map[string]string{"hosts": "clients", "passwordEncoding": "encoding", "passcodeSeparator": "separator", "tls": "fingerprints"} {
			if wrong[field] != "" && wrong[here] == "" {
				wrong[here] = wrong[field]
			}
			delete(wrong, field)
		}
	}
	return f.with(err)
}

func (r *request) newIntegrationPage() error {
	in := sallyport.Integration{Kind: admin.KindF5, MessageAuthenticator: sallyport.MessageAuthenticatorOnceSeen}
	from := ""
	if p, err := admin.ParseNetwork(r.QueryParam("client")); err == nil {
		from = p.Addr().String()
	}
	return r.showNewIntegration(http.StatusOK, r.newIntegrationForm(in, from, false))
}

func (r *request) newIntegrationForm(in sallyport.Integration, from string, own bool) Form {
	fields := integrationFields(in, from)
	const afterOrigins = 4
	fields = append(append(append([]Field{}, fields[:afterOrigins]...), secretFields(own)...), fields[afterOrigins:]...)
	f := r.form("Add gateway", fields...)
	f.Path, f.Cancel = "/integrations/new", "/integrations"
	return f
}

func (r *request) showNewIntegration(status int, f Form) error {
	return r.showAs(status, Page{Title: "Add a gateway", Lead: "It counts on every appliance within a second or two.", Crumbs: integrationCrumbs(), Content: "formpage", Data: f})
}

func (r *request) newIntegration() error {
	in, err := r.readGateway(sallyport.Integration{})
	if err == nil {
		in.Secret, err = r.readSecret()
	}
	var saved admin.SavedIntegration
	if err == nil {
		saved, err = r.s.admin.AddIntegration(r.Request().Context(), r.Actor(), in)
	}
	if err == nil {
		return r.showSaved(saved)
	}
	f, ok := r.newIntegrationForm(in, r.FormValue("clients"), r.FormValue("secretKind") == "own").withGateway(err)
	if !ok {
		return err
	}
	return r.showNewIntegration(unprocessable, f)
}

// showSaved shows a new gateway's secret, once, and how to set the gateway up.
func (r *request) showSaved(saved admin.SavedIntegration) error {
	in := saved.Integration
	d, err := r.setUp(in)
	if err != nil {
		return err
	}
	d.Tabs, d.Warnings, d.Here = nil, saved.Warnings, integrationPath(in.ID)+"/script"
	if saved.Secret != "" {
		d.Secret = &Code{Label: "RADIUS secret", Text: string(saved.Secret), Once: true}
	}
	return r.show(Page{Title: in.Nickname + " was added", Lead: "What is left is done at the gateway.", Crumbs: integrationCrumbs(Link{in.Nickname, integrationPath(in.ID)}), Content: "setup-gateway", Data: d})
}

func (r *request) integrationSettings() error {
	in, err := r.readIntegration()
	if err != nil {
		return err
	}
	return r.showGatewaySettings(http.StatusOK, in, r.form("Save", integrationFields(in, strings.Join(sources(in), "\n"))...))
}

func (r *request) showGatewaySettings(status int, in sallyport.Integration, f Form) error {
	f.Cancel = integrationPath(in.ID)
	return r.showAs(status, Page{Title: in.Nickname, Crumbs: integrationCrumbs(), Content: "cardpage",
		Data: CardPage{Tabs: r.integrationTabs(in.ID, "/settings"), Cards: []Card{{Title: "Settings", Form: &f}}}})
}

func (r *request) setIntegration() error {
	before, err := r.readIntegration()
	if err != nil {
		return err
	}
	in, err := r.readGateway(before)
	var saved admin.SavedIntegration
	if err == nil {
		saved, err = r.s.admin.SetIntegration(r.Request().Context(), r.Actor(), in)
	}
	if err == nil {
		return r.done(integrationPath(in.ID), strings.Join(append([]string{"Saved. It counts on every appliance within a second or two."}, saved.Warnings...), " "))
	}
	f, ok := r.form("Save", integrationFields(in, r.FormValue("clients"))...).withGateway(err)
	if !ok {
		return err
	}
	return r.showGatewaySettings(unprocessable, before, f)
}
