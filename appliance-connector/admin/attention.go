package admin

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

const (
	// certificateNear is how long before its end the console's certificate is told of.
	certificateNear = 21 * 24 * time.Hour
	// mailLately is how long a message that was given up is told of.
	mailLately = 24 * time.Hour
	// alarmLately is how long an alarm is told of.
	alarmLately = 7 * 24 * time.Hour
)

// adviser looks for things that somebody should see to.
type adviser func(context.Context, *store.Store) ([]Attention, error)

// advice are the advisers whose matters concern the actor.
func (s *Service) advice(actor sallyport.Actor) (list []adviser) {
	for _, a := range []struct {
		op   Operation
		look adviser
	}{{"Domains", s.adviseDomains}, {"SetLoginWorkflow", s.advisePolicies}, {"Mails", s.adviseMail}, {"ConsoleSettings", s.adviseCertificate}, {"VerifyAudit", s.adviseAudit}, {"SetLoginWorkflow", s.adviseAlarms}} {
		if May(actor, a.op) == nil {
			list = append(list, a.look)
		}
	}
	return list
}

func (s *Service) adviseDomains(ctx context.Context, db *store.Store) ([]Attention, error) {
	list, err := db.Domains(ctx)
	if err != nil || len(list) > 0 {
		return nil, err
	}
	return []Attention{{Title: "No directory is connected yet", Text: "Users come from Active Directory. Connect a domain first.", Path: "/directories", Action: "Connect a domain"}}, nil
}

func (s *Service) advisePolicies(ctx context.Context, db *store.Store) ([]Attention, error) {
	list, err := db.UserPolicies(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range list {
		if p.RemoteAccess {
			return nil, nil
		}
	}
	return []Attention{{Title: "No user policy is live yet", Text: "Nobody can log in until a user policy is associated with “Remote access log in”.", Path: "/workflow-policy", Action: "Go live"}}, nil
}

// adviseMail tells of messages that do not get through.
func (s *Service) adviseMail(ctx context.Context, db *store.Store) ([]Attention, error) {
	list, err := db.Mails(ctx, shownMails)
	if err != nil {
		return nil, err
	}
	stuck, answer := 0, ""
	for _, m := range list {
		if m.State == sallyport.MailWaiting && m.Tries > 0 && m.Answer != "" || m.State == sallyport.MailFailed && s.now().Sub(m.Ended) < mailLately {
			if stuck++; answer == "" {
				answer = m.Answer
			}
		}
	}
	if stuck == 0 {
		return nil, nil
	}
	return []Attention{{Urgent: true, Title: "E-mail does not get through", Text: fmt.Sprintf("Messages that were not sent: %d. %s", stuck, answer), Path: "/settings/mail/messages", Action: "Look at messages"}}, nil
}

func (s *Service) adviseCertificate(context.Context, *store.Store) ([]Attention, error) {
	if s.cfg.Watched.CertificateEnds == nil || s.cfg.Watched.OwnCertificate { // that one is made anew by itself
		return nil, nil
	}
	ends := s.cfg.Watched.CertificateEnds()
	switch left := ends.Sub(s.now()); {
	case left <= 0:
		return []Attention{{Urgent: true, Title: "The console's certificate has expired", Text: "Browsers warn of it. Put a new one into its place; it is taken without a restart."}}, nil
	case left < certificateNear:
		return []Attention{{Title: "The console's certificate expires soon", Text: "It is good until " + ends.UTC().Format("2 January 2006") + ". Put a new one into its place; it is taken without a restart."}}, nil
	}
	return nil, nil
}

// adviseAudit tells what the last check of the audit trail found.
func (s *Service) adviseAudit(ctx context.Context, db *store.Store) ([]Attention, error) {
	page, err := db.AuditRecords(ctx, store.AuditQuery{Action: verifiedAction, Most: 1})
	if err != nil || len(page.Records) == 0 || page.Records[0].Reason == "" {
		return nil, err
	}
	return []Attention{{Urgent: true, Title: "The audit trail does not hold", Text: strings.TrimSpace(page.Records[0].Reason + " It was changed past the appliance. Keep the database as it is, and look at who can reach it."),
		Path: "/audit", Action: "Look at the trail"}}, nil
}

// alarms are records of the audit trail that somebody has to see to. In text %s is whom it is about: the actor, or the object.
var alarms = [...]struct {
	action, title, text string
	object              bool
}{
	{"login.not_me", "Somebody else has a password", "%s was asked to approve a log-in and answered “This was not me”: somebody else typed the right password. " +
		"No push is sent for half an hour. Talk to the user, and have the password changed.", false},
	{"remembered device.copied", "A remembered device was copied", "The browser that was remembered for %s is in two places: its storage was copied. It is remembered no more, " +
		"and the second factor is asked for. Find out who else has been at that computer, and have the password changed.", false},
	{"user passkey.copied", "A passkey was copied", "The counter of a passkey of %s went back, so there may be a copy of it, or its authenticator is broken. It is not taken any more. " +
		"Whoever used it knew the password as well: talk to the user, and have the password changed.", true},
}

// adviseAlarms tells of the alarms of the last days, the newest of each kind.
func (s *Service) adviseAlarms(ctx context.Context, db *store.Store) (list []Attention, err error) {
	for _, a := range alarms {
		page, err := db.AuditRecords(ctx, store.AuditQuery{Action: a.action, From: s.now().Add(-alarmLately), Most: 1})
		if err != nil {
			return nil, err
		}
		for _, r := range page.Records {
			who := r.Actor.Name
			if a.object {
				who = r.Object
			}
			list = append(list, Attention{Urgent: true, Title: a.title, Text: fmt.Sprintf(a.text, who), Path: "/audit?action=" + url.QueryEscape(a.action), Action: "Look at the trail"})
		}
	}
	return list, nil
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
