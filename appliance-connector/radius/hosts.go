package radius

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport"
)

// Resolver finds the addresses of a host name; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

const (
	resolveEvery  = time.Minute
	resolveTime   = 5 * time.Second // for one name
	resolveAtOnce = 8
	maxAddresses  = 16 // of one name
)

// configuration is what the table of clients is made of: the integrations, the addresses that their host
// names have, and what is remembered of them.
type configuration struct {
	mu       sync.Mutex
	list     []sallyport.Integration
	found    map[string][]netip.Addr
	failing  map[string]bool
	memories map[sallyport.IntegrationID]*memory
}

// SetIntegrations takes a new configuration into use at once, as a whole. With one that is wrong
// nothing changes. Host names that are new are resolved in the background, by Serve.
func (s *Server) SetIntegrations(list []sallyport.Integration) error {
	s.config.mu.Lock()
	defer s.config.mu.Unlock()
	t, err := newClients(list, s.config.found, s.config.memories)
	if err != nil {
		return fmt.Errorf("configure RADIUS clients: %w", err)
	}
	s.config.list = list
	s.config.memories = t.memories
	s.use(t)
	select {
	case s.resolveNow <- struct{}{}:
	default:
	}
	return nil
}

// use takes a table into use, and says which addresses in it are claimed twice.
func (s *Server) use(t *clients) {
	s.clients.Store(t)
	for _, c := range t.clashes {
		s.opts.Log.Warn("address of a RADIUS client's host name belongs to another integration; it stays with that",
			"host", c.host, "address", c.address.String(), "integration", string(c.loser), "stays_with", string(c.owner),
			"cure", "give the gateways different names, or take the name out of one of the integrations")
	}
}

func (s *Server) memories() map[sallyport.IntegrationID]*memory {
	s.config.mu.Lock()
	defer s.config.mu.Unlock()
	return maps.Clone(s.config.memories)
}

// keepResolved resolves the host names now, when the configuration changes, and every minute, whatever the
// time to live that DNS names.
func (s *Server) keepResolved(ctx context.Context) {
	ticker := time.NewTicker(resolveEvery)
	defer ticker.Stop()
	for {
		s.resolve(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.resolveNow:
		}
	}
}

// resolve looks all host names up. A name that cannot be found keeps the addresses that it had.
func (s *Server) resolve(ctx context.Context) {
	var mu sync.Mutex
	fresh, failed := map[string][]netip.Addr{}, map[string]error{}
	var g errgroup.Group
	g.SetLimit(resolveAtOnce)
	for _, host := range s.hosts() {
		g.Go(func() error {
			addresses, err := s.lookUp(ctx, host)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed[host] = err
			} else {
				fresh[host] = addresses
			}
			return nil
		})
	}
	_ = g.Wait() // the functions return no errors
	if ctx.Err() == nil {
		s.takeAddresses(fresh, failed)
	}
}

// takeAddresses makes a new table of clients when the addresses are others than before.
func (s *Server) takeAddresses(fresh map[string][]netip.Addr, failed map[string]error) {
	c := &s.config
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := false
	for host, addresses := range fresh {
		delete(c.failing, host)
		if !slices.Equal(c.found[host], addresses) {
			s.opts.Log.Info("host name of a RADIUS client has new addresses", "host", host, "addresses", fmt.Sprint(addresses))
			c.found[host], changed = addresses, true
		}
	}
	for host, err := range failed {
		if !c.failing[host] {
			s.opts.Log.Warn("host name of a RADIUS client not found; the addresses it had stay in use",
				"host", host, "addresses", fmt.Sprint(c.found[host]), "cure", "check the name in DNS, or give addresses in the integration", "err", err)
		}
		c.failing[host] = true
	}
	for host := range c.found {
		if !slices.ContainsFunc(c.list, func(in sallyport.Integration) bool { return slices.Contains(in.Hosts, host) }) {
			delete(c.found, host)
			delete(c.failing, host)
		}
	}
	if !changed {
		return
	}
	t, err := newClients(c.list, c.found, c.memories)
	if err != nil { // it was taken before, and addresses of names cannot make it wrong
		s.opts.Log.Error("addresses of RADIUS clients not taken", "err", err)
		return
	}
	s.use(t)
}

func (s *Server) hosts() (out []string) {
	s.config.mu.Lock()
	defer s.config.mu.Unlock()
	for _, in := range s.config.list {
		out = append(out, in.Hosts...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (s *Server) lookUp(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	found, err := s.opts.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range found {
		if a = a.Unmap().WithZone(""); a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	out = slices.Compact(out)
	switch {
	case len(out) == 0:
		return nil, fmt.Errorf("the name has no address")
	case len(out) > maxAddresses:
		return nil, fmt.Errorf("the name has %d addresses; at most %d are taken", len(out), maxAddresses)
	}
	return out, nil
}
