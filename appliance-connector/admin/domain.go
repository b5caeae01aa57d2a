package admin

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/usersync"
)

// Domains asks the directories of the domains.
type Domains interface {
	Try(ctx context.Context, d sallyport.Domain) (directory.Found, error)
	States(ctx context.Context) []directory.State
	Tree(ctx context.Context, domain sallyport.DomainID, parent string) (list []directory.Branch, more bool, err error)
	FindGroups(ctx context.Context, domain sallyport.DomainID, text string, most int) ([]directory.Branch, error)
	Object(ctx context.Context, domain sallyport.DomainID, dn string) (sallyport.DirectoryObject, error)
}

// DomainStatus is a domain and how it is doing.
type DomainStatus struct {
	Domain   sallyport.Domain // without its password
	Users    int              // in the list, not removed
	Enrolled int              // of those
	// Problem says why the domain does not answer; empty: it does.
	Problem string
	Last    sallyport.Synchronisation // zero: there was none
	// Next is when it is synchronised next: zero with Scheduled: at once; without it: on demand only.
	Next      time.Time
	Scheduled bool
}

// SavedDomain is a domain as it is after a change.
type SavedDomain struct {
	Domain sallyport.Domain // without its password
	// Found is what the domain said when it was tried; zero when it was not.
	Found directory.Found
}

// MaxGroupsFound bounds the answers to a search for groups.
const MaxGroupsFound = 50

// Domains returns all domains by name, with how they are doing.
func (s *Service) Domains(ctx context.Context, actor sallyport.Actor) ([]DomainStatus, error) {
	db, err := s.as(actor, "Domains")
	if err != nil {
		return nil, err
	}
	list, err := db.Domains(ctx)
	if err != nil {
		return nil, err
	}
	problems := map[sallyport.DomainID]string{}
	for _, state := range s.cfg.Domains.States(ctx) {
		problems[state.Domain] = problem(state.Err)
	}
	out := make([]DomainStatus, 0, len(list))
	for _, d := range list {
		status, err := s.domainStatus(ctx, db, d)
		if err != nil {
			return nil, err
		}
		var asked bool
		if status.Problem, asked = problems[d.ID]; !asked {
			status.Problem = "This appliance does not use the domain. Its log says why."
		}
		out = append(out, status)
	}
	return out, nil
}

// problem says in words why a domain does not answer.
func problem(err error) string {
	if err == nil {
		return ""
	}
	return "It does not answer, or does not take the service account. Try it to see why."
}

func (s *Service) domainStatus(ctx context.Context, db *store.Store, d sallyport.Domain) (status DomainStatus, err error) {
	all, err := db.Users(ctx, store.UserQuery{Domain: d.ID, Most: 1})
	if err != nil {
		return status, err
	}
	yes := true
	enrolled, err := db.Users(ctx, store.UserQuery{Domain: d.ID, Enrolled: &yes, Most: 1})
	if err != nil {
		return status, err
	}
	runs, err := db.Synchronisations(ctx, d.ID, usersync.LookBack)
	if err != nil {
		return status, err
	}
	runs = usersync.Seen(runs, s.now())
	status = DomainStatus{Domain: withoutPassword(d), Users: all.Total, Enrolled: enrolled.Total}
	status.Last, _ = usersync.Last(runs)
	status.Next, status.Scheduled = usersync.Next(d, runs)
	return status, nil
}

func withoutPassword(d sallyport.Domain) sallyport.Domain {
	d.BindPassword = ""
	return d
}

// Domain returns one domain, without its password.
func (s *Service) Domain(ctx context.Context, actor sallyport.Actor, id sallyport.DomainID) (sallyport.Domain, error) {
	db, err := s.as(actor, "Domain")
	if err != nil {
		return sallyport.Domain{}, err
	}
	d, err := db.Domain(ctx, id)
	return withoutPassword(d), err
}

// TryDomain asks a domain as it would be asked once it is saved. Without a password, that of the domain
// with its id is taken. What is wrong is said in the error's words.
func (s *Service) TryDomain(ctx context.Context, actor sallyport.Actor, d sallyport.Domain) (directory.Found, error) {
	db, err := s.as(actor, "TryDomain")
	if err != nil {
		return directory.Found{}, err
	}
	if d, err = completed(ctx, db, d, true); err != nil {
		return directory.Found{}, err
	}
	found, err := s.cfg.Domains.Try(ctx, d)
	return found, byField(err)
}

