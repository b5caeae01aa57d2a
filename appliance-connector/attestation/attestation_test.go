package attestation_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/attestation"
)

var (
	now       = time.Date(2026, 3, 1, 7, 0, 0, 0, time.UTC)
	challenge = attestation.Challenge("hospital", "e1", "ju9qtJp3SPtFOmvshJCAgmZD2Ki3DYOF9k50uumUA28")
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// holds expects that evidence holds, or does not and why.
func holds(t *testing.T, err error, why string) {
	t.Helper()
	switch {
	case why == "" && err != nil:
		t.Errorf("refused: %v", err)
	case why != "" && (err == nil || !strings.Contains(err.Error(), why)):
		t.Errorf("got %v, want %q", err, why)
	}
}

func TestAChallengeIsOfOneKeyInOneEnrolment(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range [][3]string{{"hospital", "e1", "d1"}, {"clinic", "e1", "d1"}, {"hospital", "e2", "d1"}, {"hospital", "e1", "d2"}, {"hospitale", "1", "d1"}} {
		seen[string(attestation.Challenge(sallyport.TenantID(c[0]), sallyport.EnrolmentID(c[1]), sallyport.DeviceID(c[2])))] = true
	}
	if len(seen) != 5 {
		t.Errorf("%d challenges", len(seen))
	}
}

func TestWhatTheEnterpriseMakesOfEvidence(t *testing.T) {
	a, g := newApple(t), newGoogle(t)
	good := attestation.Evidence{Format: attestation.AppAttest, Octets: a.object(t, nil)}
	token := attestation.Evidence{Format: attestation.PlayIntegrity, Octets: g.token(t, nil)}
	for name, c := range map[string]struct {
		policy   attestation.Policy
		evidence attestation.Evidence
		want     attestation.Finding
	}{
		"nothing":            {attestation.Policy{Apple: a.verifier}, attestation.Evidence{}, attestation.NotAttested},
		"an iPhone":          {attestation.Policy{Apple: a.verifier}, good, attestation.Attested},
		"an Android phone":   {attestation.Policy{Google: g.verifier}, token, attestation.Attested},
		"not set up":         {attestation.Policy{}, good, attestation.NotConfigured},
		"not set up either":  {attestation.Policy{Apple: a.verifier}, token, attestation.NotConfigured},
		"of a newer release": {attestation.Policy{Apple: a.verifier}, attestation.Evidence{Format: "tea-leaves", Octets: []byte("x")}, attestation.NotConfigured},
		"a format alone":     {attestation.Policy{Apple: a.verifier}, attestation.Evidence{Format: attestation.AppAttest}, attestation.DoesNotHold},
		"too long":           {attestation.Policy{Apple: a.verifier}, attestation.Evidence{Format: attestation.AppAttest, Octets: make([]byte, attestation.MaxEvidence+1)}, attestation.DoesNotHold},
		"the other format":   {attestation.Policy{Apple: a.verifier, Google: g.verifier}, attestation.Evidence{Format: attestation.PlayIntegrity, Octets: good.Octets}, attestation.DoesNotHold},
	} {
		t.Run(name, func(t *testing.T) {
			got, why, err := c.policy.Check(c.evidence, challenge, now)
			if got != c.want || err != nil || (why == "") != (c.want == attestation.Attested) {
				t.Errorf("%s, %q, %v; want %s", got, why, err, c.want)
			}
			c.policy.Require = true
			got, _, err = c.policy.Check(c.evidence, challenge, now)
			if refused := sallyport.ErrorCode(err) == sallyport.CodeUnsupported; got != c.want || refused == (c.want == attestation.Attested) {
				t.Errorf("required: %s, %v", got, err)
			}
			if err != nil && !strings.Contains(sallyport.ErrorMessage(err), "phone's own store") {
				t.Errorf("nobody is told what to do: %q", sallyport.ErrorMessage(err))
			}
		})
	}
}

func FuzzEvidence(f *testing.F) {
	a, g := newApple(f), newGoogle(f)
	f.Add(a.object(f, nil), true)
	f.Add(g.token(f, nil), false)
	f.Add([]byte("\xa3cfmtoapple-appattestgattStmt\xa2cx5c\x82@@greceipt@hauthDataX7"), true)
	f.Add([]byte("....."), false)
	f.Fuzz(func(t *testing.T, octets []byte, apple bool) {
		other := attestation.Challenge("hospital", "another", "device")
		e := attestation.Evidence{Format: attestation.PlayIntegrity, Octets: octets}
		if apple {
			e.Format = attestation.AppAttest
		}
		if got, _, err := (attestation.Policy{Require: true, Apple: a.verifier, Google: g.verifier}).Check(e, other, now); got == attestation.Attested || err == nil {
			t.Errorf("taken for another enrolment: %q", octets)
		}
	})
}
