package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func newPolicyCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "policy", Short: "User policies: list, show, add, edit, copy, remove, default, assignment rules",
		Long: `Users who are treated alike have one user policy. Run these on an appliance; a running appliance takes a change within a
second or two. POLICY is a policy's name or id.`,
		Example: `  sallyport policy add Nurses --licence --enrol-rule "Enrol on site"
  sallyport policy edit Nurses --live
  sallyport policy rules add Nurses --group "CN=Nurses,OU=Groups,DC=hospital,DC=example"`,
	}
	c.AddCommand(newPolicyList(), newPolicyShow(), newPolicyAdd(), newPolicyEdit(), newPolicyCopy(), newPolicyRemove(), newPolicyDefault(), newPolicyRules())
	return c
}

// policyLine is a user policy for programs.
type policyLine struct {
	ID        sallyport.UserPolicyID `json:"id"`
	Name      string                 `json:"name"`
	Note      string                 `json:"note"`
	Default   bool                   `json:"default"`
	Licence   bool                   `json:"licence"`
	Live      bool                   `json:"live"`
	EnrolRule sallyport.EnrolRuleID  `json:"enrolRule"`
	Users     *int                   `json:"users,omitempty"` // where it was counted
	Version   int64                  `json:"version"`
}

func lineOfPolicy(p sallyport.UserPolicy) policyLine {
	return policyLine{ID: p.ID, Name: p.Name, Note: p.Note, Default: p.Default, Licence: p.Licensed, Live: p.RemoteAccess, EnrolRule: p.EnrolRule, Version: p.Version}
}

func lineOfCountedPolicy(p store.PolicyWithUsers) policyLine {
	l := lineOfPolicy(p.UserPolicy)
	l.Users = &p.Users
	return l
}

// policy returns the user policy with a name or id.
func (d *desk) policy(ctx context.Context, word string) (sallyport.UserPolicy, error) {
	p, err := d.countedPolicy(ctx, word)
	return p.UserPolicy, err
}

func (d *desk) countedPolicy(ctx context.Context, word string) (store.PolicyWithUsers, error) {
	list, err := d.UserPolicies(ctx, d.actor)
	if err != nil {
		return store.PolicyWithUsers{}, err
	}
	return lookUp(list, "user policy", "sallyport policy list", word, func(p store.PolicyWithUsers) []string { return []string{string(p.ID), p.Name} })
}

// policies returns the ids of user policies by name or id.
func (d *desk) policies(ctx context.Context, words []string) (ids []sallyport.UserPolicyID, err error) {
	for _, w := range words {
		p, err := d.policy(ctx, w)
		if err != nil {
			return nil, err
		}
		ids = append(ids, p.ID)
	}
	return ids, nil
}

func (d *desk) policyNames(ctx context.Context) (map[sallyport.UserPolicyID]string, error) {
	list, err := d.UserPolicies(ctx, d.actor)
	return byID(list, func(p store.PolicyWithUsers) (sallyport.UserPolicyID, string) { return p.ID, p.Name }), err
}

func completePolicy() cobra.CompletionFunc {
	return completing(func(ctx context.Context, d *desk, _ string) (out []cobra.Completion, err error) {
		list, err := d.UserPolicies(ctx, d.actor)
		for _, p := range list {
			out = append(out, cobra.CompletionWithDesc(p.Name, counted(p.Users, "user", "users")))
		}
		return out, err
	})
}

func newPolicyList() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "list", Short: "List the user policies, with how many users have each", Args: cobra.NoArgs,
		Example: `  sallyport policy list -o json`,
	}, func(ctx context.Context, t *task, _ []string) error {
		list, err := t.UserPolicies(ctx, t.actor)
		if err != nil {
			return err
		}
		rules, err := t.enrolRuleNames(ctx)
		if err != nil {
			return err
		}
		return t.list([]string{"POLICY", "USERS", "LICENCE", "LIVE", "ENROL RULE", "DEFAULT", "ID"}, func(line func(any, ...string) error) error {
			for _, p := range list {
				if err := line(lineOfCountedPolicy(p), p.Name, strconv.Itoa(p.Users), yesNo(p.Licensed), yesNo(p.RemoteAccess),
					orNone(rules[p.EnrolRule]), yesNo(p.Default), string(p.ID)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func newPolicyShow() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "show POLICY", Short: "Show a user policy, and the licences in use", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completePolicy()),
		Example: `  sallyport policy show Nurses`,
	}, func(ctx context.Context, t *task, args []string) error {
		p, err := t.countedPolicy(ctx, args[0])
		if err != nil {
			return err
		}
		rules, err := t.enrolRuleNames(ctx)
		if err != nil {
			return err
		}
		used, total, err := t.Licences(ctx, t.actor)
		if err != nil {
			return err
		}
		licences := strconv.Itoa(used) + " in use"
		if total > 0 {
			licences = fmt.Sprintf("%d of %d in use", used, total)
		}
		v := struct {
			policyLine
			LicencesUsed  int `json:"licencesUsed"`
			LicencesTotal int `json:"licencesTotal"` // 0: no limit
		}{lineOfCountedPolicy(p), used, total}
		return t.facts(v, [2]string{"Name", p.Name}, [2]string{"Id", string(p.ID)}, [2]string{"Note", p.Note}, [2]string{"Users", strconv.Itoa(p.Users)},
			[2]string{"Consumes a licence", yesNo(p.Licensed)}, [2]string{"Live for remote access", yesNo(p.RemoteAccess)}, [2]string{"Enrol rule", orNone(rules[p.EnrolRule])},
			[2]string{"Default", yesNo(p.Default)}, [2]string{"Version", strconv.FormatInt(p.Version, 10)}, [2]string{"Licences of all policies", licences})
	})
}

// policyFlags are what a person says of a user policy.
type policyFlags struct {
	name, note, rule string
	licence, live    bool
}

func (f *policyFlags) flags(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.note, "note", "", "for your colleagues: whom it is for, and why")
	fl.BoolVar(&f.licence, "licence", false, "its users consume a licence and may have remote access; --licence=false: they may not")
	fl.BoolVar(&f.live, "live", false, `associate it with the workflow policy "Remote access log in": that is what goes live; --live=false takes it back`)
	fl.StringVar(&f.rule, "enrol-rule", "", `enrol rule it belongs to, by name or id; "" for none`)
	completes(c, cobra.NoFileCompletions, "note")
	completes(c, completeEnrolRule(), "enrol-rule")
}

// apply changes what was given.
func (f *policyFlags) apply(ctx context.Context, t *task, p *sallyport.UserPolicy) error {
	set(t, "name", &p.Name, f.name)
	set(t, "note", &p.Note, f.note)
	set(t, "licence", &p.Licensed, f.licence)
	set(t, "live", &p.RemoteAccess, f.live)
	if !t.given("enrol-rule") {
		return nil
	}
	p.EnrolRule = ""
	if f.rule == "" {
		return nil
	}
	r, err := t.enrolRule(ctx, f.rule)
	p.EnrolRule = r.ID
	return err
}

func (t *task) savePolicy(ctx context.Context, p sallyport.UserPolicy, what string) error {
	saved, err := t.PutUserPolicy(ctx, t.actor, p)
	if err != nil {
		return fieldWords(err)
	}
	return t.done(lineOfPolicy(saved), "%s %s, id %s, version %d.", what, saved.Name, saved.ID, saved.Version)
}