// PutDomain adds a domain (Version 0) or changes one, once it has been tried; its names are the
// directory's then. untried saves it as it is, for a domain that cannot be reached now: it needs both its
// names. Without a password the one before is kept.
func (s *Service) PutDomain(ctx context.Context, actor sallyport.Actor, d sallyport.Domain, untried bool) (saved SavedDomain, err error) {
	db, err := s.as(actor, "PutDomain")
	if err != nil {
		return saved, err
	}
	if d, err = completed(ctx, db, d, !untried); err != nil {
		return saved, err
	}
	if !untried {
		if saved.Found, err = s.cfg.Domains.Try(ctx, d); err != nil {
			return saved, byField(err)
		}
		d.Name, d.NetBIOS = saved.Found.DNSName, saved.Found.NetBIOS
	}
	d, err = db.PutDomain(ctx, d)
	s.changed(ctx, err)
	saved.Domain = withoutPassword(d)
	return saved, err
}

// completed checks what can be checked without asking anybody, and fills in the password of the domain
// that is there, unless it would be sent to somebody else than before: whoever may change a domain need
// not know its password.
func completed(ctx context.Context, db *store.Store, d sallyport.Domain, tried bool) (sallyport.Domain, error) {
	f := checkDomain(d, tried)
	if d.BindPassword != "" {
		return d, f.err()
	}
	if d.ID == "" {
		f.check(false, "bindPassword", "Give the service account's password.")
		return d, f.err()
	}
	before, err := db.Domain(ctx, d.ID)
	if err != nil {
		return d, err
	}
	same := before.BindName == d.BindName && before.Authority == d.Authority &&
		!slices.ContainsFunc(d.Servers, func(u string) bool { return !slices.Contains(before.Servers, u) })
	f.check(same, "bindPassword", "Give the service account's password again: servers, authority or account are others.")
	d.BindPassword = before.BindPassword
	return d, f.err()
}

// checkDomain says what is wrong with single settings; the store checks them all once more.
func checkDomain(d sallyport.Domain, tried bool) FieldErrors {
	f := FieldErrors{}
	f.check(len(d.Servers) > 0, "servers", "Name at least one domain controller.")
	for _, server := range d.Servers {
		u, err := url.Parse(server)
		f.check(err == nil && (u.Scheme == "ldaps" || u.Scheme == "ldap") && u.Hostname() != "" && server == u.Scheme+"://"+u.Host, "servers",
			fmt.Sprintf("%q is not the address of a domain controller: write it like ldaps://dc1.hospital.example.", server))
	}
	f.check(d.BindName != "", "bindName", "Name the service account.")
	f.check(d.Authority == "" || strings.Contains(d.Authority, "-----BEGIN CERTIFICATE-----"), "authority",
		"This is no certificate in PEM: it begins with -----BEGIN CERTIFICATE-----.")
	if !tried {
		f.check(d.Name != "", "name", "Nobody is asked, so give the domain's DNS name.")
		f.check(d.NetBIOS != "", "netbios", "Nobody is asked, so give the domain's NetBIOS name.")
	}
	return f
}

// byField says to which field the words of a trial that failed belong.
func byField(err error) error {
	setting := directory.WrongSetting(err)
	if setting == "" {
		return err
	}
	words := sallyport.ErrorMessage(err)
	return sallyport.Errorf(sallyport.ErrorCode(err), words, FieldErrors{string(setting): words})
}

// DeleteDomain removes a domain, and its users from the list.
func (s *Service) DeleteDomain(ctx context.Context, actor sallyport.Actor, id sallyport.DomainID, version int64) error {
	db, err := s.as(actor, "DeleteDomain")
	if err != nil {
		return err
	}
	err = db.DeleteDomain(ctx, id, version)
	s.changed(ctx, err)
	return err
}

// DomainTree lists the OUs, containers and groups directly below a DN of a domain; empty: the domain itself.
func (s *Service) DomainTree(ctx context.Context, actor sallyport.Actor, id sallyport.DomainID, parent string) (list []directory.Branch, more bool, err error) {
	if _, err := s.as(actor, "DomainTree"); err != nil {
		return nil, false, err
	}
	return s.cfg.Domains.Tree(ctx, id, parent)
}

// FindGroups returns the first groups of a domain whose name begins with text.
func (s *Service) FindGroups(ctx context.Context, actor sallyport.Actor, id sallyport.DomainID, text string) ([]directory.Branch, error) {
	if _, err := s.as(actor, "FindGroups"); err != nil {
		return nil, err
	}
	return s.cfg.Domains.FindGroups(ctx, id, text, MaxGroupsFound)
}

// DirectoryObject looks an OU or a group up, as the directory writes it.
func (s *Service) DirectoryObject(ctx context.Context, actor sallyport.Actor, id sallyport.DomainID, dn string) (sallyport.DirectoryObject, error) {
	if _, err := s.as(actor, "DirectoryObject"); err != nil {
		return sallyport.DirectoryObject{}, err
	}
	return s.cfg.Domains.Object(ctx, id, dn)
}
