package tunnel_test

import (
	"context"
	"crypto/tls"
	"time"

	"google.golang.org/grpc"
	gcredentials "google.golang.org/grpc/credentials"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/internal/pki"
)

// idleStream opens a stream of an enterprise of its own and leaves it open.
func idleStream(ca *pki.CA, addr string, i int) error {
	key, err := pki.NewKey()
	if err != nil {
		return err
	}
	csr, err := pki.CSR(key)
	if err != nil {
		return err
	}
	id := pki.Identity{Tenant: sallyport.TenantID("tenant-" + itoa(i)), Appliance: "one"}
	chain, err := ca.SignAppliance(csr, id, time.Now(), time.Hour)
	if err != nil {
		return err
	}
	cert := tls.Certificate{Certificate: chain, PrivateKey: key}
	config := pki.ClientTLS(func() (*tls.Certificate, error) { return &cert, nil }, ca.Pool(), "")
	cc, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(gcredentials.NewTLS(config)),
		grpc.WithReadBufferSize(0))
	if err != nil {
		return err
	}
	s, err := tunnelpb.NewTunnelClient(cc).Connect(context.Background())
	if err != nil {
		return err
	}
	if err := s.Send(hello()); err != nil {
		return err
	}
	if _, err := s.Recv(); err != nil {
		return err
	}
	go func() {
		for range time.Tick(20 * time.Second) {
			if s.Send(&tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Heartbeat{Heartbeat: &tunnelpb.Heartbeat{}}}) != nil {
				return
			}
		}
	}()
	go func() {
		for {
			if _, err := s.Recv(); err != nil {
				return
			}
		}
	}()
	return nil
}
