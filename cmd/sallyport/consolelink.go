package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	appliance "github.com/sallyport/sallyport/appliance-connector"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

func newConsoleLink() *cobra.Command {
	var p place
	var o output
	var base string
	c := &cobra.Command{
		Use:   "console-link",
		Short: "Make the link for the console's first administrator",
		Long: `Makes a link with which somebody becomes the first super administrator of the console. It works once, for
a day, and only while there is no administrator; a new one makes the one before void. Others are added in
the console.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.with(c, func(ctx context.Context, a *opened) error {
				s, err := admin.New(appliance.Administration(a.store, a.trust, a.ring))
				if err != nil {
					return err
				}
				code, err := s.IssueSetupCode(ctx)
				if err != nil {
					return err
				}
				if base == "" {
					base = "https://" + net.JoinHostPort(hostname(), "8443")
				}
				// Behind "#", which browsers keep to themselves: the code is in no log on the way.
				link := strings.TrimSuffix(base, "/") + "/setup#" + string(code)
				v := map[string]string{"link": link, "expires": time.Now().Add(admin.SetupLife).UTC().Format(time.RFC3339)}
				return o.print(c.OutOrStdout(), v, func(w io.Writer) {
					_, _ = fmt.Fprintf(w, "Link:\t%s\nExpires:\t%s\n", v["link"], v["expires"])
				})
			})
		},
	}
	p.admin(c)
	c.Flags().StringVar(&base, "console-url", "", "the console's address for browsers (default: this host's name, port 8443)")
	o.flag(c)
	return c
}
