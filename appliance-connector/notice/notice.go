// Package notice writes the e-mails by which users are told that one of their authenticators came or went. They go out however it
// was done, so that somebody whose password another person has can notice. A message holds no secret and no whole phone number; it neither has links nor
// asks for anything. The package sends nothing: the store queues what it writes, in the transaction of the change.
package notice

import (
	"context"
	"errors"
	"strings"
	"unicode"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/language"
	"github.com/sallyport/sallyport/appliance-connector/mail"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// maxName is how many characters of an authenticator's name stand in a message.
const maxName = 64

// Why nobody is told.
var (
	errNoServer  = errors.New("there is no mail server in the settings")
	errNoAddress = errors.New("the user has no e-mail address in the directory")
)

// Write writes the message of a change to its user, in the enterprise's language. ok is false when users are not to be told; an error
// says why this one cannot be. It is a store.Noticer.
func Write(ctx context.Context, settings *store.Settings, u sallyport.User, c sallyport.AuthenticatorChange) (m sallyport.Mail, ok bool, err error) {
	return write(ctx, settings, u, c)
}

func write(ctx context.Context, settings mail.Plain, u sallyport.User, c sallyport.AuthenticatorChange) (m sallyport.Mail, ok bool, err error) {
	server, err := mail.ReadSettings(ctx, settings)
	switch {
	case err != nil:
		return m, false, err
	case !server.TellUsers:
		return m, false, nil
	case server.Host == "":
		return m, false, errNoServer
	case u.Mail == "":
		return m, false, errNoAddress
	}
	l, err := language.ReadSettings(ctx, settings)
	if err != nil {
		return m, false, err
	}
	m = sallyport.Mail{ID: sallyport.NewID(), Created: c.Time, Recipients: []string{u.Mail}}
	m.Subject, m.Text = words(l.ForMail(), c)
	return m, true, nil
}

// words are subject and text of a message.
func words(tag string, c sallyport.AuthenticatorChange) (subject, text string) {
	s, known := sentences[tag]
	if !known {
		s = sentences["en"]
	}
	subject, opening := s.removed, s.removedText
	if c.Enrolled {
		subject, opening = s.added, s.addedText
	}
	by := s.byUser
	switch c.Actor.Kind {
	case sallyport.ActorAdministrator, sallyport.ActorToken, sallyport.ActorLocal:
		by = s.byAdministrator
	}
	what := s.kinds[c.Kind]
	if c.Kind == sallyport.AuthenticatorPhone {
		what = strings.Replace(what, "*", c.Name, 1)
	} else if name := shown(c.Name); name != "" {
		what += " (" + name + ")"
	}
	lines := []string{opening, "",
		s.account + ": " + string(c.Account), s.what + ": " + what, s.when + ": " + c.Time.UTC().Format("2006-01-02 15:04") + " UTC", s.by + ": " + by, "",
		s.you, "", s.notYou, "", s.machine, ""}
	return subject, strings.Join(lines, "\r\n")
}

// shown is a name as it stands in a message. Whoever enrols a phone gives it its name: it becomes neither a line nor a link.
func shown(name string) string {
	kept := strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) || unicode.IsMark(c) || unicode.IsDigit(c) || strings.ContainsRune("'’-()", c) {
			return c
		}
		return ' '
	}, strings.ToValidUTF8(name, ""))
	r := []rune(strings.Join(strings.Fields(kept), " "))
	return string(r[:min(len(r), maxName)])
}
