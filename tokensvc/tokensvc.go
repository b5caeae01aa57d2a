// Package tokensvc is the token service: the courier between appliances and phones. It takes challenges
// from appliances, sends pushes, and hands the devices' answers back, on any of its replicas. It carries
// sealed values and can read neither question nor answer, nor approve anything.
//
// This file wires one replica: store and its events (store), sending (outbox, push; texts, sms), the side of the
// appliances (grpcapi), the side of the devices (deviceapi), and the operator's (admin).
package tokensvc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/revocation"
	"github.com/sallyport/sallyport/tokensvc/deviceapi"
	"github.com/sallyport/sallyport/tokensvc/grpcapi"
	"github.com/sallyport/sallyport/tokensvc/outbox"
	"github.com/sallyport/sallyport/tokensvc/store"
)

// Timeouts of the device listener. Writing allows for a request that waits the longest.
const (
	headerTime = 5 * time.Second
	readTime   = 10 * time.Second
	writeTime  = deviceproto.MaxWait + 10*time.Second
	idleTime   = 90 * time.Second
	maxHeader  = 16 << 10
	stopTime   = 10 * time.Second
	warmEvery  = 5 * time.Minute
)

// Service is one replica.
type Service struct {
	cfg      Config
	store    *store.Store
	events   *store.Events
	outbox   *outbox.Outbox
	metrics  *metrics
	grpc     *grpc.Server
	device   *http.Server
	admin    *http.Server
	stopping atomic.Bool   // not ready any more
	draining chan struct{} // what waits is let go

	grpcListener, deviceListener, adminListener net.Listener
}

// New opens the listeners and wires a replica. Nothing is served before Run; who does not call Run
// calls Close.
func New(cfg Config) (*Service, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, draining: make(chan struct{})}
	if err := s.listen(); err != nil {
		s.Close()
		return nil, err
	}
	s.events = store.NewEvents(cfg.Redis, cfg.Log)
	s.store = store.New(cfg.Redis, s.events)
	s.metrics = newMetrics(s)
	owner := sallyport.NewID()
	s.outbox = outbox.New(outbox.Config{
		Store: s.store, Senders: cfg.Senders, Observe: s.metrics, Owner: owner, Log: cfg.Log, Now: cfg.Now,
		Workers: cfg.PushWorkers, Queue: cfg.PushQueue,
	})
	messages, err := s.newTexts()
	if err != nil {
		s.Close()
		return nil, err
	}
	s.grpc = grpcapi.NewServer(grpcapi.Config{
		Store: s.store, Events: s.events, Sender: s.outbox, Texts: messages, Revocations: revocation.List{Redis: cfg.Redis},
		DeviceURL: s.DeviceURL(), Owner: owner, Draining: s.draining, Observe: s.metrics.grpcRequest, Log: cfg.Log, Now: cfg.Now,
	}, credentials.NewTLS(cfg.GRPCTLS))
	api, err := deviceapi.New(deviceapi.Config{
		Store: s.store, Events: s.events, URL: s.DeviceURL(), Page: cfg.Page, WebPush: cfg.WebPush,
		TrustedProxies: cfg.TrustedProxies, Limits: cfg.Limits, Draining: s.draining,
		Observe: s.metrics.deviceRequest, Log: cfg.Log, Now: cfg.Now,
	})
	if err != nil {
		s.Close()
		return nil, err
	}
	s.device = &http.Server{
		Handler: api, ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime,
		IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
	}
	s.admin = &http.Server{Handler: s.adminHandler(), ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: readTime, MaxHeaderBytes: maxHeader}
	return s, nil
}

func (s *Service) listen() (err error) {
	if s.grpcListener, err = net.Listen("tcp", s.cfg.GRPCAddr); err != nil {
		return fmt.Errorf("listen for appliances: %w", err)
	}
	if s.deviceListener, err = net.Listen("tcp", s.cfg.DeviceAddr); err != nil {
		return fmt.Errorf("listen for devices: %w", err)
	}
	if s.cfg.AdminAddr == "" {
		return nil
	}
	if s.adminListener, err = net.Listen("tcp", s.cfg.AdminAddr); err != nil {
		return fmt.Errorf("listen for the operator: %w", err)
	}
	return nil
}

