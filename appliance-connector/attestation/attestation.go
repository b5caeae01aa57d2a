// Package attestation checks what the maker of a phone says of an app that enrols: that it is the enterprise's own, unaltered, on a
// real device. It knows Apple's App Attest and Google's Play Integrity. It serves the appliance, which alone decides what that is worth:
// the token service carries the evidence and is not believed. It asks nobody: keys and certificates are handed in, and so is the time.
//
// Evidence is bound to one enrolment of one device key by its challenge (Challenge): what was made for another enrolment, another
// enterprise or another key does not hold. What a carrier takes away it cannot put back: then the device is not attested.
package attestation

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/sealed"
)

// Format says what evidence is.
type Format string

const (
	AppAttest     Format = "apple-app-attest"      // an attestation object, CBOR
	PlayIntegrity Format = "google-play-integrity" // an integrity token, JWE around JWS
)

// MaxEvidence is the most octets that evidence has.
const MaxEvidence = deviceproto.MaxEvidence

// Evidence is what a device brings along. Without a format there is none.
type Evidence struct {
	Format Format
	Octets []byte
}

// Finding is what evidence has shown, in a word for records.
type Finding string

const (
	NotAttested   Finding = "not attested"
	Attested      Finding = "attested"
	DoesNotHold   Finding = "attestation does not hold"
	NotConfigured Finding = "attestation not checked" // of a maker whose keys are not set up
)

// Policy is what the enterprise makes of evidence. The zero value records, and refuses nobody.
type Policy struct {
	// Require refuses every device that is not Attested.
	Require bool
	Apple   *Apple  // nil: not set up
	Google  *Google // nil: not set up
}

// Challenge is what evidence has to be made for: the enrolment of one device key.
func Challenge(t sallyport.TenantID, e sallyport.EnrolmentID, d sallyport.DeviceID) []byte {
	h := sha256.Sum256(sealed.Fields("sallyport/v1 attestation", string(t), string(e), string(d)))
	return h[:]
}

// Check says what the evidence shows. An error (CodeUnsupported) means that the device must not be enrolled. why is for the log.
func (p Policy) Check(e Evidence, challenge []byte, now time.Time) (f Finding, why string, err error) {
	f, cause := p.find(e, challenge, now)
	if cause != nil {
		why = cause.Error()
	}
	if !p.Require || f == Attested {
		return f, why, nil
	}
	message := "This app cannot be used here: its maker has not vouched for it. Install the app that your hospital gives out, from the phone's own store, and try again."
	if f == NotAttested {
		message = "This app cannot be used here: it does not show that it is genuine. Use the app on a phone, from the phone's own store."
	}
	return f, why, sallyport.Errorf(sallyport.CodeUnsupported, message, fmt.Errorf("%s: %s", f, why))
}

func (p Policy) find(e Evidence, challenge []byte, now time.Time) (Finding, error) {
	switch {
	case e.Format == "" && len(e.Octets) == 0:
		return NotAttested, errors.New("the device brought nothing along")
	case len(e.Octets) == 0 || len(e.Octets) > MaxEvidence:
		return DoesNotHold, fmt.Errorf("%d octets of evidence", len(e.Octets))
	}
	var err error
	switch e.Format {
	case AppAttest:
		if p.Apple == nil {
			return NotConfigured, errors.New("nothing is set up for App Attest")
		}
		err = p.Apple.Verify(e.Octets, challenge, now)
	case PlayIntegrity:
		if p.Google == nil {
			return NotConfigured, errors.New("nothing is set up for Play Integrity")
		}
		err = p.Google.Verify(e.Octets, challenge, now)
	default:
		return NotConfigured, errors.New("its format is not known here")
	}
	if err != nil {
		return DoesNotHold, err
	}
	return Attested, nil
}
