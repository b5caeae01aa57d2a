package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/radiusattr"
)

func newIntegrationAttributes() *cobra.Command {
	c := &cobra.Command{
		Use: "attributes", Short: "RADIUS attributes that a gateway is told, by group: list, add, remove, preview, known",
		Long: `A gateway may be told of a user's groups by RADIUS attributes in Access-Accept, standard ones and vendors'. A user
has those of all groups that they are in, and those for everybody, whichever factor they used.`,
		Example: `  sallyport integration attributes add "Hospital VPN" --group "CN=Doctors,OU=Groups,DC=hospital,DC=example" --attribute Class --value doctor
  sallyport integration attributes preview "Hospital VPN" --group "CN=Doctors,OU=Groups,DC=hospital,DC=example"
  sallyport integration attributes known F5`,
	}
	c.AddCommand(newAttributesList(), newAttributesAdd(), newAttributesRemove(), newAttributesPreview(), newAttributesKnown())
	return c
}

func attributeText(a sallyport.GroupAttribute) string {
	group := a.Group
	if group == "" {
		group = "everybody"
	}
	name := a.Name
	if name == "" {
		name = strconv.Itoa(int(a.Attribute))
		if a.Vendor != 0 {
			name = fmt.Sprintf("%d of vendor %d", a.Attribute, a.Vendor)
		}
	}
	return fmt.Sprintf("%s = %s\tfor %s", name, strings.Join(a.Values, ", "), group)
}

func newAttributesList() *cobra.Command {
	var p place
	var o output
	c := &cobra.Command{
		Use: "list ID", Short: "List the attributes of a gateway", Args: cobra.ExactArgs(1), ValidArgsFunction: p.complete,
		Example: `  sallyport integration attributes list "Hospital VPN"`,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withGateways(c, func(ctx context.Context, d *gatewayDesk) error {
				in, err := d.find(ctx, args[0])
				if err != nil {
					return err
				}
				return o.print(c.OutOrStdout(), orEmpty(in.Attributes), func(w io.Writer) {
					for n, a := range in.Attributes {
						_, _ = fmt.Fprintf(w, "%d\t%s\n", n+1, attributeText(a))
					}
				})
			})
		},
	}
	p.admin(c)
	o.flag(c)
	return c
}

// attributeFlags are what a person says of an attribute.
type attributeFlags struct {
	group, attribute, kind string
	vendor                 uint32
	values                 []string
}

// read finds the attribute by name or by numbers.
func (f *attributeFlags) read() (sallyport.GroupAttribute, error) {
	a := sallyport.GroupAttribute{Group: f.group, Vendor: f.vendor, Values: f.values, Type: sallyport.AttributeType(f.kind)}
	def, known := radiusattr.Standard().ByName(f.attribute)
	if n, err := strconv.ParseUint(f.attribute, 10, 8); err == nil {
		a.Attribute = uint8(n)
		def, known = radiusattr.Standard().Find(f.vendor, a.Attribute)
	} else if !known {
		return a, &usageError{fmt.Errorf("attribute %q is not known: 'sallyport integration attributes known' lists names; a number works as well, with --vendor and --type", f.attribute)}
	}
	if !known {
		if a.Type == "" {
			return a, &usageError{errors.New("this attribute is not known: say its --type")}
		}
		return a, nil
	}
	a.Vendor, a.Attribute, a.Name = def.Vendor, def.Attribute, def.Name
	if a.Type == "" {
		a.Type = def.Type
	}
	if f.kind == "" && def.Type == sallyport.AttributeOctets {
		a.Type = sallyport.AttributeText // Class, mostly; --type octets for the other
	}
	return a, nil
}

