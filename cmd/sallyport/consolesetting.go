package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
)

func newSettingsCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "settings", Short: "Settings that all appliances share: show and edit those of the console, and the gateway for text messages",
		Long:    `These are kept in the store. What an appliance itself is started with is shown by 'sallyport config check'.`,
		Example: `  sallyport settings edit --idle 30m`,
	}
	c.AddCommand(newSettingsShow(), newSettingsEdit(), newSettingsSetLanguage(), newSettingsSMS(), newSettingsAttestation())
	return c
}

func (t *task) showSettings(ctx context.Context) error {
	v, err := t.ConsoleSettings(ctx, t.actor)
	if err != nil {
		return err
	}
	l, err := t.LanguageSettings(ctx, t.actor)
	if err != nil {
		return err
	}
	return t.facts(map[string]any{"idle": v.Idle.String(), "version": v.Version, "language": l.Default},
		[2]string{"A session ends without a request after", lengthWords(v.Idle)}, [2]string{"Version", strconv.FormatInt(v.Version, 10)},
		[2]string{"Language of users", orNone(sallyport.LanguageName(l.Default))})
}

func newSettingsSetLanguage() *cobra.Command {
	const none = "none"
	return atDesk(&cobra.Command{
		Use: "set-language LANGUAGE", Short: "Say in which language users are spoken to where nothing else says one", Args: cobra.ExactArgs(1),
		Long: `LANGUAGE is en, es, fr, de, ar or tr, or "none". A browser that asks for one of them gets that one, and an integration may have its own.
Scripts that are pasted already keep theirs.`,
		Example:           `  sallyport settings set-language de`,
		ValidArgsFunction: firstArg(values(append(sallyport.Languages(), none)...)),
	}, func(ctx context.Context, t *task, args []string) error {
		v, err := t.LanguageSettings(ctx, t.actor)
		if err != nil {
			return err
		}
		if v.Default = args[0]; v.Default == none {
			v.Default = ""
		}
		if err := t.SetLanguageSettings(ctx, t.actor, v); err != nil {
			return fieldWords(err)
		}
		return t.showSettings(ctx)
	})
}

func newSettingsShow() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "show", Short: "Show the settings", Args: cobra.NoArgs, Example: `  sallyport settings show -o json`,
	}, func(ctx context.Context, t *task, _ []string) error { return t.showSettings(ctx) })
}

func newSettingsEdit() *cobra.Command {
	var idle time.Duration
	c := versioned(atDesk(&cobra.Command{
		Use: "edit", Short: "Change settings; what is not given stays as it is", Args: cobra.NoArgs,
		Long:    `They count for sessions that begin from now on.`,
		Example: `  sallyport settings edit --idle 30m`,
	}, func(ctx context.Context, t *task, _ []string) error {
		if err := t.somethingGiven(); err != nil {
			return err
		}
		v, err := t.ConsoleSettings(ctx, t.actor)
		if err != nil {
			return err
		}
		set(t, "idle", &v.Idle, idle)
		v.Version = t.seen(v.Version)
		if err := t.SetConsoleSettings(ctx, t.actor, v); err != nil {
			return fieldWords(err)
		}
		return t.showSettings(ctx)
	}))
	c.Flags().DurationVar(&idle, "idle", 0, "how long a session lasts without a request: 1m to 8h")
	completes(c, values("5m", "15m", "30m", "1h"), "idle")
	return c
}
