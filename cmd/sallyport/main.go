// Command sallyport is every role of Sallyport in one binary: the cloud service, the token service,
// the appliance, a device on the command line, the demo, and the administrative commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program: 0 when it went well, 1 when it failed, 2 when it was called wrongly.
func run(ctx context.Context, args []string, in io.Reader, out, errw io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errw)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil, errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return 0
	case errors.As(err, new(*usageError)):
		_, _ = fmt.Fprintf(errw, "sallyport: %v\n", err)
		return 2
	}
	_, _ = fmt.Fprintf(errw, "sallyport: %s\n", explain(err))
	return 1
}

// explain says an error to the person at the terminal: the words meant for people first, then the
// cause, since here the person is the operator.
func explain(err error) string {
	var fields admin.FieldErrors
	if errors.As(err, &fields) {
		return fields.Error()
	}
	var e *sallyport.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	s := e.Message
	if e.Err != nil {
		s += " (" + e.Err.Error() + ")"
	}
	if e.SupportCode != "" {
		s += " Support code: " + e.SupportCode + "."
	}
	return s
}

// usageError is a command that was called wrongly.
type usageError struct{ error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "sallyport",
		Short: "Two-factor remote access for VPN gateways",
		Long: `Sallyport puts a second door on a VPN gateway: user name and password, then a number
typed on the phone. One binary holds every part of it.

To see all of it on this machine, with nothing to configure:  sallyport demo`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())}
	})
	root.AddCommand(
		newCloudCommand(), newTokenServiceCommand(), newApplianceCommand(),
		newEnterpriseCommand(), newDomainCommand(), newIntegrationCommand(),
		newUserCommand(), newTemporaryCodeCommand(), newPolicyCommand(), newWorkflowCommand(), newEnrolRuleCommand(), newOTPCommand(), newTokenServerCommand(),
		newLoginCommand(), newRADIUSRequestCommand(), newReportCommand(), newAuditCommand(), newAdministratorCommand(), newSettingsCommand(), newSiteCommand(), newAuthenticatorCommand(),
		newDemoCommand(), newConfigCommand(),
	)
	return root
}
