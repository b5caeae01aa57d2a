package apns_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/test/pushsim"
	"github.com/sallyport/sallyport/tokensvc/push"
	"github.com/sallyport/sallyport/tokensvc/push/apns"
	"github.com/sallyport/sallyport/tokensvc/push/pushtest"
)

func start(t *testing.T, cfg pushsim.Config) *pushsim.Sim {
	t.Helper()
	sim, err := pushsim.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return sim
}

func config(sim *pushsim.Sim) apns.Config {
	return apns.Config{
		Host: sim.APNsURL, Topic: sim.Topic, Roots: sim.Roots, Now: time.Now,
		Key: &apns.SigningKey{P8: sim.P8, KeyID: sim.KeyID, TeamID: sim.TeamID},
	}
}

func sender(t *testing.T, cfg apns.Config) *apns.Sender {
	t.Helper()
	s, err := apns.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func fault(status int, reason string) pushsim.Fault {
	return pushsim.Fault{Provider: pushsim.APNs, Status: status, Reason: reason}
}

func TestSenderWithSigningKey(t *testing.T) {
	pushtest.Run(t, func(t *testing.T) pushtest.Subject {
		sim := start(t, pushsim.Config{})
		s := sender(t, config(sim))
		if err := s.Warm(t.Context()); err != nil {
			t.Fatal(err)
		}
		return pushtest.Subject{
			Sim: sim, Provider: pushsim.APNs, Sender: s, NeverKnown: strings.Repeat("ab", 32),
			Credential: fault(403, "ExpiredProviderToken"), Throttled: fault(429, "TooManyRequests"),
			Down: fault(503, "ServiceUnavailable"), Rejected: fault(400, "BadTopic"),
		}
	})
}

func TestCertificateInPlaceOfSigningKey(t *testing.T) {
	sim := start(t, pushsim.Config{})
	cfg := config(sim)
	cfg.Key, cfg.Certificate = nil, &sim.Certificate
	m := pushtest.Message(sim.Register(pushsim.APNs))
	if r := sender(t, cfg).Send(t.Context(), m); r.Outcome != push.Sent {
		t.Fatalf("result = %+v", r)
	}
	sim.AddFault(fault(403, "BadCertificate"))
	if r := sender(t, cfg).Send(t.Context(), m); r.Outcome != push.Credential || !strings.Contains(r.Advice, "certificate") {
		t.Errorf("result = %+v", r)
	}
}

func TestEveryReasonOfAppleHasItsOutcome(t *testing.T) {
	sim := start(t, pushsim.Config{})
	s := sender(t, config(sim))
	for _, c := range []struct {
		status int
		reason string
		want   push.Outcome
	}{
		{400, "BadCollapseId", push.Rejected}, {400, "BadDeviceToken", push.Unregistered}, {400, "BadExpirationDate", push.Rejected},
		{400, "DeviceTokenNotForTopic", push.Unregistered}, {400, "MissingTopic", push.Rejected}, {400, "TopicDisallowed", push.Rejected},
		{400, "PayloadEmpty", push.Rejected}, {400, "InvalidPushType", push.Rejected}, {400, "BadCertificateEnvironment", push.Credential},
		{403, "BadCertificate", push.Credential}, {403, "Forbidden", push.Credential}, {403, "MissingProviderToken", push.Credential},
		{403, "InvalidProviderToken", push.Credential}, {404, "BadPath", push.Rejected}, {405, "MethodNotAllowed", push.Rejected},
		{410, "Unregistered", push.Unregistered}, {410, "ExpiredToken", push.Unregistered}, {413, "PayloadTooLarge", push.Rejected},
		{429, "TooManyRequests", push.Throttled}, {429, "TooManyProviderTokenUpdates", push.Throttled},
		{500, "InternalServerError", push.Unavailable}, {503, "ServiceUnavailable", push.Unavailable}, {503, "Shutdown", push.Unavailable},
	} {
		sim.ClearFaults()
		sim.AddFault(fault(c.status, c.reason))
		r := s.Send(t.Context(), pushtest.Message(sim.Register(pushsim.APNs)))
		if r.Outcome != c.want {
			t.Errorf("%d %s: %s, want %s", c.status, c.reason, r.Outcome, c.want)
		}
		if (r.Outcome == push.Rejected || r.Outcome == push.Credential) && r.Advice == "" {
			t.Errorf("%d %s: no advice", c.status, c.reason)
		}
	}
}

func TestWrongKeyIsACredentialError(t *testing.T) {
	sim := start(t, pushsim.Config{})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	other := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	for name, change := range map[string]func(*apns.SigningKey){
		"key":     func(k *apns.SigningKey) { k.P8 = other },
		"key id":  func(k *apns.SigningKey) { k.KeyID = "OTHER" },
		"team id": func(k *apns.SigningKey) { k.TeamID = "OTHER" },
	} {
		cfg := config(sim)
		change(cfg.Key)
		r := sender(t, cfg).Send(t.Context(), pushtest.Message(sim.Register(pushsim.APNs)))
		if r.Outcome != push.Credential || !strings.Contains(r.Detail, "InvalidProviderToken") {
			t.Errorf("other %s: %+v", name, r)
		}
	}
}

func TestBadConfigurationIsRefusedAtOnce(t *testing.T) {
	sim := start(t, pushsim.Config{})
	for name, change := range map[string]func(*apns.Config){
		"no topic":      func(c *apns.Config) { c.Topic = "" },
		"no credential": func(c *apns.Config) { c.Key = nil },
		"two of them":   func(c *apns.Config) { c.Certificate = &sim.Certificate },
		"no PEM":        func(c *apns.Config) { c.Key.P8 = []byte("x") },
		"no private key": func(c *apns.Config) {
			c.Key.P8 = []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
		},
	} {
		cfg := config(sim)
		change(&cfg)
		if _, err := apns.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAWarmConnectionIsUsed(t *testing.T) {
	sim := start(t, pushsim.Config{})
	s := sender(t, config(sim))
	if err := s.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := s.Send(t.Context(), pushtest.Message(sim.Register(pushsim.APNs))); r.Outcome != push.Sent {
		t.Fatalf("result = %+v", r)
	}
	if n := sim.Connections(pushsim.APNs); n != 1 {
		t.Errorf("%d connections", n)
	}
	sim.Close()
	if err := s.Warm(context.WithoutCancel(t.Context())); err == nil {
		t.Error("a provider that is gone is warm")
	}
}