// GRPCAddr is where appliances ask.
func (s *Service) GRPCAddr() string { return s.grpcListener.Addr().String() }

// DeviceAddr is where devices ask.
func (s *Service) DeviceAddr() string { return s.deviceListener.Addr().String() }

// AdminAddr is where the operator asks; "" when that is switched off.
func (s *Service) AdminAddr() string {
	if s.adminListener == nil {
		return ""
	}
	return s.adminListener.Addr().String()
}

// DeviceURL is the device address in links.
func (s *Service) DeviceURL() string {
	switch {
	case s.cfg.DeviceURL != "":
		return s.cfg.DeviceURL
	case s.cfg.DeviceTLS != nil:
		return "https://" + s.DeviceAddr()
	default:
		return "http://" + s.DeviceAddr()
	}
}

// Close closes the listeners of a replica that was not run.
func (s *Service) Close() {
	for _, l := range []net.Listener{s.grpcListener, s.deviceListener, s.adminListener} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// Run serves until ctx ends, then shuts down: says "not ready", lets waiting requests go, finishes the
// others and the pushes under way, and gives the rest of the outbox to the other replicas.
func (s *Service) Run(ctx context.Context) error {
	// What serves requests stands on what runs in the background, so that goes last.
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	var back errgroup.Group
	back.Go(func() error { return s.events.Run(background) })
	back.Go(func() error { return s.outbox.Run(background) })
	back.Go(func() error { return s.warm(background) })

	front, frontCtx := errgroup.WithContext(ctx)
	front.Go(func() error { return s.grpc.Serve(s.grpcListener) })
	front.Go(func() error { return serve(s.device, s.limited(), s.cfg.DeviceTLS) })
	if s.adminListener != nil {
		front.Go(func() error { return serve(s.admin, s.adminListener, nil) })
	}
	front.Go(func() error {
		<-frontCtx.Done()
		return s.shutdown(ctx)
	})
	s.cfg.Log.Info("token service runs", "appliances", s.GRPCAddr(), "devices", s.DeviceURL(), "admin", s.AdminAddr())
	err := front.Wait()
	stopBackground()
	if backErr := back.Wait(); err == nil && !errors.Is(backErr, context.Canceled) {
		err = backErr
	}
	return err
}

func (s *Service) limited() net.Listener {
	n := s.cfg.MaxConnections
	if n == 0 {
		n = 50_000
	}
	return netutil.LimitListener(s.deviceListener, n)
}

func serve(srv *http.Server, l net.Listener, t *tls.Config) error {
	var err error
	if t != nil {
		srv.TLSConfig = t
		err = srv.ServeTLS(l, "", "")
	} else {
		err = srv.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *Service) shutdown(ctx context.Context) error {
	s.stopping.Store(true)
	s.cfg.Log.Info("token service shuts down")
	<-time.After(s.cfg.ShutdownDelay)
	close(s.draining)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	var all errgroup.Group
	all.Go(func() error {
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.grpc.GracefulStop()
		}()
		select {
		case <-done:
		case <-ctx.Done():
			s.grpc.Stop()
			<-done
		}
		return nil
	})
	all.Go(func() error { return stop(ctx, s.device) })
	if err := all.Wait(); err != nil {
		return err
	}
	return stop(ctx, s.admin) // last, so that probes are answered meanwhile
}

func stop(ctx context.Context, srv *http.Server) error {
	if err := srv.Shutdown(ctx); err != nil {
		return srv.Close()
	}
	return nil
}

// warm keeps the connections to the push providers open, so that no push waits for a handshake.
func (s *Service) warm(ctx context.Context) error {
	tick := time.NewTicker(warmEvery)
	defer tick.Stop()
	for {
		for p, sender := range s.cfg.Senders {
			w, ok := sender.(interface{ Warm(context.Context) error })
			if !ok {
				continue
			}
			if err := w.Warm(ctx); err != nil && ctx.Err() == nil {
				s.cfg.Log.Warn("push provider cannot be reached; pushes will be late or fail", "provider", p, "error", err,
					"advice", "check that this host may reach the provider, and the credential")
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
