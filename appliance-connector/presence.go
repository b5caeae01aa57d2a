package appliance

import (
	"context"
	"os"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/heartbeat"
)

// tellOfItself has the other appliances' consoles know how this one is, until ctx ends. At first it tells more
// often: nobody is to read for long that an appliance is not connected which was starting.
func (s *Service) tellOfItself(ctx context.Context) error {
	next := time.Second
	ticker := time.NewTicker(next)
	defer ticker.Stop()
	self := func() sallyport.Appliance {
		next = min(2*next, heartbeat.Every)
		ticker.Reset(next)
		return s.self()
	}
	return heartbeat.Run(ctx, heartbeat.Options{Store: s.store, Self: self, Beat: ticker.C, Now: time.Now, Log: s.log})
}

// self is what this appliance tells of itself.
func (s *Service) self() sallyport.Appliance {
	a := sallyport.Appliance{ID: s.trust.Appliance, Name: s.name(), Version: s.cfg.Version, Started: s.started,
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

// name is the one given when trust was established, or else the host's.
func (s *Service) name() string {
	if s.trust.Name != "" {
		return s.trust.Name
	}
	name, err := os.Hostname()
	if err != nil {
		return string(s.trust.Appliance)
	}
	return name
}