func newAttributesAdd() *cobra.Command {
	var p place
	var o output
	var f attributeFlags
	c := &cobra.Command{
		Use: "add ID", Short: "Tell a gateway an attribute", Args: cobra.ExactArgs(1), ValidArgsFunction: p.complete,
		Example: `  sallyport integration attributes add "Hospital VPN" --attribute Session-Timeout --value 28800
  sallyport integration attributes add "Hospital VPN" --group "CN=Doctors,OU=Groups,DC=hospital,DC=example" \
      --attribute Class --value doctor --value staff
  sallyport integration attributes add "Hospital VPN" --vendor 99999 --attribute 7 --type text --value x`,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withGateways(c, func(ctx context.Context, d *gatewayDesk) error {
				a, err := f.read()
				if err != nil {
					return err
				}
				in, err := d.find(ctx, args[0])
				if err != nil {
					return err
				}
				in.Attributes = append(slices.Clone(in.Attributes), a)
				return d.save(ctx, c, &o, in)
			})
		},
	}
	p.admin(c)
	o.flag(c)
	fl := c.Flags()
	fl.StringVar(&f.group, "group", "", "DN of the group whose members have it (default: everybody has it)")
	fl.StringVar(&f.attribute, "attribute", "", "name, or number")
	fl.Uint32Var(&f.vendor, "vendor", 0, "the vendor's enterprise number, with a number in --attribute")
	fl.StringVar(&f.kind, "type", "", "text, integer, ipaddr, ipv6addr or octets (default: the attribute's own)")
	fl.StringArrayVar(&f.values, "value", nil, "value; may be given more than once")
	for _, name := range []string{"attribute", "value"} {
		_ = c.MarkFlagRequired(name)
	}
	_ = c.RegisterFlagCompletionFunc("type", cobra.FixedCompletions([]string{"text", "integer", "ipaddr", "ipv6addr", "octets"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("attribute", func(*cobra.Command, []string, string) (out []cobra.Completion, _ cobra.ShellCompDirective) {
		for _, def := range settable("") {
			out = append(out, def.Name)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

func newAttributesRemove() *cobra.Command {
	var p place
	var o output
	var yes bool
	c := &cobra.Command{
		Use: "remove ID NUMBER", Short: "Stop telling a gateway an attribute; NUMBER is its place in the list", Args: cobra.ExactArgs(2), ValidArgsFunction: p.complete,
		Example: `  sallyport integration attributes remove "Hospital VPN" 2`,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withGateways(c, func(ctx context.Context, d *gatewayDesk) error {
				in, err := d.find(ctx, args[0])
				if err != nil {
					return err
				}
				n, err := strconv.Atoi(args[1])
				if err != nil || n < 1 || n > len(in.Attributes) {
					return &usageError{fmt.Errorf("attribute %q: %s has %d", args[1], in.Nickname, len(in.Attributes))}
				}
				if ok, err := confirm(c, yes, "Remove "+strings.ReplaceAll(attributeText(in.Attributes[n-1]), "\t", " ")+"?"); !ok || err != nil {
					return err
				}
				in.Attributes = slices.Delete(slices.Clone(in.Attributes), n-1, n)
				return d.save(ctx, c, &o, in)
			})
		},
	}
	p.admin(c)
	o.flag(c)
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func newAttributesPreview() *cobra.Command {
	var p place
	var o output
	var groups []string
	c := &cobra.Command{
		Use: "preview ID", Short: "Show what a gateway is told of somebody in some groups", Args: cobra.ExactArgs(1), ValidArgsFunction: p.complete,
		Example: `  sallyport integration attributes preview "Hospital VPN" --group "CN=Doctors,OU=Groups,DC=hospital,DC=example"`,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withGateways(c, func(ctx context.Context, d *gatewayDesk) error {
				in, err := d.find(ctx, args[0])
				if err != nil {
					return err
				}
				list, err := d.PreviewAttributes(ctx, d.actor, in, groups, "")
				if err != nil {
					return err
				}
				return o.print(c.OutOrStdout(), list, func(w io.Writer) {
					for _, a := range list {
						_, _ = fmt.Fprintf(w, "%s = %s\n", a.Name, a.Value)
					}
				})
			})
		},
	}
	p.admin(c)
	o.flag(c)
	c.Flags().StringArrayVar(&groups, "group", nil, "DN of a group; may be given more than once")
	return c
}

// settable are the known attributes that may be set and whose name has text in it.
func settable(text string) (out []radiusattr.Definition) {
	for _, def := range radiusattr.Standard().All() {
		if radiusattr.Forbidden(def.Vendor, def.Attribute) == "" && strings.Contains(strings.ToLower(def.Name+" "+def.VendorName), strings.ToLower(text)) {
			out = append(out, def)
		}
	}
	return out
}

func newAttributesKnown() *cobra.Command {
	var o output
	c := &cobra.Command{
		Use: "known [TEXT]", Short: "List the attributes that are known by name, those with TEXT in it", Args: cobra.MaximumNArgs(1),
		Example: `  sallyport integration attributes known F5`,
		RunE: func(c *cobra.Command, args []string) error {
			type line struct {
				Name      string                  `json:"name"`
				Vendor    uint32                  `json:"vendor"`
				Attribute uint8                   `json:"attribute"`
				Type      sallyport.AttributeType `json:"type"`
				Values    []string                `json:"values"`
			}
			lines := []line{}
			for _, def := range settable(strings.Join(args, "")) {
				l := line{def.Name, def.Vendor, def.Attribute, def.Type, []string{}}
				for _, v := range def.Values {
					l.Values = append(l.Values, v.Name)
				}
				lines = append(lines, l)
			}
			return o.print(c.OutOrStdout(), lines, func(w io.Writer) {
				_, _ = fmt.Fprintln(w, "NAME\tVENDOR\tNUMBER\tTYPE\tVALUES WITH A NAME")
				for _, l := range lines {
					_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\n", l.Name, l.Vendor, l.Attribute, l.Type, strings.Join(l.Values, ", "))
				}
			})
		},
	}
	o.flag(c)
	return c
}
