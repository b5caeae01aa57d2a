package adminapi

import (
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

func applianceHandlers() map[string]handler {
	return map[string]handler{"listAppliances": (*call).listAppliances, "renameAppliance": (*call).renameAppliance, "removeAppliance": (*call).removeAppliance}
}

// applianceState is an appliance as it last told of itself.
type applianceState struct {
	ID                 sallyport.ApplianceID `json:"id"`
	Name               string                `json:"name"`
	Version            string                `json:"version"`
	Site               sallyport.SiteID      `json:"site,omitempty"`
	Own                bool                  `json:"own"`
	Silent             bool                  `json:"silent"`
	Started            *time.Time            `json:"started,omitempty"`
	Heard              *time.Time            `json:"heard,omitempty"`
	Streams            []stream              `json:"streams"`
	Trouble            string                `json:"trouble,omitempty"`
	RADIUS             string                `json:"radius,omitempty"`
	CertificateExpires *time.Time            `json:"certificateExpires,omitempty"`
	ClockOffset        *int64                `json:"clockOffsetMilliseconds,omitempty"`
	Advice             []advice              `json:"advice"`
}

type advice struct {
	Topic  admin.Topic `json:"topic"`
	Urgent bool        `json:"urgent"`
	Text   string      `json:"text"`
}

func showAppliance(a admin.ApplianceStatus) applianceState {
	v := applianceState{ID: a.ID, Name: a.Name, Version: a.Version, Site: a.Site, Own: a.Own, Silent: a.Silent, Started: stamp(orNever(a.Started)), Heard: stamp(orNever(a.Heard)),
		Streams: []stream{}, Trouble: a.Trouble, RADIUS: a.RADIUS, CertificateExpires: stamp(orNever(a.CertificateExpires)), Advice: []advice{}}
	for _, s := range a.Streams {
		v.Streams = append(v.Streams, stream{s.Replica, stamp(orNever(s.Since)), s.Draining})
	}
	for _, x := range a.Advice {
		v.Advice = append(v.Advice, advice(x))
	}
	if a.ClockKnown {
		ms := a.ClockOffset.Milliseconds()
		v.ClockOffset = &ms
	}
	return v
}

func (c *call) appliance() sallyport.ApplianceID { return sallyport.ApplianceID(c.text("appliance")) }

func (c *call) listAppliances() error {
	state, err := c.admin().Appliances(c.ctx(), c.actor)
	if err != nil {
		return err
	}
	return part(c, state.Appliances, func(a admin.ApplianceStatus) string { return byName(a.Name, string(a.ID)) }, showAppliance)
}

func (c *call) renameAppliance() error {
	var in struct {
		Name string `json:"name"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	return c.empty(c.admin().RenameAppliance(c.ctx(), c.actor, c.appliance(), in.Name))
}

func (c *call) removeAppliance() error {
	return c.empty(c.admin().RemoveAppliance(c.ctx(), c.actor, c.appliance()))
}
