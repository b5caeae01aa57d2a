package adminapi

import (
	"net/http"

	"github.com/sallyport/sallyport"
)

func grantHandlers() map[string]handler {
	return map[string]handler{"getRoleGrants": (*call).getRoleGrants}
}

func (c *call) getRoleGrants() error {
	grants, version, err := c.admin().RoleGrants(c.ctx(), c.actor)
	if err != nil {
		return err
	}
	return c.versioned(http.StatusOK, tagged(version), struct {
		Grants []sallyport.RoleGrant `json:"grants"`
	}{orEmpty(grants)})
}
