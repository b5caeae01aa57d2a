package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/cloud"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/pki"
	"github.com/sallyport/sallyport/internal/redisconn"
	"github.com/sallyport/sallyport/test/pushsim"
	"github.com/sallyport/sallyport/tokensvc"
	"github.com/sallyport/sallyport/tokensvc/push"
	"github.com/sallyport/sallyport/tokensvc/push/fcm"
)

// tokenSettings are a token service that sends through the push simulator.
type tokenSettings struct {
	Dir, Redis       string
	FCMURL, TokenURL string
	RootsPEM         []byte
	ServiceAccount   []byte
}

func (w *world) startTokens(ctx context.Context, sim *pushsim.Sim) (ready, error) {
	_, at, err := w.start(ctx, "tokens", "tokens", tokenSettings{
		w.dir, w.redisURL, sim.FCMURL, sim.TokenURL, sim.RootsPEM, sim.ServiceAccount,
	}, nil)
	return at, err
}

// runTokens is a replica of the token service, as 'sallyport tokensvc' runs it. Devices reach it by
// plain HTTP, as through a proxy that does TLS.
func runTokens(ctx context.Context, settings []byte, log *slog.Logger, say func(ready) error) (err error) {
	var set tokenSettings
	if err := json.Unmarshal(settings, &set); err != nil {
		return err
	}
	keys, err := cloud.LoadKeys(filepath.Join(set.Dir, "keys"))
	if err != nil {
		return err
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(set.Dir, "server.crt"), filepath.Join(set.Dir, "server.key"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(set.RootsPEM)
	sender, err := fcm.New(ctx, fcm.Config{ServiceAccount: set.ServiceAccount, Endpoint: set.FCMURL, TokenURL: set.TokenURL, Roots: roots, Now: time.Now})
	if err != nil {
		return err
	}
	client, err := redisconn.Open(ctx, set.Redis)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	s, err := tokensvc.New(tokensvc.Config{
		Redis: client, GRPCAddr: "127.0.0.1:0", GRPCTLS: pki.ServerTLS(cert, keys.CA.Pool()), DeviceAddr: "127.0.0.1:0",
		Senders:        map[deviceproto.Provider]push.Sender{deviceproto.ProviderFCM: sender},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Log: log, Now: time.Now,
	})
	if err != nil {
		return err
	}
	if err := say(ready{Service: s.GRPCAddr(), Device: s.DeviceURL()}); err != nil {
		return err
	}
	return s.Run(ctx)
}
