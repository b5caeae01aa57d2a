package tunnel

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sallyport/sallyport"
)

// ApplianceStatus describes one stream of an appliance.
type ApplianceStatus struct {
	ID       sallyport.ApplianceID
	Instance string
	Version  string
	Replica  string
	Since    time.Time
	// LastHeartbeat is exact for this replica's streams, and up to a third of a lease old for others.
	LastHeartbeat time.Time
	Joining       bool
	Draining      bool
}

// Appliances lists the streams of an enterprise at all replicas, ordered by appliance and replica. When
// Redis is out of reach the error says so and the list holds this replica's streams.
func (h *Hub) Appliances(ctx context.Context, tenant sallyport.TenantID) ([]ApplianceStatus, error) {
	all := []lease{h.ownLease(tenant)}
	others, err := h.others(ctx, tenant, true)
	if err != nil {
		err = sallyport.Errorf(sallyport.CodeUnavailable, "Streams at other replicas cannot be listed now.", err)
	}
	var out []ApplianceStatus
	for _, l := range append(all, others...) {
		for _, s := range l.Streams {
			out = append(out, ApplianceStatus{
				ID: s.Appliance, Instance: s.Instance, Version: s.Version, Replica: l.Replica,
				Since: time.UnixMilli(s.SinceMs), LastHeartbeat: time.UnixMilli(s.HeardMs),
				Joining: s.Joining, Draining: s.Draining,
			})
		}
	}
	slices.SortFunc(out, func(a, b ApplianceStatus) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Replica, b.Replica), a.Since.Compare(b.Since))
	})
	return out, err
}
