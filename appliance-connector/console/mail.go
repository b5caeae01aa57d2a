package console

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/mail"
)

func (s *Server) mailRoutes() {
	s.page("/settings/mail", "MailSettings", (*request).mailSettings)
	s.act("/settings/mail", "SetMailSettings", (*request).setMailSettings)
	s.act("/settings/mail/test", "SendTestMail", (*request).sendTestMail)
	s.page("/settings/mail/messages", "Mails", (*request).mails)
}

// settingTabs are the kinds of settings that somebody may see.
func (r *request) settingTabs(current string) []Tab {
	tabs := []Tab{{Label: "Console", Path: "/settings", Current: current == "console"}}
	if r.May("MailSettings") {
		tabs = append(tabs, Tab{Label: "E-mail", Path: "/settings/mail", Current: current == "mail"})
	}
	if r.May("TextSettings") {
		tabs = append(tabs, Tab{Label: "SMS", Path: "/settings/sms", Current: current == "sms"})
	}
	if r.May("TokenServers") {
		tabs = append(tabs, Tab{Label: "Token servers", Path: "/settings/tokens", Current: current == "tokens"})
	}
	if r.May("Mails") {
		tabs = append(tabs, Tab{Label: "Messages", Path: "/settings/mail/messages", Current: current == "messages"})
	}
	if r.May("LanguageSettings") {
		tabs = append(tabs, Tab{Label: "Languages", Path: "/settings/languages", Current: current == "languages"})
	}
	if r.May("RetentionSettings") {
		tabs = append(tabs, Tab{Label: "Retention", Path: "/settings/retention", Current: current == "retention"})
	}
	return tabs
}

func (r *request) mailForm(v mail.Settings, password bool) Form {
	keep := "Kept sealed. It is shown to the mail server only."
	if password {
		keep = "There is one. Leave the field empty to keep it; type it again when you change server, port, security or user."
	}
	f := r.form("Save",
		Field{Name: "host", Label: "Server", Value: v.Host, Placeholder: "mail.hospital.example", Most: 253, Help: "Empty: no e-mail is sent, and what is to be sent waits."},
		Field{Kind: "number", Name: "port", Label: "Port", Value: strconv.Itoa(v.Port), Required: true, Help: "587 with STARTTLS, 465 with TLS, 25 between servers."},
		Field{Kind: "radio", Name: "security", Label: "Protection of the connection", Options: []Option{
			{Value: string(mail.StartTLS), Label: "STARTTLS", Help: "Begins readable and must turn to TLS before anything is said.", Chosen: v.Security == mail.StartTLS},
			{Value: string(mail.TLS), Label: "TLS", Help: "TLS from the beginning.", Chosen: v.Security == mail.TLS},
			{Value: string(mail.NoTLS), Label: "None", Help: "Warning: whoever sees the network reads every message, reports with names and addresses included. No password is sent.", Chosen: v.Security == mail.NoTLS}}},
		Field{Name: "user", Label: "User name", Value: v.User, Most: 254, Help: "Empty when the server asks nobody who they are."},
		Field{Kind: "password", Name: "password", Label: "Password", Autocomplete: "new-password", Help: keep},
		Field{Kind: "email", Name: "from", Label: "Sender", Value: v.From, Placeholder: "sallyport@hospital.example", Most: 254, Help: "Many servers take only an address that belongs to the user."},
		Field{Kind: "area", Name: "authority", Label: "Authority of the server’s certificate", Value: v.Authority, Rows: 4, Placeholder: "-----BEGIN CERTIFICATE-----", Help: "In PEM; empty: those that the system trusts."},
		Field{Kind: "checkbox", Name: "tell", Label: "Tell users when a second factor is added or removed", Value: "1", Checked: v.TellUsers,
			Help: "At their address in the directory, whoever did it. So they notice when somebody else has their password."},
		Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(v.Version, 10)})
	f.Path = "/settings/mail"
	return f
}

