package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/tokenserver"
)

func newTokenServerCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "token-server", Short: "External token servers: show, settings, add, edit, remove, try",
		Long: `Servers that know what a user's token shows (such as RSA SecurID), asked over RADIUS in their order. SERVER is a server's host
or id.`,
		Example: `  sallyport token-server add rsa1.hospital.example --secret-file secret.txt
  sallyport token-server settings --name "RSA SecurID" --policy Doctors`,
	}
	c.AddCommand(newTokenServerShow(), newTokenServerSettings(), newTokenServerAdd(), newTokenServerEdit(), newTokenServerRemove(), newTokenServerTry())
	return c
}

// tokenServersLine is the external token servers for programs.
type tokenServersLine struct {
	Name     string                  `json:"name"`
	Everyone bool                    `json:"everyone"`
	Policies []string                `json:"policies"`
	UserName sallyport.TokenUserName `json:"userName"`
	Timeout  string                  `json:"timeout"`
	Tries    int                     `json:"tries"`
	Servers  []tokenServerLine       `json:"servers"`
	Version  int64                   `json:"version"`
}

type tokenServerLine struct {
	ID       sallyport.TokenServerID `json:"id"`
	Host     string                  `json:"host"`
	Port     int                     `json:"port"`
	Unsigned bool                    `json:"unsigned"`
	Sites    []string                `json:"sites"`
}

func (t *task) showTokenServers(ctx context.Context) error {
	v, err := t.TokenServers(ctx, t.actor)
	if err != nil {
		return err
	}
	policies, err := t.policyNames(ctx)
	if err != nil {
		return err
	}
	sites, err := t.Sites(ctx, t.actor)
	if err != nil {
		return err
	}
	names := byID(sites, func(s sallyport.Site) (sallyport.SiteID, string) { return s.ID, s.Name })
	l := tokenServersLine{v.Name, v.Everyone, each(v.Policies, func(id sallyport.UserPolicyID) string { return policies[id] }), v.UserName, v.Timeout.String(), v.Tries, []tokenServerLine{}, v.Version}
	rows := [][2]string{{"Tokens are called", l.Name}, {"All users have one", yesNo(l.Everyone)}, {"User policies that have one", orNone(strings.Join(l.Policies, ", "))},
		{"Users are named by", string(l.UserName)}, {"Wait for an answer", l.Timeout}, {"Ask a server", plain(l.Tries, "time", "times")}}
	for i, s := range v.Servers {
		line := tokenServerLine{s.ID, s.Host, s.Port, s.Unsigned, each(s.Sites, func(id sallyport.SiteID) string { return names[id] })}
		l.Servers = append(l.Servers, line)
		text := fmt.Sprintf("%s port %d", s.Host, s.Port)
		if len(line.Sites) > 0 {
			text += ", for " + strings.Join(line.Sites, ", ")
		}
		if s.Unsigned {
			text += ", unsigned answers are taken"
		}
		rows = append(rows, [2]string{"Server " + strconv.Itoa(i+1), text})
	}
	if len(v.Servers) == 0 {
		rows = append(rows, [2]string{"Servers", "none"})
	}
	return t.facts(l, append(rows, [2]string{"Version", strconv.FormatInt(l.Version, 10)})...)
}

func plain(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

func newTokenServerShow() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "show", Short: "Show the external token servers, and how they are asked", Args: cobra.NoArgs, Example: `  sallyport token-server show`,
	}, func(ctx context.Context, t *task, _ []string) error { return t.showTokenServers(ctx) })
}

// saveTokenServers saves a change of what there is, and shows it.
func (t *task) saveTokenServers(ctx context.Context, change func(*sallyport.TokenServers) error) error {
	v, err := t.TokenServers(ctx, t.actor)
	if err != nil {
		return err
	}
	next := v.TokenServers
	if err := change(&next); err != nil {
		return err
	}
	next.Version = t.seen(v.Version)
	if _, err := t.SetTokenServers(ctx, t.actor, next); err != nil {
		return fieldWords(err)
	}
	return t.showTokenServers(ctx)
}

