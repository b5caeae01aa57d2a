package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func newOTPCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "otp", Short: "OTP tokens: import, list, assign, take away, resynchronise, delete; PINs before their codes",
		Long: `OTP tokens show one-time codes (OATH: HOTP and TOTP). They come from their maker with a file of secrets (PSKC or CSV).
TOKEN is a serial number or an id, USER as in 'sallyport user'.`,
		Example: `  sallyport otp import tokens.xml --passphrase-file passphrase.txt
  sallyport otp assign FT-1001 alice`,
	}
	c.AddCommand(newOTPImport(), newOTPList(), newOTPShow(), newOTPAssign(), newOTPUnassign(), newOTPDisable(), newOTPEnable(), newOTPResync(), newOTPDelete(),
		newOTPSetPIN(), newOTPDeletePIN())
	return c
}

// otpTokenLine is an OTP token for programs.
type otpTokenLine struct {
	ID        sallyport.OTPTokenID    `json:"id"`
	Serial    string                  `json:"serial"`
	Maker     string                  `json:"maker,omitempty"`
	Kind      sallyport.OTPKind       `json:"kind"`
	Algorithm sallyport.OTPAlgorithm  `json:"algorithm"`
	Digits    int                     `json:"digits"`
	Period    int                     `json:"periodSeconds,omitempty"`
	State     sallyport.OTPTokenState `json:"state"`
	Account   sallyport.AccountName   `json:"account,omitempty"`
	Imported  time.Time               `json:"imported"`
	Assigned  time.Time               `json:"assigned,omitzero"`
	Used      time.Time               `json:"used,omitzero"`
	Version   int64                   `json:"version"`
}

func lineOfOTPToken(k sallyport.OTPToken) otpTokenLine {
	return otpTokenLine{ID: k.ID, Serial: k.Serial, Maker: k.Maker, Kind: k.Kind, Algorithm: k.Algorithm, Digits: k.Digits, Period: int(k.Period / time.Second),
		State: k.State, Account: k.Account, Imported: k.Imported, Assigned: k.Assigned, Used: k.Used, Version: k.Version}
}

// kind says in words how the token makes codes.
func (l otpTokenLine) kind() string {
	if l.Kind == sallyport.TOTP {
		return fmt.Sprintf("totp %s, %d digits, %d s", l.Algorithm, l.Digits, l.Period)
	}
	return fmt.Sprintf("hotp %s, %d digits", l.Algorithm, l.Digits)
}

// otpToken returns the token that a word means.
func (d *desk) otpToken(ctx context.Context, word string) (sallyport.OTPToken, error) {
	k, err := d.OTPTokenBySerial(ctx, d.actor, word)
	if sallyport.ErrorCode(err) == sallyport.CodeNotFound && sallyport.ValidID(word) {
		k, err = d.OTPToken(ctx, d.actor, sallyport.OTPTokenID(word))
	}
	if sallyport.ErrorCode(err) == sallyport.CodeNotFound {
		err = sallyport.Errorf(sallyport.CodeNotFound, fmt.Sprintf("There is no OTP token %q. 'sallyport otp list' shows them.", word), nil)
	}
	return k, err
}

func completeOTPToken(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return completing(func(ctx context.Context, d *desk, begun string) (out []cobra.Completion, err error) {
		page, err := d.OTPTokens(ctx, d.actor, store.OTPTokenQuery{Text: begun, Most: mostOffered})
		for _, k := range page.Tokens {
			if hasPrefixFold(k.Serial, begun) {
				out = append(out, cobra.CompletionWithDesc(printable(k.Serial), printable(orNone(string(k.Account)))))
			}
		}
		return out, err
	})(c, args, begun)
}

