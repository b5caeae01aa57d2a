package fcm_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/test/pushsim"
	"github.com/sallyport/sallyport/tokensvc/push"
	"github.com/sallyport/sallyport/tokensvc/push/fcm"
	"github.com/sallyport/sallyport/tokensvc/push/pushtest"
)

func start(t *testing.T) *pushsim.Sim {
	t.Helper()
	sim, err := pushsim.Start(pushsim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return sim
}

func sender(t *testing.T, cfg fcm.Config) *fcm.Sender {
	t.Helper()
	s, err := fcm.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func config(sim *pushsim.Sim) fcm.Config {
	return fcm.Config{ServiceAccount: sim.ServiceAccount, Endpoint: sim.FCMURL, Roots: sim.Roots, Now: time.Now}
}

func fault(status int, code string) pushsim.Fault {
	return pushsim.Fault{Provider: pushsim.FCM, Status: status, Reason: code}
}

func TestSender(t *testing.T) {
	pushtest.Run(t, func(t *testing.T) pushtest.Subject {
		sim := start(t)
		s := sender(t, config(sim))
		if err := s.Warm(t.Context()); err != nil {
			t.Fatal(err)
		}
		return pushtest.Subject{
			Sim: sim, Provider: pushsim.FCM, Sender: s, NeverKnown: "sim:never",
			Credential: fault(401, "UNAUTHENTICATED"), Throttled: fault(429, "QUOTA_EXCEEDED"),
			Down: fault(503, "UNAVAILABLE"), Rejected: fault(400, "INVALID_ARGUMENT"),
		}
	})
}

func TestEveryCodeOfGoogleHasItsOutcome(t *testing.T) {
	sim := start(t)
	s := sender(t, config(sim))
	for _, c := range []struct {
		status int
		code   string
		want   push.Outcome
	}{
		{404, "UNREGISTERED", push.Unregistered}, {404, "NOT_FOUND", push.Unregistered}, {403, "SENDER_ID_MISMATCH", push.Unregistered},
		{401, "THIRD_PARTY_AUTH_ERROR", push.Credential}, {401, "UNAUTHENTICATED", push.Credential}, {403, "PERMISSION_DENIED", push.Credential},
		{429, "QUOTA_EXCEEDED", push.Throttled}, {500, "INTERNAL", push.Unavailable}, {502, "", push.Unavailable}, {400, "INVALID_ARGUMENT", push.Rejected},
	} {
		sim.ClearFaults()
		sim.AddFault(fault(c.status, c.code))
		r := s.Send(t.Context(), pushtest.Message(sim.Register(pushsim.FCM)))
		if r.Outcome != c.want {
			t.Errorf("%d %s: %s (%s), want %s", c.status, c.code, r.Outcome, r.Detail, c.want)
		}
	}
}

func TestTokenEndpointErrors(t *testing.T) {
	for name, c := range map[string]struct {
		fault pushsim.Fault
		want  push.Outcome
	}{
		"refused": {pushsim.Fault{Provider: pushsim.OAuth, Status: 400, Reason: "invalid_grant"}, push.Credential},
		"down":    {pushsim.Fault{Provider: pushsim.OAuth, Status: 503, Reason: "temporarily_unavailable"}, push.Unavailable},
		"silent":  {pushsim.Fault{Provider: pushsim.OAuth, BlackHole: true}, push.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			sim := start(t)
			sim.AddFault(c.fault)
			r := sender(t, config(sim)).Send(t.Context(), pushtest.Message(sim.Register(pushsim.FCM)))
			if r.Outcome != c.want {
				t.Errorf("result = %+v", r)
			}
			if c.want == push.Credential && !strings.Contains(r.Advice, "service account") {
				t.Errorf("advice = %q", r.Advice)
			}
		})
	}
}

func TestBadServiceAccountIsRefusedAtOnce(t *testing.T) {
	sim := start(t)
	for name, text := range map[string][]byte{
		"empty": nil, "no JSON": []byte("x"), "no project": bytes.Replace(sim.ServiceAccount, []byte("project_id"), []byte("x"), 1),
		"other kind": bytes.Replace(sim.ServiceAccount, []byte("service_account"), []byte("authorized_user"), 1),
	} {
		cfg := config(sim)
		cfg.ServiceAccount = text
		if _, err := fcm.New(t.Context(), cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
