package admin

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/texts"
)

const (
	maxTextURL    = 1024
	maxTextField  = 128
	maxTextSecret = 256
)

// Texts sends test messages (texts.Service).
type Texts interface {
	SendTest(ctx context.Context, to sallyport.PhoneNumber) (texts.Answer, error)
}

// TextSettings returns how text messages are sent, and whether there is a secret.
func (s *Service) TextSettings(ctx context.Context, actor sallyport.Actor) (v texts.Settings, secret bool, err error) {
	db, err := s.as(actor, "TextSettings")
	if err != nil {
		return v, false, err
	}
	if v, err = texts.ReadSettings(ctx, db); err != nil {
		return v, false, err
	}
	kept, _, err := db.SealedSection(ctx, texts.SecretSection)
	return v, kept != "", err
}

// SetTextSettings changes them. An empty secret keeps the one that there is, but only for the gateway that it was
// given for: it is not to be carried to another.
func (s *Service) SetTextSettings(ctx context.Context, actor sallyport.Actor, v texts.Settings, secret sallyport.Secret) error {
	db, err := s.as(actor, "SetTextSettings")
	if err != nil {
		return err
	}
	before, err := texts.ReadSettings(ctx, db)
	if err != nil {
		return err
	}
	kept, version, err := db.SealedSection(ctx, texts.SecretSection)
	if err != nil {
		return err
	}
	if v.Kind == texts.Operator {
		v = texts.Settings{Region: v.Region, Version: v.Version}
	}
	f := checkTextSettings(v)
	f.check(v.Kind == texts.Operator || secret != "" || kept != "" && v.SameGateway(before), "secret", "Type the secret for this gateway.")
	f.check(len(secret) <= maxTextSecret && (v.Kind != texts.SMPP || len(secret) <= 8) && !strings.ContainsAny(string(secret), "\r\n\x00"), "secret",
		"Use one line of at most 256 octets; for SMPP, at most 8.")
	if err := f.err(); err != nil {
		return err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode SMS settings: %w", err)
	}
	if err := db.SetSection(ctx, texts.Section, text, v.Version); err != nil {
		return err
	}
	if v.Kind != texts.Operator && secret == "" || v.Kind == texts.Operator && kept == "" || v.Kind != texts.Operator && secret == kept {
		return nil
	}
	if v.Kind == texts.Operator {
		secret = "" // of no use any more
	}
	return db.SetSealedSection(ctx, texts.SecretSection, secret, version)
}

func checkTextSettings(v texts.Settings) FieldErrors {
	f := FieldErrors{}
	f.check(v.Region == "" || texts.Region(v.Region), "region", "Use a country's two letters, such as GB, or leave it empty.")
	if v.Kind == texts.Operator {
		return f
	}
	line := func(field, value string, most int) {
		f.check(len(value) <= most && !strings.ContainsAny(value, "\r\n\x00"), field, fmt.Sprintf("Use one line of at most %d characters.", most))
	}
	line("from", v.From, maxTextField)
	line("user", v.User, maxTextField)
	f.check(v.SystemType == "" || v.Kind == texts.SMPP, "systemType", "Only SMPP has a system type.")
	f.check(v.Authority == "" || len(v.Authority) <= maxMailCA && x509.NewCertPool().AppendCertsFromPEM([]byte(v.Authority)), "authority", "This holds no certificate in PEM.")
	u, err := url.Parse(v.URL)
	plain := err == nil && len(v.URL) <= maxTextURL && u.Hostname() != "" && u.User == nil && u.Fragment == ""
	switch v.Kind {
	case texts.Twilio:
		f.check(plain && u.Scheme == "https" && u.RawQuery == "", "url", "Use an address such as https://api.twilio.com.")
		f.check(v.User != "", "user", "Type the account’s SID.")
		f.check(v.From != "", "from", "Type a number, a name, or the SID of a messaging service.")
	case texts.Webhook:
		f.check(plain && u.Scheme == "https", "url", "Use an address that begins with https://.")
		f.check(v.User == "", "user", "A webhook has no user.")
	case texts.SMPP:
		f.check(plain && (u.Scheme == "smpp" || u.Scheme == "smpps") && u.Port() != "" && strings.Trim(u.Path, "/") == "" && u.RawQuery == "", "url",
			"Use smpps://host:port, or smpp://host:port for a connection without TLS.")
		f.check(v.User != "", "user", "Type the system id.")
		line("user", v.User, 15)
		line("from", v.From, 20)
		line("systemType", v.SystemType, 12)
	default:
		f.check(false, "kind", "Choose one.")
	}
	return f
}

// SendTestText sends a test message at once, by the settings as they are saved, and returns what became of it.
func (s *Service) SendTestText(ctx context.Context, actor sallyport.Actor, typed string) (texts.Answer, error) {
	db, err := s.as(actor, "SendTestText")
	if err != nil {
		return texts.Answer{}, err
	}
	v, err := texts.ReadSettings(ctx, db)
	if err != nil {
		return texts.Answer{}, err
	}
	to, err := texts.Number(typed, v.Region)
	if err != nil {
		return texts.Answer{}, FieldErrors{"to": sallyport.ErrorMessage(err)}.err()
	}
	if s.cfg.Texts == nil {
		return texts.Answer{}, sallyport.Errorf(sallyport.CodeUnsupported, "Messages cannot be sent from here.", nil)
	}
	a, err := s.cfg.Texts.SendTest(ctx, to)
	if err != nil {
		s.log.WarnContext(ctx, "test message not sent", "err", err)
		return a, sallyport.Errorf(sallyport.CodeUnavailable, "The token service does not answer. Check the appliance's way out to the internet, then try again.", err)
	}
	reason := string(a.Outcome)
	if a.Detail != "" {
		reason += ": " + a.Detail
	}
	return a, db.AppendAudit(ctx, []sallyport.AuditRecord{{Action: "sms.test", Object: to.String(), Reason: reason}})
}