func newOTPList() *cobra.Command {
	var search, state, kind, user string
	var assigned, unassigned bool
	c := atDesk(&cobra.Command{
		Use: "list", Short: "List OTP tokens by serial number, all of those that the flags leave", Args: cobra.NoArgs,
		Example: `  sallyport otp list --unassigned
  sallyport otp list --user alice -o json
  sallyport otp list --search FT-10 --state disabled`,
	}, func(ctx context.Context, t *task, _ []string) error {
		q := store.OTPTokenQuery{Text: search, State: sallyport.OTPTokenState(state), Kind: sallyport.OTPKind(kind), Most: userPage}
		if assigned || unassigned {
			q.Assigned = &assigned
		}
		if user != "" {
			u, err := t.user(ctx, user)
			if err != nil {
				return err
			}
			q.Account = u.Account
		}
		return t.list([]string{"SERIAL", "KIND", "OWNER", "STATE", "LAST USED", "MAKER"}, func(line func(any, ...string) error) error {
			return pages(func(after string) ([]sallyport.OTPToken, string, error) {
				q.After = after
				page, err := t.OTPTokens(ctx, t.actor, q)
				return page.Tokens, page.Next, err
			}, func(k sallyport.OTPToken) error {
				l := lineOfOTPToken(k)
				return line(l, l.Serial, l.kind(), orNone(string(l.Account)), string(l.State), when(l.Used), l.Maker)
			})
		})
	})
	f := c.Flags()
	f.StringVar(&search, "search", "", "tokens with this text in serial number or account")
	f.StringVar(&state, "state", "", "active or disabled (default: both)")
	f.StringVar(&kind, "kind", "", "hotp or totp (default: both)")
	f.StringVar(&user, "user", "", "tokens of this user")
	f.BoolVar(&assigned, "assigned", false, "tokens that somebody has")
	f.BoolVar(&unassigned, "unassigned", false, "tokens that nobody has")
	c.MarkFlagsMutuallyExclusive("assigned", "unassigned")
	completes(c, cobra.NoFileCompletions, "search")
	completes(c, values(sallyport.OTPTokenActive, sallyport.OTPTokenDisabled), "state")
	completes(c, values(sallyport.HOTP, sallyport.TOTP), "kind")
	completes(c, completeUser(), "user")
	return c
}

func newOTPShow() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "show TOKEN", Short: "Show an OTP token, without its secret", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeOTPToken),
		Example: `  sallyport otp show FT-1001`,
	}, func(ctx context.Context, t *task, args []string) error {
		k, err := t.otpToken(ctx, args[0])
		if err != nil {
			return err
		}
		l := lineOfOTPToken(k)
		return t.facts(l, [2]string{"Serial number", l.Serial}, [2]string{"Id", string(l.ID)}, [2]string{"Maker", l.Maker}, [2]string{"Codes", l.kind()}, [2]string{"State", string(l.State)},
			[2]string{"Owner", orNone(string(l.Account))}, [2]string{"Assigned", when(l.Assigned)}, [2]string{"Last used", when(l.Used)}, [2]string{"Imported", when(l.Imported)})
	})
}

func newOTPAssign() *cobra.Command {
	return versioned(atDesk(&cobra.Command{
		Use: "assign TOKEN USER", Short: "Give a user an OTP token that nobody has", Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return completeOTPToken(c, args, begun)
			}
			return firstArg(completeUser())(c, args[1:], begun)
		},
		Example: `  sallyport otp assign FT-1001 alice`,
	}, func(ctx context.Context, t *task, args []string) error {
		k, err := t.otpToken(ctx, args[0])
		if err != nil {
			return err
		}
		u, err := t.user(ctx, args[1])
		if err != nil {
			return err
		}
		k, err = t.AssignOTPToken(ctx, t.actor, k.ID, t.seen(k.Version), u.ID)
		if err != nil {
			return err
		}
		return t.done(lineOfOTPToken(k), "%s belongs to %s now.", k.Serial, k.Account)
	}))
}

// changeOTPToken is a command that changes one token.
func changeOTPToken(c *cobra.Command, question string, said string, do func(ctx context.Context, t *task, k sallyport.OTPToken) (sallyport.OTPToken, error)) *cobra.Command {
	c.Args, c.ValidArgsFunction = cobra.ExactArgs(1), firstArg(completeOTPToken)
	c = versioned(atDesk(c, func(ctx context.Context, t *task, args []string) error {
		k, err := t.otpToken(ctx, args[0])
		if err != nil {
			return err
		}
		if question != "" {
			if ok, err := t.sure(fmt.Sprintf(question, k.Serial)); !ok || err != nil {
				return err
			}
		}
		k.Version = t.seen(k.Version)
		after, err := do(ctx, t, k)
		if err != nil {
			return err
		}
		return t.done(lineOfOTPToken(after), said, k.Serial)
	}))
	if question != "" {
		c = asking(c)
	}
	return c
}

func newOTPUnassign() *cobra.Command {
	return changeOTPToken(&cobra.Command{
		Use: "unassign TOKEN", Short: "Take an OTP token from its owner", Example: `  sallyport otp unassign FT-1001 --yes`,
	}, "Take the OTP token %s from its owner?", "%s belongs to nobody now.", func(ctx context.Context, t *task, k sallyport.OTPToken) (sallyport.OTPToken, error) {
		return t.UnassignOTPToken(ctx, t.actor, k.ID, k.Version)
	})
}

