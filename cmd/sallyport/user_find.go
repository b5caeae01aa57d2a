package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// user returns the user that a word means: an id, HOSPITAL\alice, alice@hospital.example, or alice alone as
// long as there is one of them. One who was removed is found when there is no other.
func (d *desk) user(ctx context.Context, word string) (sallyport.User, error) {
	if sallyport.ValidID(word) {
		u, err := d.User(ctx, d.actor, sallyport.UserID(word))
		if err == nil || sallyport.ErrorCode(err) != sallyport.CodeNotFound {
			return u, err
		}
	}
	for _, state := range []sallyport.UserState{"", sallyport.UserRemoved} {
		found, err := d.usersNamed(ctx, word, state)
		switch {
		case err != nil:
			return sallyport.User{}, err
		case len(found) == 1:
			return found[0], nil
		case len(found) > 1:
			var accounts []string
			for _, u := range found {
				accounts = append(accounts, string(u.Account))
			}
			return sallyport.User{}, sallyport.Errorf(sallyport.CodeConflict,
				fmt.Sprintf("%q is %d users: %s. Say which, or use an id.", word, len(found), strings.Join(accounts, ", ")), nil)
		}
	}
	return sallyport.User{}, sallyport.Errorf(sallyport.CodeNotFound, fmt.Sprintf("There is no user %q. 'sallyport user list --search WORDS' finds users.", word), nil)
}

// usersNamed are those whose name the word is, not only the beginning of it.
func (d *desk) usersNamed(ctx context.Context, word string, state sallyport.UserState) (out []sallyport.User, err error) {
	err = d.eachUser(ctx, store.UserQuery{Text: word, State: state}, func(u sallyport.User) error {
		names := []string{string(u.Account), u.Account.User(), u.UPN, u.Mail}
		if slices.ContainsFunc(names, func(name string) bool { return name != "" && strings.EqualFold(name, word) }) {
			out = append(out, u)
		}
		return nil
	})
	return out, err
}

// userPage is how many users are read at a time.
const userPage = 500

// eachUser calls each with every user that is meant, by display name.
func (d *desk) eachUser(ctx context.Context, q store.UserQuery, each func(sallyport.User) error) error {
	q.Most = userPage
	return pages(func(after string) ([]sallyport.User, string, error) {
		q.After = after
		p, err := d.Users(ctx, d.actor, q)
		return p.Users, p.Next, err
	}, each)
}

// mostOffered is how many users completion offers.
const mostOffered = 50

// completeUser offers those whose names begin with what was typed.
func completeUser() cobra.CompletionFunc {
	return completing(func(ctx context.Context, d *desk, begun string) (out []cobra.Completion, err error) {
		page, err := d.Users(ctx, d.actor, store.UserQuery{Text: begun, Most: mostOffered})
		for _, u := range page.Users {
			name := string(u.Account)
			switch {
			case hasPrefixFold(u.UPN, begun):
				name = u.UPN
			case hasPrefixFold(u.Account.User(), begun):
				name = u.Account.User()
			}
			out = append(out, cobra.CompletionWithDesc(printable(name), printable(u.DisplayName)))
		}
		return out, err
	})
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// userFilter is which users a command is about.
type userFilter struct {
	search, policy, domain, ou, state string
	enrolled, unenrolled, live        bool
}

// filters are the names of its flags.
var filters = [...]string{"search", "policy", "domain", "ou", "state", "enrolled", "unenrolled", "live"}

func (u *userFilter) flags(c *cobra.Command) {
	u.whoFlags(c)
	f := c.Flags()
	f.StringVar(&u.state, "state", "", "active, disabled or removed (default: active and disabled)")
	f.BoolVar(&u.enrolled, "enrolled", false, "users with a device")
	f.BoolVar(&u.unenrolled, "unenrolled", false, "users without one")
	f.BoolVar(&u.live, "live", false, "users whose policy is live for remote access and consumes a licence")
	c.MarkFlagsMutuallyExclusive("enrolled", "unenrolled")
	completes(c, values(sallyport.UserActive, sallyport.UserDisabled, sallyport.UserRemoved), "state")
}

// whoFlags are those that say whose users are meant, whatever became of them.
func (u *userFilter) whoFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&u.search, "search", "", "users with these words in name, account or e-mail address; the beginning of a word is enough")
	f.StringVar(&u.policy, "policy", "", "users who have this user policy")
	f.StringVar(&u.domain, "domain", "", "users of this domain: its DNS name or id")
	f.StringVar(&u.ou, "ou", "", "users below this OU: its DN")
	completes(c, cobra.NoFileCompletions, "search", "ou")
	completes(c, completePolicy(), "policy")
	completes(c, completeDomainName(), "domain")
}

// query is what the flags ask for.
func (u *userFilter) query(ctx context.Context, d *desk) (q store.UserQuery, err error) {
	q = store.UserQuery{Text: u.search, OU: u.ou, State: sallyport.UserState(u.state), RemoteAccess: u.live}
	if u.enrolled || u.unenrolled {
		q.Enrolled = &u.enrolled
	}
	if u.policy != "" {
		p, err := d.policy(ctx, u.policy)
		if err != nil {
			return q, err
		}
		q.Policy = p.ID
	}
	if u.domain != "" {
		q.Domain, err = d.domainNamed(ctx, u.domain)
	}
	return q, err
}

// domainNamed returns the domain with a DNS name or id.
func (d *desk) domainNamed(ctx context.Context, word string) (sallyport.DomainID, error) {
	names, err := d.GrantDomains(ctx, d.actor)
	if err != nil {
		return "", err
	}
	for id, name := range names {
		if string(id) == word || strings.EqualFold(name, word) {
			return id, nil
		}
	}
	return "", sallyport.Errorf(sallyport.CodeNotFound, fmt.Sprintf("There is no domain %q. 'sallyport domain list' shows them.", word), nil)
}

func completeDomainName() cobra.CompletionFunc {
	return completing(func(ctx context.Context, d *desk, _ string) (out []cobra.Completion, err error) {
		names, err := d.GrantDomains(ctx, d.actor)
		for _, name := range names {
			out = append(out, name)
		}
		slices.Sort(out)
		return out, err
	})
}

// ofUser is a kind of thing that users have, as commands name one: after its user.
type ofUser[T any] struct {
	what string // "phone number"
	list string // the command that shows them, up to the user's name
	read func(*admin.Service, context.Context, sallyport.Actor, sallyport.UserID) ([]T, error)
	// names are what one is called by, the id first; words say it beside the id where it is completed.
	names func(T) []string
	words func(T) string
}

// find returns the user of the first argument, and what the second one means.
func (k ofUser[T]) find(ctx context.Context, d *desk, args []string) (u sallyport.User, v T, err error) {
	if u, err = d.user(ctx, args[0]); err != nil {
		return u, v, err
	}
	all, err := k.read(d.Service, ctx, d.actor, u.ID)
	if err != nil {
		return u, v, err
	}
	v, err = lookUp(all, k.what, k.list+" "+u.Account.User(), args[1], k.names)
	return u, v, err
}

// complete offers the users, and then what the one has.
func (k ofUser[T]) complete(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return completeUser()(c, args, begun)
	}
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completing(func(ctx context.Context, d *desk, _ string) (out []cobra.Completion, err error) {
		u, err := d.user(ctx, args[0])
		if err != nil {
			return nil, err
		}
		all, err := k.read(d.Service, ctx, d.actor, u.ID)
		for _, v := range all {
			out = append(out, cobra.CompletionWithDesc(k.names(v)[0], k.words(v)))
		}
		return out, err
	})(c, args, begun)
}
