package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
)

func newUserCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "user", Short: "Users of the directories: find, show, give policies, devices, phone numbers, passkeys",
		Long: `Run these on an appliance. A running appliance takes a change within a second or two.
USER is an account (HOSPITAL\alice), a log-in name (alice@hospital.example), the name alone as long as one user has it,
or an id. In a shell, write HOSPITAL\alice between quotes.`,
		Example: `  sallyport user list --search "ali ward" --unenrolled
  sallyport user show alice@hospital.example
  sallyport user assign-policy Nurses --ou "OU=Ward 3,DC=hospital,DC=example"`,
	}
	c.AddCommand(newUserList(), newUserShow(), newUserAssign(), newUserRelease(), newUserRequire(), newUserDevices(), newUserRemoveDevice(), newUserPhone(), newUserPasskey(), newUserRemembered(), newUserForget())
	return c
}

// userLine is a user for programs.
type userLine struct {
	ID                sallyport.UserID       `json:"id"`
	Account           sallyport.AccountName  `json:"account"`
	Name              string                 `json:"name"`
	LoginName         string                 `json:"loginName"`
	Mail              string                 `json:"mail"`
	DN                string                 `json:"dn"`
	Domain            sallyport.DomainID     `json:"domain"`
	State             sallyport.UserState    `json:"state"`
	Policy            string                 `json:"policy"`
	PolicyID          sallyport.UserPolicyID `json:"policyId"`
	PolicyFrom        sallyport.PolicySource `json:"policyFrom"`
	SecondFactorSince time.Time              `json:"secondFactorSince,omitzero"`
	Synchronised      time.Time              `json:"synchronised,omitzero"`
}

func lineOfUser(u sallyport.User, policies map[sallyport.UserPolicyID]string) userLine {
	return userLine{ID: u.ID, Account: u.Account, Name: u.DisplayName, LoginName: u.UPN, Mail: u.Mail, DN: u.DN, Domain: u.Domain, State: u.State,
		Policy: policies[u.Policy], PolicyID: u.Policy, PolicyFrom: u.PolicyFrom, SecondFactorSince: u.SecondFactorSince, Synchronised: u.Synchronised}
}

func newUserList() *cobra.Command {
	var f userFilter
	c := atDesk(&cobra.Command{
		Use: "list", Short: "List users, all of those that the flags leave", Args: cobra.NoArgs,
		Example: `  sallyport user list --search alice
  sallyport user list --policy Nurses --unenrolled --live -o json
  sallyport user list --ou "OU=Ward 3,DC=hospital,DC=example" --state disabled`,
	}, func(ctx context.Context, t *task, _ []string) error {
		q, err := f.query(ctx, t.desk)
		if err != nil {
			return err
		}
		policies, err := t.policyNames(ctx)
		if err != nil {
			return err
		}
		return t.list([]string{"NAME", "ACCOUNT", "LOG-IN NAME", "STATE", "POLICY", "BY", "SYNCHRONISED"}, func(line func(any, ...string) error) error {
			return t.eachUser(ctx, q, func(u sallyport.User) error {
				return line(lineOfUser(u, policies), u.DisplayName, string(u.Account), u.UPN, string(u.State), policies[u.Policy], string(u.PolicyFrom), when(u.Synchronised))
			})
		})
	})
	f.flags(c)
	return c
}

// recentLogins is how many logins are shown of a user.
const recentLogins = 10

// userShown is all that is shown of a user.
type userShown struct {
	userLine
	Devices        []deviceLine        `json:"devices"`
	Phones         []phoneLine         `json:"phones"`
	Passkeys       []passkeyLine       `json:"passkeys"`
	Remembered     []rememberedLine    `json:"rememberedDevices"`
	TemporaryCodes []temporaryCodeLine `json:"temporaryCodes"`
	Logins         []loginLine         `json:"recentLogins"`
}

func (t *task) userShown(ctx context.Context, u sallyport.User) (v userShown, err error) {
	policies, err := t.policyNames(ctx)
	if err != nil {
		return v, err
	}
	v.userLine = lineOfUser(u, policies)
	devices, err := t.Devices(ctx, t.actor, u.ID)
	if err != nil {
		return v, err
	}
	v.Devices = each(devices, lineOfDevice)
	phones, err := t.Phones(ctx, t.actor, u.ID)
	if err != nil {
		return v, err
	}
	v.Phones = each(phones, lineOfPhone)
	passkeys, err := t.UserPasskeys(ctx, t.actor, u.ID)
	if err != nil {
		return v, err
	}
	v.Passkeys = each(passkeys, lineOfPasskey)
	browsers, err := t.RememberedDevices(ctx, t.actor, u.ID)
	if err != nil {
		return v, err
	}
	v.Remembered = each(browsers, lineOfRemembered)
	codes, err := t.TemporaryCodes(ctx, t.actor, u.ID)
	if err != nil {
		return v, err
	}
	v.TemporaryCodes = each(codes, lineOfTemporaryCode(time.Now()))
	page, err := t.UserLogins(ctx, t.actor, u.ID, "", recentLogins)
	v.Logins = each(page.Logins, lineOfLogin)
	return v, err
}

// each makes a list of another one; never null for programs.
func each[A, B any](list []A, f func(A) B) []B {
	out := make([]B, 0, len(list))
	for _, v := range list {
		out = append(out, f(v))
	}
	return out
}

func newUserShow() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "show USER", Short: "Show a user: account, policy, devices, phone numbers, passkeys, temporary codes, latest logins", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeUser()),
		Example: `  sallyport user show 'HOSPITAL\alice'`,
	}, func(ctx context.Context, t *task, args []string) error {
		u, err := t.user(ctx, args[0])
		if err != nil {
			return err
		}
		v, err := t.userShown(ctx, u)
		if err != nil {
			return err
		}
		return t.show(v, func(w io.Writer) {
			required := ""
			if !v.SecondFactorSince.IsZero() {
				required = "asked again on devices remembered before " + when(v.SecondFactorSince)
			}
			writeFacts(w, [2]string{"Name", v.Name}, [2]string{"Account", string(v.Account)}, [2]string{"Id", string(v.ID)}, [2]string{"State", string(v.State)},
				[2]string{"Log-in name", v.LoginName}, [2]string{"E-mail", v.Mail}, [2]string{"In the directory", v.DN},
				[2]string{"User policy", v.Policy + ", by " + string(v.PolicyFrom)}, [2]string{"Second factor", required}, [2]string{"Synchronised", when(v.Synchronised)})
			writeDevices(w, v.Devices)
			for _, p := range v.Phones {
				_, _ = fmt.Fprintf(w, "Phone number:\t%s\n", printable(fmt.Sprintf("ends in %s, enrolled %s, id %s", p.Tail, when(p.Enrolled), p.ID)))
			}
			for _, p := range v.Passkeys {
				_, _ = fmt.Fprintf(w, "Passkey:\t%s\n", printable(p.words()))
			}
			for _, d := range v.Remembered {
				_, _ = fmt.Fprintf(w, "Remembered device:\t%s\n", printable(d.words()))
			}
			for _, code := range v.TemporaryCodes {
				_, _ = fmt.Fprintf(w, "Temporary code:\t%s\n", printable(code.words()))
			}
			for _, l := range v.Logins {
				_, _ = fmt.Fprintf(w, "Login %s:\t%s\n", when(l.Time), printable(l.words()))
			}
		})
	})
}
