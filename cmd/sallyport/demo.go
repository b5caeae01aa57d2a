package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/cmd/sallyport/demo"
)

func newDemoCommand() *cobra.Command {
	var o demo.Options
	var logFile string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run everything on this machine and look at it",
		Long: fmt.Sprintf(`Runs all of Sallyport on this machine, with nothing to configure: a stand-in BIG-IP, its directory, the
cloud, the token service, an appliance, and a phone in the browser. Prints the addresses, a user to try,
and what happens, step by step. Everything listens on loopback only and ends with Ctrl-C.

It takes %d ports, from --port-base on.`, demo.Ports),
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if err := fill(c); err != nil {
				return err
			}
			if o.PortBase < 1024 || o.PortBase > 65535-demo.Ports {
				return &usageError{fmt.Errorf("--port-base: use 1024 to %d", 65535-demo.Ports)}
			}
			if logFile != "" {
				f, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
				if err != nil {
					return err
				}
				defer func() { _ = f.Close() }()
				o.Log = f
			}
			o.Out, o.Version, o.Enrol = c.OutOrStdout(), version(), enrolHere
			return demo.Run(c.Context(), o)
		},
	}
	c.Flags().IntVar(&o.PortBase, "port-base", 8800, "first of the ports")
	c.Flags().StringVar(&o.ReadyFile, "ready-file", "", "write addresses and users to this file, as JSON, once everything answers")
	c.Flags().StringVar(&logFile, "log-file", "", "where the whole log goes")
	return c
}

// enrolHere is 'sallyport authenticator enrol' in this process.
func enrolHere(ctx context.Context, link, dir string) error {
	var said bytes.Buffer
	args := []string{"authenticator", "enrol", "-", "--name", "Command line", "--store", dir}
	if code := run(ctx, args, strings.NewReader(link), io.Discard, &said); code != 0 {
		return fmt.Errorf("sallyport authenticator enrol: %s", strings.TrimSpace(said.String()))
	}
	return nil
}
