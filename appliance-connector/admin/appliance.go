package admin

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// When an appliance needs somebody's attention.
const (
	// SilentAfter is how long an appliance may say nothing of itself.
	SilentAfter = 2 * time.Minute
	// A certificate is renewed ten days before its end; renewal that failed for days is said, and shouted.
	certificateSoon = 7 * 24 * time.Hour
	certificateNow  = 2 * 24 * time.Hour
	// Codes are good for half a minute, and a gateway token for one.
	clockOff  = 5 * time.Second
	clockAway = 20 * time.Second
)

// CloudConnection is the state of every appliance of the enterprise.
type CloudConnection struct {
	Enterprise sallyport.TenantID
	Appliances []ApplianceStatus
}

// ApplianceStatus is an appliance as it last told of itself, and what to do about it.
type ApplianceStatus struct {
	sallyport.Appliance
	SiteName string // empty: it belongs to none
	// Own is the appliance that answers this request.
	Own bool
	// Silent: it has not told of itself lately, so the rest may be out of date.
	Silent bool
	Advice []Advice
}

// Topic is what advice is about.
type Topic string

const (
	TopicSilence     Topic = "silence"
	TopicStreams     Topic = "streams"
	TopicCertificate Topic = "certificate"
	TopicClock       Topic = "clock"
	TopicVersion     Topic = "version"
)

// Advice is what somebody should do about an appliance.
type Advice struct {
	Topic  Topic
	Urgent bool
	Text   string
}

// Appliances returns how every appliance is doing, by name.
func (s *Service) Appliances(ctx context.Context, actor sallyport.Actor) (CloudConnection, error) {
	db, err := s.as(actor, "Appliances")
	if err != nil {
		return CloudConnection{}, err
	}
	list, err := s.applianceStatus(ctx, db)
	return CloudConnection{s.cfg.Enterprise.Tenant, list}, err
}

// RemoveAppliance forgets an appliance that is no longer there. One that still runs tells of itself again:
// its trust is ended at the cloud.
func (s *Service) RemoveAppliance(ctx context.Context, actor sallyport.Actor, id sallyport.ApplianceID) error {
	db, err := s.as(actor, "RemoveAppliance")
	if err != nil {
		return err
	}
	return db.RemoveAppliance(ctx, id)
}

// RenameAppliance gives an appliance a name of its own in lists; an empty one is that of its host again. It is what
// people see, and nothing is found by it.
func (s *Service) RenameAppliance(ctx context.Context, actor sallyport.Actor, id sallyport.ApplianceID, name string) error {
	db, err := s.as(actor, "RenameAppliance")
	if err != nil {
		return err
	}
	f := FieldErrors{}
	f.check(name == "" || strings.TrimSpace(name) == name && plain(name, 64), "name", "Use at most 64 letters, digits and signs.")
	if err := f.err(); err != nil {
		return err
	}
	return db.RenameAppliance(ctx, id, name)
}

func (s *Service) applianceStatus(ctx context.Context, db *store.Store) ([]ApplianceStatus, error) {
	list, err := db.Appliances(ctx)
	if err != nil {
		return nil, err
	}
	sites, err := db.Sites(ctx)
	if err != nil {
		return nil, err
	}
	names, newest, now := map[sallyport.SiteID]string{}, "", s.now()
	for _, x := range sites {
		names[x.ID] = x.Name
	}
	for _, a := range list {
		if semver.IsValid(a.Version) && semver.Compare(a.Version, newest) > 0 {
			newest = a.Version
		}
	}
	out := make([]ApplianceStatus, 0, len(list))
	for _, a := range list {
		out = append(out, ApplianceStatus{Appliance: a, SiteName: names[a.Site], Own: a.ID == s.cfg.Watched.Appliance,
			Silent: now.Sub(a.Heard) > SilentAfter, Advice: advise(a, newest, now)})
	}
	return out, nil
}

// advise says what to do about an appliance, the most urgent first. Of one that is silent only what does
// not need it to speak.
func advise(a sallyport.Appliance, newest string, now time.Time) (out []Advice) {
	say := func(topic Topic, urgent bool, text string, args ...any) {
		out = append(out, Advice{topic, urgent, fmt.Sprintf(text, args...)})
	}
	silent := now.Sub(a.Heard) > SilentAfter
	if silent {
		say(TopicSilence, true, "It has said nothing of itself for %s. See whether the host runs and reaches the database. If it is gone for good, remove it here.", roughly(now.Sub(a.Heard)))
	}
	if !silent && len(a.Streams) == 0 {
		text := "It has no connection to the cloud: the overlay cannot use it. See that the host may reach the cloud's address, and that the proxy is the right one."
		if a.Trouble != "" {
			text += " It says: " + a.Trouble
		}
		say(TopicStreams, true, "%s", text)
	}
	switch left := a.CertificateExpires.Sub(now); {
	case a.CertificateExpires.IsZero():
	case left <= 0:
		say(TopicCertificate, true, "Its certificate has ended, so the cloud refuses it. Establish trust anew: sallyport appliance trust.")
	case left <= certificateSoon:
		say(TopicCertificate, left <= certificateNow, "Its certificate ends in %s and has not been renewed. That happens by itself while it is connected to the cloud: see that it is.", roughly(left))
	}
	if off := a.ClockOffset.Abs(); !silent && a.ClockKnown && off >= clockOff {
		way := "ahead of"
		if a.ClockOffset < 0 {
			way = "behind"
		}
		say(TopicClock, off >= clockAway, "Its clock is %s %s the database's. Codes are good for half a minute: have the host take its time from NTP.", roughly(off), way)
	}
	if semver.IsValid(a.Version) && semver.Compare(a.Version, newest) < 0 {
		say(TopicVersion, false, "It runs %s, and others run %s. Upgrade it.", a.Version, newest)
	}
	return out
}

// roughly is a length of time for people.
func roughly(d time.Duration) string {
	unit := func(n time.Duration, one string) string {
		if n == 1 {
			return "1 " + one
		}
		return fmt.Sprintf("%d %ss", n, one)
	}
	switch {
	case d < 2*time.Minute:
		return unit(d/time.Second, "second")
	case d < 2*time.Hour:
		return unit(d/time.Minute, "minute")
	case d < 48*time.Hour:
		return unit(d/time.Hour, "hour")
	}
	return unit(d/(24*time.Hour), "day")
}

// adviseAppliances has the overview name appliances that need attention. That this one has no connection it
// says already.
func (s *Service) adviseAppliances(ctx context.Context, db *store.Store, actor sallyport.Actor, o *Overview) error {
	if May(actor, "Appliances") != nil {
		return nil
	}
	list, err := s.applianceStatus(ctx, db)
	if err != nil {
		return err
	}
	for _, a := range list {
		for _, v := range a.Advice {
			if a.Own && v.Topic == TopicStreams {
				continue
			}
			o.Attention = append(o.Attention, Attention{Urgent: v.Urgent, Title: "Appliance " + a.Name, Text: v.Text, Path: "/cloud", Action: "Cloud connection"})
			o.AsksForHands = o.AsksForHands || v.Urgent
		}
	}
	return nil
}
