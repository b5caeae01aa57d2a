package adminapi

import (
	"time"

	"github.com/sallyport/sallyport"
)

type userPasskey struct {
	ID       sallyport.PasskeyID `json:"id"`
	Name     string              `json:"name"`
	Host     string              `json:"host"`
	Enrolled *time.Time          `json:"enrolled,omitempty"`
	Used     *time.Time          `json:"lastUsed,omitempty"`
	Copied   *time.Time          `json:"copied,omitempty"`
}

func showUserPasskey(p sallyport.Passkey) userPasskey {
	return userPasskey{ID: p.ID, Name: p.Name, Host: p.Host, Enrolled: stamp(p.Enrolled), Used: stamp(p.Used), Copied: stamp(p.Copied)}
}

func (c *call) listUserPasskeys() error {
	list, err := c.admin().UserPasskeys(c.ctx(), c.actor, c.user())
	if err != nil {
		return err
	}
	return part(c, list, func(p sallyport.Passkey) string { return newestFirst(p.Enrolled, string(p.ID)) }, showUserPasskey)
}

func (c *call) deleteUserPasskey() error {
	return c.empty(c.admin().DeleteUserPasskey(c.ctx(), c.actor, c.user(), sallyport.PasskeyID(c.text("passkey"))))
}