func newTokenServerSettings() *cobra.Command {
	var name, userName string
	var everyone bool
	var policies []string
	var timeout time.Duration
	var tries int
	c := versioned(atDesk(&cobra.Command{
		Use: "settings", Short: "Say whose tokens the external token servers know, and how they are asked; what is not given stays as it is", Args: cobra.NoArgs,
		Example: `  sallyport token-server settings --name "RSA SecurID" --policy Doctors --policy Nurses`,
	}, func(ctx context.Context, t *task, _ []string) error {
		if err := t.somethingGiven(); err != nil {
			return err
		}
		return t.saveTokenServers(ctx, func(v *sallyport.TokenServers) error {
			set(t, "name", &v.Name, name)
			set(t, "everyone", &v.Everyone, everyone)
			set(t, "user-name", &v.UserName, sallyport.TokenUserName(userName))
			set(t, "timeout", &v.Timeout, timeout)
			set(t, "tries", &v.Tries, tries)
			if !t.given("policy") {
				return nil
			}
			ids, err := t.policies(ctx, slices.DeleteFunc(policies, func(p string) bool { return p == "" })) // --policy "" ends the list
			v.Policies = ids
			return err
		})
	}))
	f := c.Flags()
	f.StringVar(&name, "name", "", "what users call their token")
	f.BoolVar(&everyone, "everyone", false, "all users have a token")
	f.StringArrayVar(&policies, "policy", nil, "user policy whose users have one; may be given more than once")
	f.StringVar(&userName, "user-name", "", `how users are named to the servers: name (alice), account (hospital\alice) or typed`)
	f.DurationVar(&timeout, "timeout", 0, "how long an answer is waited for: 500ms to 10s")
	f.IntVar(&tries, "tries", 0, "how often a server is asked before the next one: 1 to 5")
	completes(c, values(sallyport.TokenUserShort, sallyport.TokenUserAccount, sallyport.TokenUserTyped), "user-name")
	completes(c, completePolicy(), "policy")
	completes(c, cobra.NoFileCompletions, "name", "timeout", "tries")
	return c
}

// tokenServerFlags are what a person says of a server.
type tokenServerFlags struct {
	port, at   int
	secretFile string
	unsigned   bool
	sites      []string
}

func (f *tokenServerFlags) flags(c *cobra.Command) {
	fl := c.Flags()
	fl.IntVar(&f.port, "port", sallyport.TokenPort, "UDP port")
	fl.IntVar(&f.at, "number", 0, "its place in the order in which servers are asked, from 1 (default: the last, or where it is)")
	fl.StringVar(&f.secretFile, "secret-file", "", "file with the shared secret, - for standard input")
	fl.BoolVar(&f.unsigned, "unsigned", false, "take answers without Message-Authenticator, which somebody on the way could change (CVE-2024-3596)")
	fl.StringArrayVar(&f.sites, "site", nil, "only appliances of this site ask it; may be given more than once")
	_ = c.MarkFlagFilename("secret-file")
	completes(c, cobra.NoFileCompletions, "port", "number", "site")
}

// apply changes what was given; of a new server everything.
func (f *tokenServerFlags) apply(ctx context.Context, t *task, s *sallyport.TokenServer) error {
	if s.ID == "" || t.given("port") {
		s.Port = f.port
	}
	set(t, "unsigned", &s.Unsigned, f.unsigned)
	if t.given("site") {
		sites, err := t.Sites(ctx, t.actor)
		if err != nil {
			return err
		}
		s.Sites = nil
		for _, word := range f.sites {
			if word == "" { // --site "" ends the limit
				continue
			}
			site, err := lookUp(sites, "site", "the page /sites of the console", word, func(x sallyport.Site) []string { return []string{string(x.ID), x.Name} })
			if err != nil {
				return err
			}
			s.Sites = append(s.Sites, site.ID)
		}
	}
	switch f.secretFile {
	case "":
		return nil
	case "-":
		line, err := readLine(t.c.InOrStdin())
		s.Secret = sallyport.Secret(line)
		return err
	}
	var err error
	s.Secret, err = secretFile(f.secretFile)
	return err
}

// place puts a server where it was said to stand, or back where it was.
func (f *tokenServerFlags) place(list []sallyport.TokenServer, s sallyport.TokenServer, was int) []sallyport.TokenServer {
	at := was
	if f.at > 0 {
		at = min(f.at-1, len(list))
	}
	return slices.Insert(list, at, s)
}

func newTokenServerAdd() *cobra.Command {
	var f tokenServerFlags
	c := versioned(atDesk(&cobra.Command{
		Use: "add HOST", Short: "Add an external token server", Args: cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		Example: `  sallyport token-server add rsa1.hospital.example --secret-file secret.txt`,
	}, func(ctx context.Context, t *task, args []string) error {
		return t.saveTokenServers(ctx, func(v *sallyport.TokenServers) error {
			s := sallyport.TokenServer{Host: strings.ToLower(args[0])}
			if err := f.apply(ctx, t, &s); err != nil {
				return err
			}
			v.Servers = f.place(v.Servers, s, len(v.Servers))
			return nil
		})
	}))
	f.flags(c)
	_ = c.MarkFlagRequired("secret-file")
	return c
}

// tokenServer takes the server that a word means out of a list.
func tokenServerOf(list []sallyport.TokenServer, word string) (s sallyport.TokenServer, at int, others []sallyport.TokenServer, err error) {
	s, err = lookUp(list, "token server", "sallyport token-server show", word, func(x sallyport.TokenServer) []string { return []string{string(x.ID), x.Host} })
	if err != nil {
		return s, 0, nil, err
	}
	at = slices.IndexFunc(list, func(x sallyport.TokenServer) bool { return x.ID == s.ID })
	return s, at, slices.Delete(slices.Clone(list), at, at+1), nil
}

