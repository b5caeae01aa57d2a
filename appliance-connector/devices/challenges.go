// Package devices is the appliance's side of the token service: it puts challenges to the devices of
// users and enrols devices. What it sends is sealed to the device; what comes back is checked by those
// who asked.
package devices

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"crypto/tls"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tokensvcpb"
	"github.com/sallyport/sallyport/appliance-connector/login"
)

// Deadlines of calls to the token service.
const (
	callTime   = 3 * time.Second
	createTime = 4 * time.Second
)

// retryPolicy has gRPC repeat what a replica that just went away did not answer; every call here is
// idempotent.
const retryPolicy = `{
  "loadBalancingConfig": [{"round_robin": {}}],
  "methodConfig": [{
    "name": [{"service": "sallyport.tokensvc.v1.TokenService"}],
    "retryPolicy": {"maxAttempts": 4, "initialBackoff": "0.05s", "maxBackoff": "0.5s", "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE"]}
  }]
}`

// Client talks to the token service.
type Client struct {
	conn *grpc.ClientConn
	rpc  tokensvcpb.TokenServiceClient
}

// Dial prepares the connection; it is made when needed and kept. address is a gRPC target: host:port,
// or dns:///name:port where several replicas stand behind a name.
func Dial(address string, conf *tls.Config, more ...grpc.DialOption) (*Client, error) {
	conn, err := grpc.NewClient(address, append([]grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(conf)),
		grpc.WithDefaultServiceConfig(retryPolicy),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second, PermitWithoutStream: true}),
	}, more...)...)
	if err != nil {
		return nil, fmt.Errorf("prepare token service connection: %w", err)
	}
	conn.Connect()
	return &Client{conn: conn, rpc: tokensvcpb.NewTokenServiceClient(conn)}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Create makes a challenge; again with the same id it changes nothing.
func (c *Client) Create(ctx context.Context, ch login.Challenge) error {
	ctx, cancel := context.WithTimeout(ctx, createTime)
	defer cancel()
	_, err := c.rpc.CreateChallenge(ctx, &tokensvcpb.CreateChallengeRequest{
		ChallengeId: string(ch.ID), DeviceId: string(ch.Device), SealedDetails: ch.Sealed, TtlMs: uint32(ch.Life.Milliseconds()),
	})
	if err != nil {
		return fmt.Errorf("create challenge: %w", err)
	}
	return nil
}

// Cancel ends a challenge.
func (c *Client) Cancel(ctx context.Context, id sallyport.ChallengeID) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if _, err := c.rpc.CancelChallenge(ctx, &tokensvcpb.CancelChallengeRequest{ChallengeId: string(id)}); err != nil {
		return fmt.Errorf("cancel challenge: %w", err)
	}
	return nil
}

// Watch reports what has happened and happens to a challenge. A stream that breaks is opened again,
// on another replica if need be, as long as ctx lasts.
func (c *Client) Watch(ctx context.Context, id sallyport.ChallengeID, event func(login.ChallengeEvent) bool) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		over, err := c.watchOnce(ctx, id, event)
		if over || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("watch challenge: %w", err)
		case <-time.After(wait/2 + rand.N(wait)): // jitter: all logins lose their stream at once
		}
	}
}

func (c *Client) watchOnce(ctx context.Context, id sallyport.ChallengeID, event func(login.ChallengeEvent) bool) (over bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.rpc.WatchChallenge(ctx, &tokensvcpb.WatchChallengeRequest{ChallengeId: string(id)})
	if err != nil {
		return final(err), fmt.Errorf("watch challenge: %w", err)
	}
	for {
		ev, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return false, errors.New("watch challenge: the stream ended early")
		}
		if err != nil {
			return final(err), fmt.Errorf("watch challenge: %w", err)
		}
		if e, known := eventOf(ev); known && (!event(e) || e.Answer != nil || e.Ended != "") {
			return true, nil
		}
	}
}

// final tells errors that the same request would meet again.
func final(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.NotFound, codes.Unimplemented:
		return true
	}
	return false
}

func eventOf(ev *tokensvcpb.ChallengeEvent) (login.ChallengeEvent, bool) {
	switch e := ev.GetEvent().(type) {
	case *tokensvcpb.ChallengeEvent_Answer:
		return login.ChallengeEvent{Answer: e.Answer.GetSealed()}, true
	case *tokensvcpb.ChallengeEvent_Ended:
		return login.ChallengeEvent{Ended: reason(e.Ended.GetReason())}, true
	case *tokensvcpb.ChallengeEvent_Delivery:
		d := delivery(e.Delivery.GetState())
		return login.ChallengeEvent{Delivery: d}, d != ""
	}
	return login.ChallengeEvent{}, false // of a newer release
}

func reason(r tokensvcpb.Ended_Reason) sallyport.Reason {
	switch r {
	case tokensvcpb.Ended_SUPERSEDED:
		return sallyport.ReasonSuperseded
	case tokensvcpb.Ended_CANCELLED:
		return sallyport.ReasonCancelled
	}
	return sallyport.ReasonTimeout
}

func delivery(s tokensvcpb.Delivery_State) login.Delivery {
	switch s {
	case tokensvcpb.Delivery_SENT:
		return login.DeliverySent
	case tokensvcpb.Delivery_FAILED:
		return login.DeliveryFailed
	case tokensvcpb.Delivery_NO_ADDRESS:
		return login.DeliveryNoAddress
	}
	return ""
}
