package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/sallyport/sallyport/api/tunnelpb"
)

// NewServer makes the gRPC server of the hub's listener. tls must ask for client certificates
// (pki.ServerTLS). The buffers are chosen for thousands of idle streams.
func (h *Hub) NewServer(config *tls.Config) *grpc.Server {
	s := grpc.NewServer(
		grpc.Creds(closable{credentials.NewTLS(config)}),
		grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 30 * time.Second}),
		grpc.MaxConcurrentStreams(4),
		grpc.MaxRecvMsgSize(MaxFrame),
		grpc.MaxSendMsgSize(MaxFrame),
		grpc.MaxHeaderListSize(16<<10),
		grpc.ReadBufferSize(0),
		grpc.WriteBufferSize(4<<10), // each beat of an idle stream takes one, thousands at a time
		grpc.WaitForHandlers(true),
	)
	tunnelpb.RegisterTunnelServer(s, h)
	return s
}

// Serve runs the hub and its listener until ctx ends; then it drains for at most grace and stops.
func (h *Hub) Serve(ctx context.Context, lis net.Listener, config *tls.Config, grace time.Duration) error {
	srv := h.NewServer(config)
	hubCtx, stopHub := context.WithCancel(context.WithoutCancel(ctx))
	defer stopHub()
	hubDone, srvDone := make(chan error, 1), make(chan error, 1)
	go func() { hubDone <- h.Run(hubCtx) }()
	go func() { srvDone <- srv.Serve(lis) }()
	var err error
	hubLeft, srvLeft := hubDone, srvDone
	select {
	case <-ctx.Done():
		drainCtx, cancel := context.WithTimeout(hubCtx, grace)
		if err := h.Drain(drainCtx); err != nil {
			h.log.Warn("tunnel drained in part", "error", err)
		}
		cancel()
	case err = <-hubDone:
		hubLeft = nil
	case err = <-srvDone:
		srvLeft = nil
	}
	srv.Stop()
	stopHub()
	if srvLeft != nil {
		err = errors.Join(err, <-srvLeft)
	}
	if hubLeft != nil {
		err = errors.Join(err, <-hubLeft)
	}
	return err
}

// closable gives the handler a hold on the connection below gRPC, so that a stream can be cut from
// outside its goroutine: one goroutine a stream is enough then.
type closable struct {
	credentials.TransportCredentials
}

// closableInfo is what the handler finds as peer.AuthInfo.
type closableInfo struct {
	credentials.TLSInfo
	conn net.Conn
}

func (c closable) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	tlsInfo, ok := info.(credentials.TLSInfo)
	if !ok {
		return conn, info, nil
	}
	return conn, closableInfo{TLSInfo: tlsInfo, conn: raw}, nil
}

func (c closable) Clone() credentials.TransportCredentials {
	return closable{c.TransportCredentials.Clone()}
}
