package devices

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tokensvcpb"
	"github.com/sallyport/sallyport/appliance-connector/attestation"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// Where the enterprise requires attestation, a device whose maker says nothing, or something that does not hold, is not enrolled; else what was
// found is kept for the record.
func TestADeviceIsAttestedOrNot(t *testing.T) {
	key, err := deviceproto.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := deviceproto.MarshalPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	e := Enrolment{ID: "e1", Tenant: "hospital", Account: `hospital\\alice`, Link: deviceproto.Link{Secret: make([]byte, secretSize)}}
	id := deviceproto.Thumbprint(&key.PublicKey)
	said := deviceproto.Enrolling{Tenant: e.Tenant, Enrolment: e.ID, Device: id, Name: "Phone", Platform: "cli"}
	r := &tokensvcpb.Registration{DeviceId: string(id), PublicKey: der, Name: said.Name, Platform: said.Platform,
		Proof: said.Proof(deviceproto.DeriveKeys(e.Link.Secret, id).Proof)}
	for _, c := range []struct {
		format   string
		evidence string
		want     attestation.Finding
	}{{"", "", attestation.NotAttested}, {"apple-app-attest", "rubbish", attestation.DoesNotHold}, {"google-play-integrity", "rubbish", attestation.NotConfigured}} {
		r.AttestationFormat, r.AttestationEvidence = c.format, []byte(c.evidence)
		e.Attestation = attestation.Policy{Apple: &attestation.Apple{Roots: x509.NewCertPool(), AppIDs: []string{"a"}}}
		d, err := e.check(r, time.Now())
		if err != nil || d.ID != id || d.Attestation != string(c.want) {
			t.Errorf("%q: %q, %v", c.format, d.Attestation, err)
		}
		e.Attestation.Require = true
		if d, err := e.check(r, time.Now()); sallyport.ErrorCode(err) != sallyport.CodeUnsupported || d.ID != "" {
			t.Errorf("%q, required: %+v, %v", c.format, d, err)
		}
		e.Attestation.Require = false
	}
	e.Attestation.Require = true
	r.Proof = make([]byte, len(r.Proof))
	if _, err := e.check(r, time.Now()); sallyport.ErrorCode(err) != sallyport.CodeDenied {
		t.Errorf("without the link's secret: %v", err)
	}
}
