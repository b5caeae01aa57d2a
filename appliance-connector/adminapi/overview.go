package adminapi

import (
	"time"

	"github.com/sallyport/sallyport/appliance-connector/admin"
)

func overviewHandlers() map[string]handler {
	return map[string]handler{"getOverview": (*call).getOverview}
}

// overview is the state of things at a glance.
type overview struct {
	Version    string       `json:"version"`
	AllWell    bool         `json:"allWell"`
	NeedsHands bool         `json:"needsHands"` // something is broken, not only advised
	Parts      []partState  `json:"parts"`
	Streams    []stream     `json:"streams"`
	Trouble    string       `json:"tunnelTrouble,omitempty"`
	Gateways   int          `json:"gateways"`
	Users      int          `json:"users"`
	Enrolled   int          `json:"enrolled"`
	Logins     []loginCount `json:"logins"`
	Attention  []attention  `json:"attention"`
}

type partState struct {
	Name string `json:"name"`
	Well bool   `json:"well"`
	// Milliseconds it took to say so.
	Milliseconds int64 `json:"milliseconds"`
}

type stream struct {
	Replica  string     `json:"replica"`
	Since    *time.Time `json:"since,omitempty"`
	Draining bool       `json:"draining"`
}

type loginCount struct {
	From      *time.Time `json:"from,omitempty"`
	Granted   int        `json:"granted"`
	Denied    int        `json:"denied"`
	Abandoned int        `json:"abandoned"`
	Open      int        `json:"open"`
}

type attention struct {
	Urgent bool   `json:"urgent"`
	Title  string `json:"title"`
	Text   string `json:"text"`
	Path   string `json:"path,omitempty"`
}

func (c *call) getOverview() error {
	o, err := c.admin().Overview(c.ctx(), c.actor)
	if err != nil {
		return err
	}
	return c.answer(showOverview(o))
}

func showOverview(o admin.Overview) overview {
	v := overview{Version: o.Version, AllWell: o.AllWell, NeedsHands: o.AsksForHands, Trouble: o.Tunnel.Trouble, Gateways: o.Gateways, Users: o.Users, Enrolled: o.Enrolled,
		Parts: []partState{}, Streams: []stream{}, Logins: []loginCount{}, Attention: []attention{}}
	for _, p := range o.Parts {
		v.Parts = append(v.Parts, partState{p.Name, p.Trouble == nil, p.Took.Milliseconds()})
	}
	for _, s := range o.Tunnel.Streams {
		v.Streams = append(v.Streams, stream{s.Replica, stamp(s.Since), s.Draining})
	}
	for _, l := range o.Logins {
		v.Logins = append(v.Logins, loginCount{stamp(l.From), l.Granted, l.Denied, l.Abandoned, l.Open})
	}
	for _, a := range o.Attention {
		v.Attention = append(v.Attention, attention{a.Urgent, a.Title, a.Text, a.Path})
	}
	return v
}
