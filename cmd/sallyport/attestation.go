package main

import (
	"context"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/appliance-connector/attestation"
)

func newSettingsAttestation() *cobra.Command {
	c := &cobra.Command{
		Use: "attestation", Short: "What is made of the word of a phone's maker when an app is enrolled: show, edit",
		Example: `  sallyport settings attestation edit --apple-app 0352187391.example.hospital.authenticator --apple-root-file Apple_App_Attestation_Root_CA.pem`,
	}
	c.AddCommand(newAttestationShow(), newAttestationEdit())
	return c
}

func (t *task) showAttestation(ctx context.Context) error {
	v, key, err := t.AttestationSettings(ctx, t.actor)
	if err != nil {
		return err
	}
	what, kept := "recorded", "none"
	if v.Require {
		what = "required"
	}
	if key {
		kept = "kept sealed"
	}
	return t.facts(map[string]any{"require": v.Require, "appleApps": v.AppleApps, "appleRoots": v.AppleRoots, "appleDevelopment": v.AppleDevelopment, "googlePackages": v.GooglePackages,
		"googleCertificates": v.GoogleCertificates, "googleKey": v.GoogleKey, "googleDecryptionKey": key, "version": v.Version},
		[2]string{"Attestation", what}, [2]string{"Apple apps", strings.Join(v.AppleApps, ", ")}, [2]string{"Apple development builds", strconv.FormatBool(v.AppleDevelopment)},
		[2]string{"Google packages", strings.Join(v.GooglePackages, ", ")}, [2]string{"Google certificates", strings.Join(v.GoogleCertificates, ", ")},
		[2]string{"Google decryption key", kept}, [2]string{"Version", strconv.FormatInt(v.Version, 10)})
}

func newAttestationShow() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "show", Short: "Show what is made of the word of a phone's maker when an app is enrolled", Args: cobra.NoArgs, Example: `  sallyport settings attestation show`,
	}, func(ctx context.Context, t *task, _ []string) error { return t.showAttestation(ctx) })
}

// attestationFlags are the settings as they are given.
type attestationFlags struct {
	attestation.Settings
	rootFile, keyFile, decryptionFile string
}

func newAttestationEdit() *cobra.Command {
	var f attestationFlags
	c := versioned(atDesk(&cobra.Command{
		Use: "edit", Short: "Say which apps are genuine, and whether others are refused; what is not given stays as it is", Args: cobra.NoArgs,
		Long: `Without --require what is found is recorded in the audit trail (device.enrol), and nobody is refused. With it no phone is enrolled
whose maker does not vouch for the app: not the one in the browser either, nor the one on the command line. Phones that are enrolled stay.`,
		Example: `  sallyport settings attestation edit --google-package example.hospital.authenticator --google-verification-key-file verification.txt --google-decryption-key-file decryption.txt
  sallyport settings attestation edit --require`,
	}, func(ctx context.Context, t *task, _ []string) error {
		if err := t.somethingGiven(); err != nil {
			return err
		}
		v, _, err := t.AttestationSettings(ctx, t.actor)
		if err != nil {
			return err
		}
		if err := f.apply(t, &v); err != nil {
			return err
		}
		key, err := secretFrom(t.c, f.decryptionFile)
		if err != nil {
			return err
		}
		v.Version = t.seen(v.Version)
		if err := t.SetAttestationSettings(ctx, t.actor, v, key); err != nil {
			return fieldWords(err)
		}
		return t.showAttestation(ctx)
	}))
	l := c.Flags()
	l.BoolVar(&f.Require, "require", false, "refuse devices that are not attested; --require=false records only")
	l.StringSliceVar(&f.AppleApps, "apple-app", nil, "app that is taken: team identifier, a dot, bundle identifier")
	l.StringVar(&f.rootFile, "apple-root-file", "", "PEM file with Apple's App Attestation Root CA")
	l.BoolVar(&f.AppleDevelopment, "apple-development", false, "take apps that were built for development, too")
	l.StringSliceVar(&f.GooglePackages, "google-package", nil, "app that is taken: its package name")
	l.StringSliceVar(&f.GoogleCertificates, "google-certificate", nil, "SHA-256 digest, base64url, of a certificate that the app is signed with; none given: any that Play knows")
	l.StringVar(&f.keyFile, "google-verification-key-file", "", "file with the verification key of the Play Console")
	l.StringVar(&f.decryptionFile, "google-decryption-key-file", "", "file with the decryption key of the Play Console, - for the standard input")
	completes(c, cobra.NoFileCompletions, "apple-app", "google-package", "google-certificate")
	return c
}

func (f *attestationFlags) apply(t *task, v *attestation.Settings) error {
	set(t, "require", &v.Require, f.Require)
	set(t, "apple-app", &v.AppleApps, f.AppleApps)
	set(t, "apple-development", &v.AppleDevelopment, f.AppleDevelopment)
	set(t, "google-package", &v.GooglePackages, f.GooglePackages)
	set(t, "google-certificate", &v.GoogleCertificates, f.GoogleCertificates)
	for _, file := range []struct {
		flag, name string
		to         *string
	}{{"apple-root-file", f.rootFile, &v.AppleRoots}, {"google-verification-key-file", f.keyFile, &v.GoogleKey}} {
		if !t.given(file.flag) {
			continue
		}
		text, err := os.ReadFile(file.name)
		if err != nil {
			return err
		}
		*file.to = strings.TrimSpace(string(text))
	}
	return nil
}
