package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/internal/pki"
)

// Seconds that a replica is given to settle before its memory is read.
const settle = 12 * time.Second

// heartbeat is how often an appliance shows a sign of life: what the cloud asks for by default.
const heartbeat = 3 * time.Second

// tries is how often a stream is opened before that counts as a failure.
const tries = 5

type streamSettings struct {
	Keys    string
	Address string
	N       int
	Prefix  string // of the enterprises' names
}

// measureTunnels opens idle streams, each of an enterprise of its own, and reads what the replica's
// resident memory grew by. The first hundred are not counted: they warm the process up.
func measureTunnels(ctx context.Context, b *bench) ([]row, error) {
	w, err := b.newWorld(ctx)
	if err != nil {
		return nil, err
	}
	defer w.close()
	replica, at, err := w.startCloud(ctx, "cloud", false, "127.0.0.1:1")
	if err != nil {
		return nil, err
	}
	if _, _, err := w.start(ctx, "warm", "streams", streamSettings{w.file("keys"), at.Tunnel, 100, "warm"}, nil); err != nil {
		return nil, err
	}
	before, err := replica.collected(ctx)
	if err != nil {
		return nil, err
	}
	n := min(pick(b, 10_000, 1000), openFiles()-1000)
	begun := time.Now()
	if _, _, err := w.start(ctx, "streams", "streams", streamSettings{w.file("keys"), at.Tunnel, n, "idle"}, nil); err != nil {
		return nil, err
	}
	b.say("%s streams opened in %.0f s", count(n), time.Since(begun).Seconds())
	pause(ctx, settle)
	each, err := replica.grown(ctx, before, n)
	if err != nil {
		return nil, err
	}
	return []row{{
		what: fmt.Sprintf("Tunnels: %s idle streams on one replica, resident memory each, heartbeats going", count(n)),
		ours: each.String(), target: "10,000, ≤ 56 KiB", met: each.resident <= 56 && n >= 10_000,
	}}, nil
}

// runStreams opens streams and keeps them, as many appliances with nothing to do.
func runStreams(ctx context.Context, settings []byte, _ *slog.Logger, say func(ready) error) error {
	var set streamSettings
	if err := json.Unmarshal(settings, &set); err != nil {
		return err
	}
	ca, err := pki.LoadCA(filepath.Join(set.Keys, "ca.crt"), filepath.Join(set.Keys, "ca.key"))
	if err != nil {
		return err
	}
	var opening, beating errgroup.Group
	opening.SetLimit(16)
	for i := range set.N {
		opening.Go(func() error {
			s, err := openStream(ctx, ca, set, i)
			for try := 1; err != nil && try < tries && ctx.Err() == nil; try++ { // as an appliance does
				pause(ctx, time.Second)
				s, err = openStream(ctx, ca, set, i)
			}
			if err == nil {
				beating.Go(func() error { return keepOpen(ctx, s) })
			}
			return err
		})
	}
	if err := opening.Wait(); err != nil {
		return err
	}
	if err := say(ready{}); err != nil {
		return err
	}
	return beating.Wait()
}

// keepOpen sends heartbeats until ctx ends. A stream that breaks before fails the measurement.
func keepOpen(ctx context.Context, s tunnelpb.Tunnel_ConnectClient) error {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := s.Send(&tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Heartbeat{Heartbeat: &tunnelpb.Heartbeat{}}})
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("stream broke: %w", err)
		}
	}
}

// from dials from one of eight addresses of this machine: what was measured before leaves the ports of one address taken for a minute.
func from(i int) func(context.Context, string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, 0, byte(1+i%8))}}
	return func(ctx context.Context, address string) (net.Conn, error) { return d.DialContext(ctx, "tcp", address) }
}

func openStream(ctx context.Context, ca *pki.CA, set streamSettings, i int) (tunnelpb.Tunnel_ConnectClient, error) {
	cert, err := certificate(ca, pki.Identity{Tenant: sallyport.TenantID(fmt.Sprintf("%s-%d", set.Prefix, i)), Appliance: "one"})
	if err != nil {
		return nil, err
	}
	conf := pki.ClientTLS(func() (*tls.Certificate, error) { return &cert, nil }, ca.Pool(), "")
	cc, err := grpc.NewClient("passthrough:///"+set.Address, grpc.WithTransportCredentials(credentials.NewTLS(conf)), grpc.WithReadBufferSize(0),
		grpc.WithContextDialer(from(i)))
	if err != nil {
		return nil, err
	}
	s, err := tunnelpb.NewTunnelClient(cc).Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("open stream: %w", err)
	}
	err = s.Send(&tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Hello{Hello: &tunnelpb.Hello{
		Version: "bench", Instance: sallyport.NewID(), Features: []string{"progress", "progress_ack", "cancel", "drain"},
	}}})
	if err != nil {
		return nil, fmt.Errorf("greet: %w", err)
	}
	if _, err := s.Recv(); err != nil {
		return nil, fmt.Errorf("hear welcome: %w", err)
	}
	go func() { // ends with the stream
		for {
			if _, err := s.Recv(); err != nil {
				return
			}
		}
	}()
	return s, nil
}
