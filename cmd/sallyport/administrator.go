package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

func newAdministratorCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "administrator", Short: "Administrators of the console: list, show, add, edit, remove, reset, roles by directory group",
		Long: `Who may sign in to the console, and what they may do. Whoever runs these at an appliance's terminal may do what a super administrator may,
and the audit trail has their name. Sessions and API tokens are the business of their owners, in the console. NAME is a sign-in name or an id.`,
		Example: `  sallyport administrator add olive --display-name "Olive Ong" --role helpdesk --ou "OU=Ward 3,DC=hospital,DC=example"
  sallyport administrator reset-second-factor olive
  sallyport administrator roles add --group "CN=VPN help desk,OU=Groups,DC=hospital,DC=example" --role helpdesk`,
	}
	c.AddCommand(newAdministratorList(), newAdministratorShow(), newAdministratorAdd(), newAdministratorEdit(), newAdministratorRemove(),
		newAdministratorPassword(), newAdministratorFactor(), newAdministratorRemoveFactor(), newRoles())
	return c
}

// administratorLine is an administrator for programs.
type administratorLine struct {
	ID          sallyport.AdministratorID `json:"id"`
	Name        string                    `json:"name"`
	DisplayName string                    `json:"displayName"`
	Mail        string                    `json:"mail"`
	Role        sallyport.Role            `json:"role"`
	ByGroup     bool                      `json:"byGroup"`
	OUs         []string                  `json:"ous"`
	Policies    []sallyport.UserPolicyID  `json:"policies"`
	Directory   bool                      `json:"directory"`
	Disabled    bool                      `json:"disabled"`
	Created     time.Time                 `json:"created"`
	LastSeen    time.Time                 `json:"lastSeen,omitzero"`
	Version     int64                     `json:"version"`
	Password    string                    `json:"password,omitempty"` // one that was just made
}

func lineOfAdministrator(a sallyport.Administrator) administratorLine {
	return administratorLine{ID: a.ID, Name: a.Name, DisplayName: a.DisplayName, Mail: a.Mail, Role: a.Role, ByGroup: admin.Granted(a), OUs: orEmpty(a.Scope.OUs),
		Policies: orEmpty(a.Scope.Policies), Directory: a.Directory, Disabled: a.Disabled, Created: a.Created, LastSeen: a.LastSeen, Version: a.Version}
}

func (d *desk) administrator(ctx context.Context, word string) (sallyport.Administrator, error) {
	list, err := d.Administrators(ctx, d.actor)
	if err != nil {
		return sallyport.Administrator{}, err
	}
	return lookUp(list, "administrator", "sallyport administrator list", word, func(a sallyport.Administrator) []string { return []string{string(a.ID), a.Name} })
}

func completeAdministrator() cobra.CompletionFunc {
	return completing(func(ctx context.Context, d *desk, _ string) (out []cobra.Completion, err error) {
		list, err := d.Administrators(ctx, d.actor)
		for _, a := range list {
			out = append(out, cobra.CompletionWithDesc(a.Name, a.DisplayName))
		}
		return out, err
	})
}

// scopeWords says whom somebody looks after.
func scopeWords(s sallyport.Scope, policies map[sallyport.UserPolicyID]string) string {
	if s.Unlimited() {
		return "everybody"
	}
	parts := slices.Clone(s.OUs)
	for _, id := range s.Policies {
		parts = append(parts, "users of "+policies[id])
	}
	return strings.Join(parts, "; ")
}

func newAdministratorList() *cobra.Command {
	var search, role string
	c := atDesk(&cobra.Command{
		Use: "list", Short: "List the administrators", Args: cobra.NoArgs, Example: `  sallyport administrator list --role helpdesk`,
	}, func(ctx context.Context, t *task, _ []string) error {
		if err := checkRole(role); role != "" && err != nil {
			return err
		}
		list, err := t.Administrators(ctx, t.actor)
		if err != nil {
			return err
		}
		policies, err := t.policyNames(ctx)
		if err != nil {
			return err
		}
		return t.list([]string{"NAME", "DISPLAY NAME", "ROLE", "LOOKS AFTER", "DISABLED", "LAST SEEN", "ID"}, func(line func(any, ...string) error) error {
			for _, a := range list {
				if role != "" && string(a.Role) != role || !hasWords(search, a.Name, a.DisplayName, a.Mail) {
					continue
				}
				if err := line(lineOfAdministrator(a), a.Name, a.DisplayName, string(a.Role), scopeWords(a.Scope, policies), yesNo(a.Disabled), when(a.LastSeen), string(a.ID)); err != nil {
					return err
				}
			}
			return nil
		})
	})
	c.Flags().StringVar(&search, "search", "", "those with these words in name or e-mail address")
	c.Flags().StringVar(&role, "role", "", "those with this role")
	completes(c, cobra.NoFileCompletions, "search")
	completes(c, completeRole(), "role")
	return c
}

// hasWords reports whether each word of a search is in one of the texts.
func hasWords(search string, texts ...string) bool {
	all := strings.ToLower(strings.Join(texts, " "))
	for _, w := range strings.Fields(strings.ToLower(search)) {
		if !strings.Contains(all, w) {
			return false
		}
	}
	return true
}

func checkRole(word string) error {
	roles := admin.RolesUpTo(sallyport.RoleSuper)
	if !slices.Contains(roles, sallyport.Role(word)) {
		return wrongWord("role", word, roles...)
	}
	return nil
}

func completeRole() cobra.CompletionFunc { return values(admin.RolesUpTo(sallyport.RoleSuper)...) }

func newAdministratorShow() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "show NAME", Short: "Show an administrator and their second factors", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeAdministrator()),
		Example: `  sallyport administrator show olive`,
	}, func(ctx context.Context, t *task, args []string) error {
		a, err := t.administrator(ctx, args[0])
		if err != nil {
			return err
		}
		f, err := t.AdministratorFactors(ctx, t.actor, a.ID)
		if err != nil {
			return err
		}
		policies, err := t.policyNames(ctx)
		if err != nil {
			return err
		}
		v := struct {
			administratorLine
			Passkeys      []string `json:"passkeys"`
			TOTP          bool     `json:"totp"`
			RecoveryCodes int      `json:"recoveryCodes"`
		}{lineOfAdministrator(a), each(f.Passkeys, func(k admin.Passkey) string { return k.Name }), f.TOTP, f.Recovery}
		role, password := string(a.Role), "kept here"
		if v.ByGroup {
			role += ", by a directory group"
		}
		if a.Directory {
			password = "the directory's"
		}
		return t.facts(v, [2]string{"Name", a.Name}, [2]string{"Display name", a.DisplayName}, [2]string{"Id", string(a.ID)}, [2]string{"E-mail", a.Mail}, [2]string{"Role", role},
			[2]string{"Looks after", scopeWords(a.Scope, policies)}, [2]string{"Password", password}, [2]string{"Disabled", yesNo(a.Disabled)},
			[2]string{"Passkeys", orNone(strings.Join(v.Passkeys, ", "))}, [2]string{"Code generator", yesNo(f.TOTP)}, [2]string{"Recovery codes left", strconv.Itoa(f.Recovery)},
			[2]string{"Made", when(a.Created)}, [2]string{"Last seen", when(a.LastSeen)}, [2]string{"Version", strconv.FormatInt(a.Version, 10)})
	})
}