func newOTPDisable() *cobra.Command {
	return changeOTPToken(&cobra.Command{
		Use: "disable TOKEN", Short: "Make the codes of an OTP token count no more, until it is enabled", Example: `  sallyport otp disable FT-1001`,
	}, "", "The codes of %s count no more.", func(ctx context.Context, t *task, k sallyport.OTPToken) (sallyport.OTPToken, error) {
		return t.DisableOTPToken(ctx, t.actor, k.ID, k.Version)
	})
}

func newOTPEnable() *cobra.Command {
	return changeOTPToken(&cobra.Command{
		Use: "enable TOKEN", Short: "Make the codes of an OTP token that was disabled count again", Example: `  sallyport otp enable FT-1001`,
	}, "", "The codes of %s count again.", func(ctx context.Context, t *task, k sallyport.OTPToken) (sallyport.OTPToken, error) {
		return t.EnableOTPToken(ctx, t.actor, k.ID, k.Version)
	})
}

func newOTPResync() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "resync TOKEN", Short: "Find an OTP token again by two codes that it shows one after the other", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeOTPToken),
		Long: `For a token whose codes are refused although it is the right one: its button was pressed too often, or its clock is off. The two codes are read
from standard input, one a line. They count as used.`,
		Example: `  sallyport otp resync FT-1001`,
	}, func(ctx context.Context, t *task, args []string) error {
		k, err := t.otpToken(ctx, args[0])
		if err != nil {
			return err
		}
		var codes []sallyport.Secret
		for _, ask := range []string{"Code: ", "Next code: "} {
			code, err := t.ask(ask)
			if err != nil {
				return err
			}
			codes = append(codes, code)
		}
		k, err = t.ResynchroniseOTPToken(ctx, t.actor, k.ID, codes)
		if err != nil {
			return err
		}
		return t.done(lineOfOTPToken(k), "%s is found again. The next code that it shows is taken.", k.Serial)
	})
}

// ask reads a line that is for nobody else's eyes.
func (t *task) ask(words string) (sallyport.Secret, error) {
	_, _ = fmt.Fprint(t.c.ErrOrStderr(), words)
	line, err := readLine(t.c.InOrStdin())
	return sallyport.Secret(line), err
}

func newOTPDelete() *cobra.Command {
	return changeOTPToken(&cobra.Command{
		Use: "delete TOKEN", Short: "Forget an OTP token and its secret", Example: `  sallyport otp delete FT-1001 --yes`,
	}, "Delete the OTP token %s? To use it again, it has to be imported again.", "%s was deleted.", func(ctx context.Context, t *task, k sallyport.OTPToken) (sallyport.OTPToken, error) {
		return k, t.DeleteOTPToken(ctx, t.actor, k.ID, k.Version)
	})
}

func newOTPSetPIN() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "set-pin USER", Short: "Give a user a PIN to type before the codes of an OTP token", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeUser()),
		Long: `The PIN, 4 to 16 digits, is read from standard input. It replaces the one before. It is typed right before the code, in the password's place, at
gateways whose whole log-in is in RADIUS, where the workflow policy allows pin+otp.`,
		Example: `  sallyport otp set-pin alice`,
	}, func(ctx context.Context, t *task, args []string) error {
		u, err := t.user(ctx, args[0])
		if err != nil {
			return err
		}
		pin, err := t.ask("New PIN: ")
		if err != nil {
			return err
		}
		if err := t.SetOTPPIN(ctx, t.actor, u.ID, pin); err != nil {
			return fieldWords(err)
		}
		return t.done(map[string]any{"account": u.Account, "pin": true}, "The PIN of %s was set.", u.Account)
	})
}

func newOTPDeletePIN() *cobra.Command {
	return asking(atDesk(&cobra.Command{
		Use: "delete-pin USER", Short: "Take the PIN from a user: without one, the password has to be given", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeUser()),
		Example: `  sallyport otp delete-pin alice --yes`,
	}, func(ctx context.Context, t *task, args []string) error {
		u, err := t.user(ctx, args[0])
		if err != nil {
			return err
		}
		if ok, err := t.sure(fmt.Sprintf("Delete the PIN of %s?", u.Account)); !ok || err != nil {
			return err
		}
		if err := t.DeleteOTPPIN(ctx, t.actor, u.ID); err != nil {
			return err
		}
		return t.done(map[string]any{"account": u.Account, "pin": false}, "The PIN was deleted.")
	}))
}