func completeTokenServer() cobra.CompletionFunc {
	return completing(func(ctx context.Context, d *desk, _ string) (out []cobra.Completion, err error) {
		v, err := d.TokenServers(ctx, d.actor)
		for _, s := range v.Servers {
			out = append(out, s.Host)
		}
		return out, err
	})
}

func newTokenServerEdit() *cobra.Command {
	var f tokenServerFlags
	var host string
	c := versioned(atDesk(&cobra.Command{
		Use: "edit SERVER", Short: "Change an external token server; what is not given stays as it is", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeTokenServer()),
		Long:    `With another host or port the shared secret has to be given again: it is not carried to another server.`,
		Example: `  sallyport token-server edit rsa1.hospital.example --number 2`,
	}, func(ctx context.Context, t *task, args []string) error {
		if err := t.somethingGiven(); err != nil {
			return err
		}
		return t.saveTokenServers(ctx, func(v *sallyport.TokenServers) error {
			s, at, others, err := tokenServerOf(v.Servers, args[0])
			if err != nil {
				return err
			}
			set(t, "host", &s.Host, strings.ToLower(host))
			if err := f.apply(ctx, t, &s); err != nil {
				return err
			}
			v.Servers = f.place(others, s, at)
			return nil
		})
	}))
	f.flags(c)
	c.Flags().StringVar(&host, "host", "", "host name or address")
	completes(c, cobra.NoFileCompletions, "host")
	return c
}

func newTokenServerRemove() *cobra.Command {
	return asking(versioned(atDesk(&cobra.Command{
		Use: "remove SERVER", Short: "Remove an external token server", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeTokenServer()),
		Example: `  sallyport token-server remove rsa2.hospital.example`,
	}, func(ctx context.Context, t *task, args []string) error {
		v, err := t.TokenServers(ctx, t.actor)
		if err != nil {
			return err
		}
		s, _, _, err := tokenServerOf(v.Servers, args[0])
		if err != nil {
			return err
		}
		question := fmt.Sprintf("Remove the token server %s?", s.Host)
		if len(v.Servers) == 1 {
			question = fmt.Sprintf("Remove the last token server, %s? Who has no other second factor cannot log in then.", s.Host)
		}
		if ok, err := t.sure(question); err != nil || !ok {
			return err
		}
		return t.saveTokenServers(ctx, func(v *sallyport.TokenServers) error {
			_, _, v.Servers, err = tokenServerOf(v.Servers, args[0])
			return err
		})
	})))
}

func newTokenServerTry() *cobra.Command {
	var user string
	c := atDesk(&cobra.Command{
		Use: "try SERVER", Short: "Ask an external token server about a code, which is read from standard input", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeTokenServer()),
		Long: `Asks by the settings as they are saved, from this appliance. A code that is right is used up. When the server asks for more, the
answer is read from standard input as well.`,
		Example: `  sallyport token-server try rsa1.hospital.example --user alice`,
	}, func(ctx context.Context, t *task, args []string) error {
		v, err := t.TokenServers(ctx, t.actor)
		if err != nil {
			return err
		}
		s, _, _, err := tokenServerOf(v.Servers, args[0])
		if err != nil {
			return err
		}
		return t.tryTokenServer(ctx, s.ID, user)
	})
	c.Flags().StringVar(&user, "user", "", "the user's name, as the server knows it")
	_ = c.MarkFlagRequired("user")
	completes(c, cobra.NoFileCompletions, "user")
	return c
}

// mostQuestions bounds how often a server may ask for more.
const mostQuestions = 5

func (t *task) tryTokenServer(ctx context.Context, id sallyport.TokenServerID, user string) error {
	question, state := "Code: ", []byte(nil)
	for range mostQuestions {
		_, _ = fmt.Fprint(t.c.ErrOrStderr(), question)
		code, err := readLine(t.c.InOrStdin())
		if err != nil {
			return err
		}
		a, err := t.TryTokenServer(ctx, t.actor, id, user, sallyport.Secret(code), state)
		switch {
		case err != nil:
			return fieldWords(err)
		case a.Trouble != "":
			return sallyport.Errorf(sallyport.CodeUnavailable, "The server did not answer. "+a.Trouble, nil)
		case a.Outcome == tokenserver.Challenged:
			question, state = printable(a.Message)+" ", a.State
			continue
		}
		words := map[tokenserver.Outcome]string{tokenserver.Accepted: "The server took the code.", tokenserver.Rejected: "The server refused the code."}[a.Outcome]
		return t.show(map[string]any{"outcome": a.Outcome, "message": a.Message, "milliseconds": a.Took.Milliseconds()}, func(w io.Writer) {
			_, _ = fmt.Fprintln(w, strings.TrimSpace(words+" "+printable(a.Message)))
		})
	}
	return sallyport.Errorf(sallyport.CodeLimited, "The server asks for more and more.", nil)
}
