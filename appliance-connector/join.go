package appliance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/trust"
	"github.com/sallyport/sallyport/appliance-connector/tunnel"
)

// JoinOptions are how a joining appliance reaches the cloud.
type JoinOptions struct {
	Proxy   *url.URL
	Version string
	// TunnelAddresses replace the cloud's address from the provisioning, if any are given.
	TunnelAddresses []string
}

// joiner answers nothing: an appliance without keys can decide nothing.
type joiner struct{}

func (joiner) Handle(context.Context, *tunnelpb.Request, func()) *tunnelpb.Response {
	return &tunnelpb.Response{Body: &tunnelpb.Response_Failure{Failure: &tunnelpb.Failure{
		Code: string(sallyport.CodeUnavailable), Message: "This appliance is only about to join.",
	}}}
}

// Join gets the enterprise's keys with a join code, through the tunnel, and keeps them.
func Join(ctx context.Context, t *trust.Trust, code sallyport.Secret, opts JoinOptions) (*keyring.Ring, error) {
	addresses := opts.TunnelAddresses
	if len(addresses) == 0 {
		addresses = []string{t.TunnelAddress}
	}
	client, err := tunnel.New(tunnel.Config{
		Addresses: addresses, Proxy: opts.Proxy, Version: opts.Version, Handler: joiner{},
		TLS:     func() (*tls.Config, error) { return t.TLS(""), nil },
		Joining: func() bool { return true }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("prepare tunnel: %w", err)
	}
	run, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = client.Run(run) // ends with run; why there is no stream, its status says
	}()
	defer func() {
		stop()
		<-ended
	}()
	if err := connected(ctx, client); err != nil {
		return nil, err
	}
	return t.Join(ctx, code, func(ctx context.Context, msg []byte) ([]byte, error) {
		a, err := client.Join(ctx, &tunnelpb.JoinRequest{ApplianceId: string(t.Appliance), Message: msg})
		if err != nil {
			return nil, err
		}
		return a.GetMessage(), nil
	})
}

// connected waits for a stream.
func connected(ctx context.Context, client *tunnel.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !client.Connected() {
		select {
		case <-ctx.Done():
			return sallyport.Errorf(sallyport.CodeUnavailable,
				"The cloud's tunnel cannot be reached. Check the way out to the internet and the proxy.", errors.Join(ctx.Err(), client.Status().LastError))
		case <-tick.C:
		}
	}
	return nil
}
