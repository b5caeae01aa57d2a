package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/attestation"
)

// Bounds of what apps are known by.
const (
	maxApps    = 16
	maxAppName = 255
)

// AttestationSettings returns what is made of devices' attestation, and whether there is a decryption key.
func (s *Service) AttestationSettings(ctx context.Context, actor sallyport.Actor) (v attestation.Settings, key bool, err error) {
	db, err := s.as(actor, "AttestationSettings")
	if err != nil {
		return v, false, err
	}
	if v, err = attestation.ReadSettings(ctx, db); err != nil {
		return v, false, err
	}
	kept, _, err := db.SealedSection(ctx, attestation.SecretSection)
	return v, kept != "", err
}

// SetAttestationSettings changes them. An empty decryption key keeps the one that there is.
func (s *Service) SetAttestationSettings(ctx context.Context, actor sallyport.Actor, v attestation.Settings, key sallyport.Secret) error {
	db, err := s.as(actor, "SetAttestationSettings")
	if err != nil {
		return err
	}
	kept, version, err := db.SealedSection(ctx, attestation.SecretSection)
	if err != nil {
		return err
	}
	used := key
	if used == "" {
		used = kept
	}
	f := FieldErrors{}
	for field, list := range map[string][]string{"appleApps": v.AppleApps, "googlePackages": v.GooglePackages, "googleCertificates": v.GoogleCertificates} {
		long := slices.ContainsFunc(list, func(name string) bool { return name == "" || len(name) > maxAppName })
		f.check(len(list) <= maxApps && !long, field, fmt.Sprintf("Give at most %d, of at most %d characters each.", maxApps, maxAppName))
	}
	_, bad := v.Policy(used)
	f.check(bad == nil, "attestation", fmt.Sprint("To check attestation, ", bad, "."))
	f.check(!v.Require || len(v.AppleApps)+len(v.GooglePackages) > 0, "require", "Say first which apps are taken, or no device could be enrolled at all.")
	if err := f.err(); err != nil {
		return err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode attestation settings: %w", err)
	}
	if key != "" && key != kept { // before the settings that need it
		if err := db.SetSealedSection(ctx, attestation.SecretSection, key, version); err != nil {
			return err
		}
	}
	return db.SetSection(ctx, attestation.Section, text, v.Version)
}
