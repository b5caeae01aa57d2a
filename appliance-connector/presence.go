package appliance

import (
	"context"
	"os"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/heartbeat"
)

// tellOfItself has the other appliances' consoles know how this one is, until ctx ends.
func (s *Service) tellOfItself(ctx context.Context) error {
	ticker := time.NewTicker(heartbeat.Every)
	defer ticker.Stop()
	return heartbeat.Run(ctx, heartbeat.Options{Store: s.store, Self: s.self, Beat: ticker.C, Now: time.Now, Log: s.log})
}

// self is what this appliance tells of itself.
func (s *Service) self() sallyport.Appliance {
	name, err := os.Hostname()
	if err != nil {
		name = string(s.trust.Appliance)
	}
	a := sallyport.Appliance{ID: s.trust.Appliance, Name: name, Version: s.cfg.Version, Started: s.started,
		RADIUS: s.RADIUSAddr(), CertificateExpires: s.trust.Expires()}
	st := s.tunnel.Status()
	for _, o := range st.Streams {
		a.Streams = append(a.Streams, sallyport.TunnelStream{Replica: o.Replica, Since: o.Since, Draining: o.Draining})
	}
	if st.LastError != nil {
		a.Trouble = st.LastError.Error()
	}
	return a
}
