package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/appliance-connector/export"
	"github.com/sallyport/sallyport/appliance-connector/report"
)

func newReportCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "report", Short: "Reports as CSV: enrolled and unenrolled users, logins, RADIUS requests",
		Long: `Writes the CSV files that the console exports to standard output: UTF-8 for spreadsheets (RFC 4180, with a mark at the begin and a head),
times in UTC, and no cell that a spreadsheet would take for a formula. Rows are written as they are read. When the command fails,
what it wrote is not the whole.`,
		Example: `  sallyport report unenrolled > unenrolled.csv
  sallyport report logins --from 2026-11-01 --to 2026-11-30 > november.csv`,
	}
	c.AddCommand(newReportUsers("enrolled", "Users with a device", true),
		newReportUsers("unenrolled", "Users whose policy is live for remote access and who have no device, with their e-mail addresses", false),
		newReportLogins(), newReportRADIUS())
	return c
}

func newReportUsers(name, short string, enrolled bool) *cobra.Command {
	var f userFilter
	c := withOutput(&cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs, Example: "  sallyport report " + name + ` --policy Nurses > ` + name + ".csv",
	}, nil, func(ctx context.Context, t *task, _ []string) error {
		q, err := f.query(ctx, t.desk)
		if err != nil {
			return err
		}
		return export.Users(ctx, t.c.OutOrStdout(), t.Service, t.actor, report.Enrolment(q, enrolled))
	})
	f.whoFlags(c)
	return c
}

func newReportLogins() *cobra.Command {
	var f loginFilter
	c := withOutput(&cobra.Command{
		Use: "logins", Short: "Logins and how they ended, the newest first", Args: cobra.NoArgs, Example: `  sallyport report logins --outcome denied --since 30d > refused.csv`,
	}, nil, func(ctx context.Context, t *task, _ []string) error {
		q, err := f.query(ctx, t.desk)
		if err != nil {
			return err
		}
		return export.Logins(ctx, t.c.OutOrStdout(), t.Service, t.actor, q)
	})
	f.flags(c)
	return c
}

func newReportRADIUS() *cobra.Command {
	var f radiusFilter
	c := withOutput(&cobra.Command{
		Use: "radius", Short: "RADIUS requests and what the gateways were told, the newest first", Args: cobra.NoArgs, Example: `  sallyport report radius --since 7d > radius.csv`,
	}, nil, func(ctx context.Context, t *task, _ []string) error {
		q, err := f.query(ctx, t.desk)
		if err != nil {
			return err
		}
		return export.RADIUS(ctx, t.c.OutOrStdout(), t.Service, t.actor, q)
	})
	f.flags(c)
	return c
}
