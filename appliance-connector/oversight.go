package appliance

import (
	"context"
	"time"
	_ "time/tzdata" // reports are due by the clock of any zone, also on a system without the database of zones

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/appliance-connector/mail"
	"github.com/sallyport/sallyport/appliance-connector/report"
	"github.com/sallyport/sallyport/appliance-connector/retention"
)

// oversee runs what the appliances do by themselves for those who oversee them: reports that are due, the
// messages that they go out in, and the deletion of what is old.
func (s *Service) oversee(ctx context.Context, g *errgroup.Group) {
	holder := string(s.trust.Appliance)
	reports := &report.Runner{Store: s.store, Holder: holder, Now: time.Now, Log: s.log}
	outbox := &mail.Outbox{Store: s.store, Holder: holder, Now: time.Now, Log: s.log}
	old := &retention.Runner{Store: s.store, Files: s.files, Now: time.Now, Log: s.log}
	g.Go(func() error { return reports.Run(ctx) })
	g.Go(func() error { return outbox.Run(ctx) })
	g.Go(func() error { return old.Run(ctx) })
}
