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
	var base, listen string
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
					if base, err = consoleAt(listen); err != nil {
						return err
					}
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
	c.Flags().StringVar(&base, "console-url", "", "the console's address for browsers (default: this host's name and the port of --console-listen)")
	c.Flags().StringVar(&listen, "console-listen", ":8443", "where the appliance has its console, as in its configuration")
	o.flag(c)
	return c
}

// consoleAt is the address for browsers of a console that listens at listen.
func consoleAt(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("this appliance has no console at %q; see console-listen in its configuration: %w", listen, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = hostname()
	}
	return "https://" + net.JoinHostPort(host, port), nil
}
