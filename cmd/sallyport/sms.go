package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/devices"
	"github.com/sallyport/sallyport/appliance-connector/texts"
)

// deskTexts sends a test message by a connection of its own.
type deskTexts struct{ a *opened }

func (d deskTexts) SendTest(ctx context.Context, to sallyport.PhoneNumber) (a texts.Answer, err error) {
	client, err := devices.Dial(d.a.trust.TokenService, d.a.trust.TLS(""))
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	s := &texts.Service{Store: d.a.store, Courier: client, Log: slog.New(slog.DiscardHandler)}
	return s.SendTest(ctx, to)
}

func newSettingsSMS() *cobra.Command {
	c := &cobra.Command{
		Use: "sms", Short: "The gateway through which codes are sent by text message: show, edit, test",
		Example: `  sallyport settings sms edit --kind twilio --url https://api.twilio.com --user AC0123456789abcdef0123456789abcdef --from +447700900000 --secret-file token`,
	}
	c.AddCommand(newSMSShow(), newSMSEdit(), newSMSTest())
	return c
}

func (t *task) showTextSettings(ctx context.Context) error {
	v, secret, err := t.TextSettings(ctx, t.actor)
	if err != nil {
		return err
	}
	kind, kept := string(v.Kind), "none"
	if v.Kind == texts.Operator {
		kind = "operator"
	}
	if secret {
		kept = "kept sealed"
	}
	return t.facts(map[string]any{"kind": kind, "url": v.URL, "user": v.User, "secret": secret, "from": v.From, "systemType": v.SystemType, "authority": v.Authority, "region": v.Region, "version": v.Version},
		[2]string{"Gateway", kind}, [2]string{"Address", v.URL}, [2]string{"Account or system id", v.User}, [2]string{"Secret", kept}, [2]string{"Sender", v.From},
		[2]string{"System type", v.SystemType}, [2]string{"Authority", v.Authority}, [2]string{"Country of numbers", v.Region}, [2]string{"Version", strconv.FormatInt(v.Version, 10)})
}

func newSMSShow() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "show", Short: "Show the gateway for text messages, without its secret", Args: cobra.NoArgs, Example: `  sallyport settings sms show -o json`,
	}, func(ctx context.Context, t *task, _ []string) error { return t.showTextSettings(ctx) })
}

// smsFlags are the settings as they are given.
type smsFlags struct {
	texts.Settings
	kind, secretFile, authorityFile string
}

func newSMSEdit() *cobra.Command {
	var f smsFlags
	c := versioned(atDesk(&cobra.Command{
		Use: "edit", Short: "Change the gateway for text messages; what is not given stays as it is", Args: cobra.NoArgs,
		Long: `The secret (the auth token of Twilio, the password of SMPP, what a webhook's requests are signed with) is read from a
file, "-" for the standard input. It has to be given again with another gateway or account.`,
		Example: `  sallyport settings sms edit --kind smpp --url smpps://smsc.provider.example:2776 --user hospital --from Hospital --secret-file password
  sallyport settings sms edit --kind operator --region GB`,
	}, func(ctx context.Context, t *task, _ []string) error {
		if err := t.somethingGiven(); err != nil {
			return err
		}
		v, _, err := t.TextSettings(ctx, t.actor)
		if err != nil {
			return err
		}
		if err := f.apply(t, &v); err != nil {
			return err
		}
		secret, err := secretFrom(t.c, f.secretFile)
		if err != nil {
			return err
		}
		v.Version = t.seen(v.Version)
		if err := t.SetTextSettings(ctx, t.actor, v, secret); err != nil {
			return fieldWords(err)
		}
		return t.showTextSettings(ctx)
	}))
	f.flags(c)
	return c
}

func (f *smsFlags) flags(c *cobra.Command) {
	l := c.Flags()
	l.StringVar(&f.kind, "kind", "", "operator (the token service's own), twilio, smpp or webhook")
	l.StringVar(&f.URL, "url", "", "address: https://…, smpps://host:port or smpp://host:port")
	l.StringVar(&f.User, "user", "", "the account's SID, or SID:key SID (twilio); the system id (smpp)")
	l.StringVar(&f.From, "from", "", "sender: a number, a short code, a name, or the SID of a messaging service")
	l.StringVar(&f.SystemType, "system-type", "", "system type (smpp)")
	l.StringVar(&f.Region, "region", "", "country of numbers that are typed without one: GB")
	l.StringVar(&f.secretFile, "secret-file", "", "file with the secret, - for the standard input")
	l.StringVar(&f.authorityFile, "authority-file", "", "PEM file with the authority of the gateway's certificate")
	completes(c, values("operator", "twilio", "smpp", "webhook"), "kind")
	completes(c, values("smpps://", "https://"), "url")
	completes(c, cobra.NoFileCompletions, "user", "from", "system-type", "region")
}

func (f *smsFlags) apply(t *task, v *texts.Settings) error {
	kind := texts.Kind(f.kind)
	if kind == "operator" {
		kind = texts.Operator
	}
	set(t, "kind", &v.Kind, kind)
	set(t, "url", &v.URL, f.URL)
	set(t, "user", &v.User, f.User)
	set(t, "from", &v.From, f.From)
	set(t, "system-type", &v.SystemType, f.SystemType)
	set(t, "region", &v.Region, strings.ToUpper(f.Region))
	if !t.given("authority-file") {
		return nil
	}
	v.Authority = ""
	if f.authorityFile == "" {
		return nil
	}
	text, err := os.ReadFile(f.authorityFile)
	v.Authority = string(text)
	return err
}

func newSMSTest() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "test NUMBER", Short: "Send a test message to a phone, and show what the gateway says", Args: cobra.ExactArgs(1),
		Example: `  sallyport settings sms test "+44 7700 900123"`, ValidArgsFunction: cobra.NoFileCompletions,
	}, func(ctx context.Context, t *task, args []string) error {
		a, err := t.SendTestText(ctx, t.actor, args[0])
		if err != nil {
			return fieldWords(err)
		}
		if a.Outcome != texts.Sent {
			return sallyport.Errorf(sallyport.CodeUnavailable, strings.TrimSpace("The message was not sent for sure ("+string(a.Outcome)+"). "+texts.Advice(a.Outcome)+" "+a.Detail), nil)
		}
		return t.done(a, "The gateway took the message. Look at the phone.")
	})
}
