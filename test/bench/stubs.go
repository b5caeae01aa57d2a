package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/tunnel"
	"github.com/sallyport/sallyport/internal/pki"
)

// stubSettings are appliances with the real end of the tunnel and nothing behind it: they answer at
// once, so that what is measured is the way there and back.
type stubSettings struct {
	Keys       string // directory of the cloud's
	Appliances []pki.Identity
	Addresses  []string
}

// waiter is the user whose logins wait for a phone that never answers.
const waiter = "waiter"

// Sizes of what a real appliance puts into a view, in octets.
const (
	stateSize  = 300
	promptSize = 540
)

func runStubs(ctx context.Context, settings []byte, log *slog.Logger, say func(ready) error) error {
	var set stubSettings
	if err := json.Unmarshal(settings, &set); err != nil {
		return err
	}
	ca, err := pki.LoadCA(filepath.Join(set.Keys, "ca.crt"), filepath.Join(set.Keys, "ca.key"))
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	var clients []*tunnel.Client
	for _, id := range set.Appliances {
		c, err := newStub(ca, id, set.Addresses, log)
		if err != nil {
			return err
		}
		clients = append(clients, c)
		g.Go(func() error { return c.Run(ctx) })
	}
	g.Go(func() error {
		err := until(ctx, startTime, "all appliances are connected", func() (bool, error) {
			for _, c := range clients {
				if st := c.Status(); len(st.Streams) < 2 {
					return false, st.LastError
				}
			}
			return true, nil
		})
		if err != nil {
			return err
		}
		return say(ready{})
	})
	return g.Wait()
}

// certificate makes an appliance's key and certificate.
func certificate(ca *pki.CA, id pki.Identity) (tls.Certificate, error) {
	key, err := pki.NewKey()
	if err != nil {
		return tls.Certificate{}, err
	}
	csr, err := pki.CSR(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	chain, err := ca.SignAppliance(csr, id, time.Now(), 24*time.Hour)
	return tls.Certificate{Certificate: chain, PrivateKey: key}, err
}

func newStub(ca *pki.CA, id pki.Identity, addresses []string, log *slog.Logger) (*tunnel.Client, error) {
	cert, err := certificate(ca, id)
	if err != nil {
		return nil, err
	}
	ring, err := keyring.New(id.Tenant)
	if err != nil {
		return nil, err
	}
	text, signature, err := ring.Statement(time.Now())
	if err != nil {
		return nil, err
	}
	return tunnel.New(tunnel.Config{
		Addresses: addresses, Handler: stub{}, Version: "bench", Log: log, MaxRequests: 1 << 20,
		TLS: func() (*tls.Config, error) {
			return pki.ClientTLS(func() (*tls.Certificate, error) { return &cert, nil }, ca.Pool(), ""), nil
		},
		Statement: func() *tunnelpb.KeyStatement {
			return &tunnelpb.KeyStatement{Statement: text, Signature: signature}
		},
	})
}

// stub is an appliance's handler. The version of the login is all of its state.
type stub struct{}

func (stub) Handle(ctx context.Context, req *tunnelpb.Request, _ func()) *tunnelpb.Response {
	step := req.GetLoginStep()
	v := &tunnelpb.LoginView{Version: 1, Phase: tunnelpb.Phase_PHASE_INPUT, State: make([]byte, stateSize), Sealed: make([]byte, promptSize)}
	if len(step.GetState()) == stateSize {
		v.Version = binary.BigEndian.Uint32(step.GetState())
	}
	switch {
	case step == nil:
		return nil
	case step.GetCredentials() != nil && strings.HasPrefix(step.GetCredentials().GetUserName(), waiter):
		v.Phase, v.WaitMs = tunnelpb.Phase_PHASE_WAITING, uint32((10 * time.Minute).Milliseconds())
	case step.GetMessage() != nil:
		v.Version++
	case step.GetWait() != nil:
		v.Phase, v.WaitMs = tunnelpb.Phase_PHASE_WAITING, uint32((10 * time.Minute).Milliseconds())
		holdOn(ctx)
	}
	binary.BigEndian.PutUint32(v.State, v.Version)
	return &tunnelpb.Response{Body: &tunnelpb.Response_LoginView{LoginView: v}}
}

// holdOn waits until just before the cloud loses its patience, as a real appliance on whose phone
// nothing happens.
func holdOn(ctx context.Context) {
	longest := time.Hour
	if end, ok := ctx.Deadline(); ok {
		longest = time.Until(end) - 500*time.Millisecond
	}
	pause(ctx, longest)
}

// identities names n appliances of an enterprise.
func identities(tenant sallyport.TenantID, n int) []pki.Identity {
	list := make([]pki.Identity, n)
	for i := range list {
		list[i] = pki.Identity{Tenant: tenant, Appliance: sallyport.ApplianceID("stub-" + count(i))}
	}
	return list
}
