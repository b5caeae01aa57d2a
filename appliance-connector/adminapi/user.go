package adminapi

import (
	"net/http"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func userHandlers() map[string]handler {
	return map[string]handler{
		"searchUsers": (*call).searchUsers, "getUser": (*call).getUser, "assignPolicy": (*call).assignPolicy, "releasePolicy": (*call).releasePolicy,
		"requireSecondFactor": (*call).requireSecondFactor, "listDevices": (*call).listDevices, "deleteDevice": (*call).deleteDevice,
		"listPhones": (*call).listPhones, "addPhone": (*call).addPhone, "deletePhone": (*call).deletePhone,
		"listUserPasskeys": (*call).listUserPasskeys, "deleteUserPasskey": (*call).deleteUserPasskey,
		"listRememberedDevices": (*call).listRememberedDevices, "deleteRememberedDevice": (*call).deleteRememberedDevice,
		"listTemporaryCodes": (*call).listTemporaryCodes, "revokeTemporaryCode": (*call).revokeTemporaryCode, "listUserLogins": (*call).listUserLogins,
	}
}

// user is somebody of a domain.
type user struct {
	ID                sallyport.UserID       `json:"id"`
	Domain            sallyport.DomainID     `json:"domain"`
	GUID              string                 `json:"guid"`
	Account           sallyport.AccountName  `json:"account"`
	UPN               string                 `json:"upn"`
	DN                string                 `json:"dn"`
	DisplayName       string                 `json:"displayName"`
	Mail              string                 `json:"mail"`
	State             sallyport.UserState    `json:"state"`
	Policy            sallyport.UserPolicyID `json:"policy"`
	PolicyFrom        sallyport.PolicySource `json:"policyFrom"`
	SecondFactorSince *time.Time             `json:"secondFactorSince,omitempty"`
	Created           *time.Time             `json:"created,omitempty"`
	Synchronised      *time.Time             `json:"synchronised,omitempty"`
	Version           int64                  `json:"version"`
}

func showUser(u sallyport.User) user {
	return user{ID: u.ID, Domain: u.Domain, GUID: u.GUID, Account: u.Account, UPN: u.UPN, DN: u.DN, DisplayName: u.DisplayName, Mail: u.Mail, State: u.State,
		Policy: u.Policy, PolicyFrom: u.PolicyFrom, SecondFactorSince: stamp(u.SecondFactorSince), Created: stamp(u.Created), Synchronised: stamp(u.Synchronised), Version: u.Version}
}

// userQuery reads which users the parameters mean.
func (c *call) userQuery() store.UserQuery {
	q := store.UserQuery{Text: c.text("q"), Domain: sallyport.DomainID(c.text("domain")), Policy: sallyport.UserPolicyID(c.text("policy")),
		State: sallyport.UserState(c.text("state")), OU: c.text("ou"), Enrolled: c.truth("enrolled")}
	if remote := c.truth("remoteAccess"); remote != nil {
		q.RemoteAccess = *remote
	}
	return q
}

func (c *call) searchUsers() error {
	q := c.userQuery()
	q.After, q.Most = c.text("cursor"), c.most()
	found, err := c.admin().Users(c.ctx(), c.actor, q)
	if err != nil {
		return err
	}
	p := pageOf(found.Users, found.Next, showUser)
	p.Total = &found.Total
	return c.answer(p)
}

func (c *call) user() sallyport.UserID { return sallyport.UserID(c.text("user")) }

func (c *call) getUser() error {
	u, err := c.admin().User(c.ctx(), c.actor, c.user())
	if err != nil {
		return err
	}
	return c.versioned(http.StatusOK, u.Version, showUser(u))
}

// assignment says who gets which policy.
type assignment struct {
	Policy sallyport.UserPolicyID `json:"policy"`
	Users  []sallyport.UserID     `json:"users"`
	Search *struct {
		Text     string                 `json:"q"`
		Domain   sallyport.DomainID     `json:"domain"`
		Policy   sallyport.UserPolicyID `json:"policy"`
		State    sallyport.UserState    `json:"state"`
		OU       string                 `json:"ou"`
		Enrolled *bool                  `json:"enrolled"`
	} `json:"search"`
}

func (c *call) assignPolicy() error {
	var a assignment
	if err := c.decode(&a); err != nil {
		return err
	}
	var q store.UserQuery
	switch {
	case (a.Users == nil) == (a.Search == nil):
		return unfit("users", "Name users, or search for them: one of the two.")
	case a.Users != nil:
		q.IDs = a.Users
	default:
		q = store.UserQuery{Text: a.Search.Text, Domain: a.Search.Domain, Policy: a.Search.Policy, State: a.Search.State, OU: a.Search.OU, Enrolled: a.Search.Enrolled}
	}
	n, err := c.admin().AssignPolicy(c.ctx(), c.actor, q, a.Policy)
	if err != nil {
		return err
	}
	return c.answer(struct {
		Changed int `json:"changed"`
	}{n})
}

func (c *call) releasePolicy() error {
	return c.empty(c.admin().ReleasePolicy(c.ctx(), c.actor, c.user()))
}

func (c *call) requireSecondFactor() error {
	return c.empty(c.admin().RequireSecondFactor(c.ctx(), c.actor, c.user()))
}

// device is an enrolled phone; its keys stay where they are.
type device struct {
	ID       sallyport.DeviceID `json:"id"`
	Name     string             `json:"name"`
	Platform string             `json:"platform"`
	Enrolled *time.Time         `json:"enrolled,omitempty"`
	// AppVersion is what the device says; NumberMatching whether its app can ask for a number.
	AppVersion     string `json:"appVersion,omitempty"`
	NumberMatching bool   `json:"numberMatching"`
}

func (c *call) listDevices() error {
	list, err := c.admin().Devices(c.ctx(), c.actor, c.user())
	if err != nil {
		return err
	}
	return part(c, list, func(d sallyport.Device) string { return newestFirst(d.Enrolled, string(d.ID)) }, func(d sallyport.Device) device {
		return device{ID: d.ID, Name: d.Name, Platform: d.Platform, Enrolled: stamp(d.Enrolled), AppVersion: d.App.Version, NumberMatching: !d.App.WithoutNumberMatching}
	})
}

func (c *call) deleteDevice() error {
	return c.empty(c.admin().DeleteDevice(c.ctx(), c.actor, c.user(), sallyport.DeviceID(c.text("device"))))
}

// rememberedDevice is a browser that may skip the second factor.
type rememberedDevice struct {
	ID        sallyport.RememberedID `json:"id"`
	Browser   string                 `json:"browser"`
	Place     string                 `json:"place"`
	LastPlace string                 `json:"lastPlace,omitempty"`
	Made      *time.Time             `json:"remembered,omitempty"`
	LastUsed  *time.Time             `json:"lastUsed,omitempty"`
	Until     *time.Time             `json:"until,omitempty"`
}

func (c *call) listRememberedDevices() error {
	list, err := c.admin().RememberedDevices(c.ctx(), c.actor, c.user())
	if err != nil {
		return err
	}
	return part(c, list, func(d admin.Remembered) string { return newestFirst(d.Made, string(d.ID)) }, func(d admin.Remembered) rememberedDevice {
		return rememberedDevice{ID: d.ID, Browser: d.Browser, Place: d.Place, LastPlace: d.LastPlace, Made: stamp(d.Made), LastUsed: stamp(d.LastUsed), Until: stamp(d.Until)}
	})
}

func (c *call) deleteRememberedDevice() error {
	return c.empty(c.admin().DeleteRememberedDevice(c.ctx(), c.actor, c.user(), sallyport.RememberedID(c.text("device"))))
}

// temporaryCode is one without the code.
type temporaryCode struct {
	ID      string                     `json:"id"`
	Issued  *time.Time                 `json:"issued,omitempty"`
	Expires *time.Time                 `json:"expires,omitempty"`
	By      string                     `json:"by"`
	Ended   *time.Time                 `json:"ended,omitempty"`
	EndedBy sallyport.TemporaryCodeEnd `json:"endedBy,omitempty"`
	Good    bool                       `json:"good"`
}

func (c *call) listTemporaryCodes() error {
	list, err := c.admin().TemporaryCodes(c.ctx(), c.actor, c.user())
	if err != nil {
		return err
	}
	now := c.s.cfg.Now()
	return part(c, list, func(t sallyport.TemporaryCode) string { return newestFirst(t.Issued, t.ID) }, func(t sallyport.TemporaryCode) temporaryCode {
		return temporaryCode{ID: t.ID, Issued: stamp(t.Issued), Expires: stamp(t.Expires), By: t.By, Ended: stamp(t.Ended), EndedBy: t.EndedBy, Good: t.Good(now)}
	})
}

func (c *call) revokeTemporaryCode() error {
	return c.empty(c.admin().RevokeTemporaryCode(c.ctx(), c.actor, c.user()))
}

func (c *call) listUserLogins() error {
	found, err := c.admin().UserLogins(c.ctx(), c.actor, c.user(), c.text("cursor"), c.most())
	if err != nil {
		return err
	}
	return c.answer(pageOf(found.Logins, found.Next, showLogin))
}
