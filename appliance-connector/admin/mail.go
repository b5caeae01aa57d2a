package admin

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	netmail "net/mail"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/mail"
)

const (
	maxMailHost = 253
	maxMailUser = 254
	maxMailCA   = 32 << 10 // octets of PEM
	shownMails  = 50
)

// MailSettings returns how the appliances send mail, and whether there is a password.
func (s *Service) MailSettings(ctx context.Context, actor sallyport.Actor) (v mail.Settings, password bool, err error) {
	db, err := s.as(actor, "MailSettings")
	if err != nil {
		return v, false, err
	}
	if v, err = mail.ReadSettings(ctx, db); err != nil {
		return v, false, err
	}
	kept, _, err := db.SealedSection(ctx, mail.PasswordSection)
	return v, kept != "", err
}

// SetMailSettings changes them. An empty password keeps the one that there is, but only for the server that it
// was given for: it is not to be carried to another.
func (s *Service) SetMailSettings(ctx context.Context, actor sallyport.Actor, v mail.Settings, password sallyport.Secret) error {
	db, err := s.as(actor, "SetMailSettings")
	if err != nil {
		return err
	}
	before, err := mail.ReadSettings(ctx, db)
	if err != nil {
		return err
	}
	kept, version, err := db.SealedSection(ctx, mail.PasswordSection)
	if err != nil {
		return err
	}
	f := checkMailSettings(v)
	sameServer := v.Host == before.Host && v.Port == before.Port && v.User == before.User && v.Security == before.Security && v.Authority == before.Authority
	f.check(v.User == "" || password != "" || kept != "" && sameServer, "password", "Type the password for this server and user.")
	f.check(v.User != "" || password == "", "user", "A password needs a user name.")
	f.check(len(password) <= maxMailUser, "password", "Use at most 254 octets.")
	if err := f.err(); err != nil {
		return err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode mail settings: %w", err)
	}
	if err := db.SetSection(ctx, mail.Section, text, v.Version); err != nil {
		return err
	}
	if password == "" && v.User != "" || password == kept {
		return nil
	}
	return db.SetSealedSection(ctx, mail.PasswordSection, password, version)
}

func checkMailSettings(v mail.Settings) FieldErrors {
	f := FieldErrors{}
	if v.Host == "" {
		f.check(v.User == "", "host", "Without a server nobody can sign in to it.")
		return f
	}
	f.check(len(v.Host) <= maxMailHost && !strings.ContainsAny(v.Host, " :/@\t\r\n"), "host", "Use a host name or an address, without a port.")
	f.check(v.Port >= 1 && v.Port <= 65535, "port", "Use 1 to 65535; usual are 587, 465 and 25.")
	f.check(v.Security == mail.StartTLS || v.Security == mail.TLS || v.Security == mail.NoTLS, "security", "Choose one.")
	f.check(v.User == "" || v.Security != mail.NoTLS, "security", "The password would travel readable. Use TLS or STARTTLS, or leave the user name empty.")
	f.check(len(v.User) <= maxMailUser && !strings.ContainsAny(v.User, "\r\n\x00"), "user", "Use at most 254 characters of one line.")
	f.check(mailAddress(v.From), "from", "Use an address such as sallyport@hospital.example.")
	f.check(v.Authority == "" || len(v.Authority) <= maxMailCA && x509.NewCertPool().AppendCertsFromPEM([]byte(v.Authority)), "authority", "This holds no certificate in PEM.")
	return f
}

func mailAddress(s string) bool {
	a, err := netmail.ParseAddress(s)
	return err == nil && a.Address == s && len(s) <= 254
}

// SendTestMail sends a message at once, by the settings as they are saved, and returns what the server said of
// it: empty when it took it.
func (s *Service) SendTestMail(ctx context.Context, actor sallyport.Actor, to string) (trouble string, err error) {
	db, err := s.as(actor, "SendTestMail")
	if err != nil {
		return "", err
	}
	f := FieldErrors{}
	f.check(mailAddress(to), "to", "Use one address, such as you@hospital.example.")
	if err := f.err(); err != nil {
		return "", err
	}
	server, ok, err := mail.ReadServer(ctx, db)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", sallyport.Errorf(sallyport.CodeInvalid, "Save the settings of a mail server first.", nil)
	}
	m := sallyport.Mail{ID: sallyport.NewID(), Created: s.now(), Recipients: []string{to}, Subject: "Sallyport: a test message",
		Text: "This message shows that the appliance can send e-mail. " + actor.Name + " asked for it on the settings page.\r\n"}
	if err := mail.Send(ctx, server, m); err != nil {
		s.log.WarnContext(ctx, "test message not sent", "why", mail.Words(err))
		trouble = mail.Words(err)
	}
	return trouble, db.AppendAudit(ctx, []sallyport.AuditRecord{{Action: "mail.test", Object: to, Reason: trouble}})
}

// Mails returns what became of the last messages, the newest first.
func (s *Service) Mails(ctx context.Context, actor sallyport.Actor) ([]sallyport.Mail, error) {
	db, err := s.as(actor, "Mails")
	if err != nil {
		return nil, err
	}
	return db.Mails(ctx, shownMails)
}
