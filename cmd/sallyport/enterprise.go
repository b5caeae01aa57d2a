package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/cloud/enterprise"
	"github.com/sallyport/sallyport/internal/redisconn"
)

func newEnterpriseCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "enterprise", Short: "Enterprises at the cloud: create, provisioning codes, appliances, revoke",
		Long: "Run these where the cloud's Redis can be reached.",
	}
	c.AddCommand(newEnterpriseCreate(), newEnterpriseCode(), newEnterpriseList(), newEnterpriseAppliances(), newEnterpriseRevoke())
	return c
}

// records is the way to the cloud's records.
type records struct {
	redis string
}

func (r *records) flags(c *cobra.Command) {
	configFlag(c)
	c.Flags().StringVar(&r.redis, "redis", "", "the cloud's Redis: redis:// or rediss:// URL")
}

func (r *records) with(c *cobra.Command, f func(context.Context, *enterprise.Store) error) (err error) {
	if err := fill(c); err != nil {
		return err
	}
	if r.redis == "" {
		return &usageError{errors.New("give --redis, SALLYPORT_REDIS, or --config with the cloud's file")}
	}
	client, err := redisconn.Open(c.Context(), r.redis)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return f(c.Context(), enterprise.New(client, time.Now))
}

func newEnterpriseCreate() *cobra.Command {
	var r records
	var o output
	var name string
	c := &cobra.Command{
		Use: "create --name NAME", Short: "Create an enterprise, and the provisioning code for its first appliance",
		Example: `  sallyport enterprise create --name "St. Mary's Hospital" --redis redis://localhost`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return r.with(c, func(ctx context.Context, s *enterprise.Store) error {
				e, code, err := s.Create(ctx, name)
				if err != nil {
					return err
				}
				return printCode(c, &o, e.ID, e.Name, code, enterprise.DefaultCodeTTL)
			})
		},
	}
	r.flags(c)
	o.flag(c)
	c.Flags().StringVar(&name, "name", "", "what the enterprise is called; users see it on the phone")
	_ = c.MarkFlagRequired("name")
	return c
}

func printCode(c *cobra.Command, o *output, id sallyport.TenantID, name string, code sallyport.Secret, ttl time.Duration) error {
	v := map[string]string{"enterpriseId": string(id), "name": name, "provisioningCode": string(code), "expires": time.Now().Add(ttl).UTC().Format(time.RFC3339)}
	return o.print(c.OutOrStdout(), v, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "Enterprise:\t%s\nEnterprise id:\t%s\nProvisioning code:\t%s\nExpires:\t%s\n", name, id, v["provisioningCode"], v["expires"])
		_, _ = fmt.Fprintln(w, "\nThe code is shown once and works once. Give both to whoever sets up the appliance: sallyport appliance trust")
	})
}

func newEnterpriseCode() *cobra.Command {
	var r records
	var o output
	var ttl time.Duration
	c := &cobra.Command{
		Use: "code ENTERPRISE-ID", Short: "Make another provisioning code, as for a further appliance", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return r.with(c, func(ctx context.Context, s *enterprise.Store) error {
				e, err := s.Get(ctx, sallyport.TenantID(args[0]))
				if err != nil {
					return err
				}
				code, err := s.NewCode(ctx, e.ID, ttl)
				if err != nil {
					return err
				}
				return printCode(c, &o, e.ID, e.Name, code, ttl)
			})
		},
	}
	r.flags(c)
	o.flag(c)
	c.Flags().DurationVar(&ttl, "expires", enterprise.DefaultCodeTTL, "how long the code can be used")
	return c
}

func newEnterpriseList() *cobra.Command {
	var r records
	var o output
	c := &cobra.Command{
		Use: "list", Short: "List the enterprises", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return r.with(c, func(ctx context.Context, s *enterprise.Store) error {
				list, err := s.List(ctx)
				if err != nil {
					return err
				}
				type line struct {
					ID      sallyport.TenantID `json:"id"`
					Name    string             `json:"name"`
					Created time.Time          `json:"created"`
				}
				lines := make([]line, 0, len(list))
				for _, e := range list {
					lines = append(lines, line(e))
				}
				return o.print(c.OutOrStdout(), lines, func(w io.Writer) {
					_, _ = fmt.Fprintln(w, "NAME\tCREATED\tID")
					for _, l := range lines {
						_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", l.Name, l.Created.Format(time.DateTime), l.ID)
					}
				})
			})
		},
	}
	r.flags(c)
	o.flag(c)
	return c
}

func newEnterpriseAppliances() *cobra.Command {
	var r records
	var o output
	c := &cobra.Command{
		Use: "appliances ENTERPRISE-ID", Short: "List the appliances of an enterprise", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return r.with(c, func(ctx context.Context, s *enterprise.Store) error {
				list, err := s.Appliances(ctx, sallyport.TenantID(args[0]))
				if err != nil {
					return err
				}
				type line struct {
					ID      sallyport.ApplianceID `json:"id"`
					Name    string                `json:"name"`
					Trusted time.Time             `json:"trusted"`
					Expires time.Time             `json:"certificateExpires"`
					Revoked bool                  `json:"revoked"`
				}
				lines := make([]line, 0, len(list))
				for _, a := range list {
					lines = append(lines, line{a.ID, a.Name, a.Trusted, a.Expires, a.Revoked})
				}
				return o.print(c.OutOrStdout(), lines, func(w io.Writer) {
					_, _ = fmt.Fprintln(w, "NAME\tTRUSTED\tCERTIFICATE EXPIRES\tSTATE\tID")
					for _, l := range lines {
						state := "trusted"
						if l.Revoked {
							state = "revoked"
						}
						_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", l.Name, l.Trusted.Format(time.DateTime), l.Expires.Format(time.DateTime), state, l.ID)
					}
				})
			})
		},
	}
	r.flags(c)
	o.flag(c)
	return c
}

func newEnterpriseRevoke() *cobra.Command {
	var r records
	var yes bool
	c := &cobra.Command{
		Use: "revoke ENTERPRISE-ID APPLIANCE-ID", Short: "Cut an appliance off, for good", Args: cobra.ExactArgs(2),
		Long: "Cuts an appliance off from cloud and token service within seconds. It cannot be undone: to have it back, establish trust anew.",
		RunE: func(c *cobra.Command, args []string) error {
			return r.with(c, func(ctx context.Context, s *enterprise.Store) error {
				if ok, err := confirm(c, yes, "Cut this appliance off for good?"); !ok || err != nil {
					return err
				}
				if err := s.Revoke(ctx, sallyport.TenantID(args[0]), sallyport.ApplianceID(args[1])); err != nil {
					return err
				}
				_, err := fmt.Fprintln(c.OutOrStdout(), "Revoked.")
				return err
			})
		},
	}
	r.flags(c)
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}
