package adminapi

import (
	"net/http"
	"time"

	"github.com/sallyport/sallyport"
)

func tokenServerHandlers() map[string]handler {
	return map[string]handler{"getTokenServers": (*call).getTokenServers}
}

// tokenServers is the external token system, without secrets.
type tokenServers struct {
	Name                string                   `json:"name"`
	Everyone            bool                     `json:"everyone"`
	Policies            []sallyport.UserPolicyID `json:"policies"`
	UserName            sallyport.TokenUserName  `json:"userName"`
	TimeoutMilliseconds int64                    `json:"timeoutMilliseconds"`
	Tries               int                      `json:"tries"`
	Servers             []tokenServer            `json:"servers"`
	Version             int64                    `json:"version"`
}

// tokenServer is one server, and how it does as this appliance sees it.
type tokenServer struct {
	ID       sallyport.TokenServerID `json:"id"`
	Host     string                  `json:"host"`
	Port     int                     `json:"port"`
	Unsigned bool                    `json:"unsigned"`
	Sites    []sallyport.SiteID      `json:"sites"`
	Answered *time.Time              `json:"answered,omitempty"`
	Trouble  string                  `json:"trouble,omitempty"`
}

func (c *call) getTokenServers() error {
	v, err := c.admin().TokenServers(c.ctx(), c.actor)
	if err != nil {
		return err
	}
	out := tokenServers{v.Name, v.Everyone, orEmpty(v.Policies), v.UserName, v.Timeout.Milliseconds(), v.Tries, []tokenServer{}, v.Version}
	for _, s := range v.Servers {
		h := v.Health[s.ID]
		out.Servers = append(out.Servers, tokenServer{s.ID, s.Host, s.Port, s.Unsigned, orEmpty(s.Sites), stamp(h.Answered), h.Trouble})
	}
	return c.versioned(http.StatusOK, v.Version, out)
}
