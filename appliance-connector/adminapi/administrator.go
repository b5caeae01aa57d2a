package adminapi

import (
	"net/http"
	"time"

	"github.com/sallyport/sallyport"
)

func administratorHandlers() map[string]handler {
	return map[string]handler{"listAdministrators": (*call).listAdministrators, "getAdministrator": (*call).getAdministrator}
}

// administrator is somebody who may sign in to the console.
type administrator struct {
	ID          sallyport.AdministratorID `json:"id"`
	Name        string                    `json:"name"`
	DisplayName string                    `json:"displayName"`
	Mail        string                    `json:"mail"`
	Role        sallyport.Role            `json:"role"`
	Scope       sallyport.Scope           `json:"scope"`
	Directory   bool                      `json:"directory"`
	Disabled    bool                      `json:"disabled"`
	Created     *time.Time                `json:"created,omitempty"`
	LastSeen    *time.Time                `json:"lastSeen,omitempty"`
	Version     int64                     `json:"version"`
}

func showAdministrator(a sallyport.Administrator) administrator {
	return administrator{a.ID, a.Name, a.DisplayName, a.Mail, a.Role, a.Scope, a.Directory, a.Disabled, stamp(a.Created), stamp(orNever(a.LastSeen)), a.Version}
}

func (c *call) listAdministrators() error {
	list, err := c.admin().Administrators(c.ctx(), c.actor)
	if err != nil {
		return err
	}
	return part(c, list, func(a sallyport.Administrator) string { return byName(a.Name, string(a.ID)) }, showAdministrator)
}

func (c *call) getAdministrator() error {
	a, err := c.admin().Administrator(c.ctx(), c.actor, sallyport.AdministratorID(c.text("administrator")))
	if err != nil {
		return err
	}
	return c.versioned(http.StatusOK, a.Version, showAdministrator(a))
}