func (r *request) mailSettings() error {
	v, password, err := r.s.admin.MailSettings(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	return r.showMail(http.StatusOK, v, r.mailForm(v, password), r.testForm(""), nil)
}

func (r *request) testForm(to string) Form {
	if to == "" && r.session != nil {
		to = r.session.Administrator().Mail
	}
	f := r.form("Send a test message", Field{Kind: "email", Name: "to", Label: "To", Value: to, Required: true, Most: 254})
	f.Path = "/settings/mail/test"
	return f
}

func (r *request) showMail(status int, v mail.Settings, form, test Form, result *Alert) error {
	settings := Card{Title: "Mail server", Text: "For reports by e-mail, and for what users are told. The same for all appliances of the enterprise."}
	if r.May("SetMailSettings") {
		settings.Form = &form
	} else {
		settings.Facts = []Fact{fact("Server", orNone(v.Host)), fact("Port", strconv.Itoa(v.Port)), fact("Protection", string(v.Security)), fact("User name", orNone(v.User)), fact("Sender", orNone(v.From)),
			fact("Users are told", yesNo(v.TellUsers))}
	}
	if v.Host != "" && v.Security == mail.NoTLS {
		settings.Alert = &Alert{"warn", "Messages travel readable", "Whoever sees the network between this appliance and the mail server reads every message. Use TLS or STARTTLS."}
	}
	d := CardPage{Tabs: r.settingTabs("mail"), Cards: []Card{settings}}
	if r.May("SendTestMail") && v.Version > 0 && v.Host != "" {
		d.Cards = append(d.Cards, Card{Title: "Try it", Text: "Sends a message at once, by the settings as they are saved, and shows what the server says.", Alert: result, Form: &test})
	}
	return r.showAs(status, Page{Title: "E-mail", Crumbs: []Link{{"Settings", "/settings"}}, Content: "cardpage", Data: d})
}

func (r *request) setMailSettings() error {
	ctx := r.Request().Context()
	version, err := r.formVersion()
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(strings.TrimSpace(r.FormValue("port")))
	if err != nil {
		port = 0 // which the door refuses, with words for the field
	}
	v := mail.Settings{Host: strings.TrimSpace(r.FormValue("host")), Port: port, Security: mail.Security(r.FormValue("security")), User: strings.TrimSpace(r.FormValue("user")),
		From: strings.TrimSpace(r.FormValue("from")), Authority: strings.TrimSpace(r.FormValue("authority")),
		TellUsers: r.FormValue("tell") != "", Version: version}
	err = r.s.admin.SetMailSettings(ctx, r.Actor(), v, sallyport.Secret(r.FormValue("password")))
	if err == nil {
		return r.done("/settings/mail", "Saved. Send a test message to see whether it works.")
	}
	before, password, rerr := r.s.admin.MailSettings(ctx, r.Actor())
	f, ok := r.mailForm(v, password).with(err)
	if !ok || rerr != nil {
		return err
	}
	return r.showMail(http.StatusUnprocessableEntity, before, f, r.testForm(""), nil)
}

// mailTestFor is longer than a message may take.
const mailTestFor = 3 * time.Minute

func (r *request) sendTestMail() error {
	ctx, cancel := r.within(mailTestFor)
	defer cancel()
	v, password, err := r.s.admin.MailSettings(ctx, r.Actor())
	if err != nil {
		return err
	}
	to := strings.TrimSpace(r.FormValue("to"))
	trouble, err := r.s.admin.SendTestMail(ctx, r.Actor(), to)
	if err != nil {
		f, ok := r.testForm(to).with(err)
		if !ok {
			return err
		}
		return r.showMail(http.StatusUnprocessableEntity, v, r.mailForm(v, password), f, nil)
	}
	result := &Alert{"ok", "The server took the message", "Look into the mailbox of " + to + ". If nothing comes, look into its junk folder and the server’s log."}
	if trouble != "" {
		result = &Alert{"bad", "The message was not sent", trouble}
	}
	return r.showMail(http.StatusOK, v, r.mailForm(v, password), r.testForm(to), result)
}

func (r *request) mails() error {
	list, err := r.s.admin.Mails(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	t := Table{ID: "messages", Caption: "Messages", Columns: []Column{{Label: "Message"}, {Label: "Made"}, {Label: "State"}, {Label: "Tries", Number: true}, {Label: "Last answer"}},
		Empty: Empty{Title: "No messages", Text: "Nothing was sent in the last 30 days, and nothing waits."}}
	for _, m := range list {
		state := Cell{Badge: mailBadge(m.State)}
		if m.State == sallyport.MailWaiting && m.Tries > 0 {
			state.Sub = "next try " + ago(m.NextTry, r.s.cfg.Now())
		}
		t.Rows = append(t.Rows, []Cell{{Text: m.Subject, Sub: strings.Join(m.Recipients, ", ")}, {Time: m.Created}, state, {Text: strconv.Itoa(m.Tries)}, {Text: orNone(m.Answer)}})
	}
	return r.show(Page{Title: "Messages", Lead: "What was sent in the last 30 days, and what waits. A message that a server does not take is tried again for three days.",
		Crumbs: []Link{{"Settings", "/settings"}}, Content: "cardlist", Data: CardList{Tabs: r.settingTabs("messages"), Table: t}})
}

func mailBadge(s sallyport.MailState) Badge {
	switch s {
	case sallyport.MailSent:
		return Badge{"ok", "Sent"}
	case sallyport.MailFailed:
		return Badge{"bad", "Given up"}
	}
	return Badge{"info", "Waits"}
}
