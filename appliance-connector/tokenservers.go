package appliance

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/tokenserver"
)

// setTokenServers gives the client the external token servers that the appliance's site asks.
func setTokenServers(ctx context.Context, s *store.Store, c *tokenserver.Client, id sallyport.ApplianceID) error {
	v, err := s.TokenServers(ctx)
	if err != nil {
		return fmt.Errorf("read token servers: %w", err)
	}
	list, err := s.Appliances(ctx)
	if err != nil {
		return fmt.Errorf("read appliances: %w", err)
	}
	var site sallyport.SiteID
	for _, a := range list {
		if a.ID == id {
			site = a.Site
		}
	}
	c.Set(v, site)
	return nil
}

// tokenServerMetrics tell what external token servers said.
func tokenServerMetrics(c *tokenserver.Client) (out []prometheus.Collector) {
	for name, value := range map[string]func(tokenserver.Stats) uint64{
		"accepted":   func(v tokenserver.Stats) uint64 { return v.Accepted },
		"rejected":   func(v tokenserver.Stats) uint64 { return v.Rejected },
		"challenged": func(v tokenserver.Stats) uint64 { return v.Challenged },
		"failed":     func(v tokenserver.Stats) uint64 { return v.Failed },
	} {
		out = append(out, prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "sallyport", Subsystem: "token_servers", Name: "questions_total",
			Help: "Questions to external token servers, by what came of them; failed: no server answered.", ConstLabels: prometheus.Labels{"outcome": name}},
			func() float64 { return float64(value(c.Stats())) }))
	}
	return out
}
