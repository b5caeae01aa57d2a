package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/otp/tokenfile"
)

func newOTPImport() *cobra.Command {
	var keyFile, passphraseFile string
	var preview bool
	c := asking(atDesk(&cobra.Command{
		Use: "import FILE", Short: "Import the OTP tokens of a maker's file (PSKC or CSV), all or none", Args: cobra.ExactArgs(1),
		Long: `Says first what is in the file and what would change. PSKC (RFC 6030) may be plain, or encrypted under a key (AES-CBC) or a passphrase. CSV has
serial and secret, and where they differ from the usual type (totp), digits (6), interval (30), counter (0) and algorithm (sha1). A file may be imported
again: what is there stays as it is.`,
		Example: `  sallyport otp import tokens.csv
  sallyport otp import tokens.xml --key-file key.txt --preview
  sallyport otp import tokens.xml --passphrase-file passphrase.txt --yes -o json`,
	}, func(ctx context.Context, t *task, args []string) error {
		f, file, err := openTokenFile(args[0], keyFile, passphraseFile)
		if err != nil {
			return err
		}
		f.File = bytes.NewReader(file)
		p, err := t.PreviewOTPTokens(ctx, t.actor, f)
		if err != nil {
			return t.tokenFileTrouble(err)
		}
		if preview {
			return t.done(map[string]any{"tokens": len(p.Tokens), "new": p.New, "known": p.Known, "other": each(p.Other, func(s string) string { return s })}, "%s", previewWords(p))
		}
		if p.New > 0 && len(p.Other) == 0 {
			if ok, err := t.sure(previewWords(p) + " Import?"); !ok || err != nil {
				return err
			}
		}
		f.File = bytes.NewReader(file)
		done, err := t.ImportOTPTokens(ctx, t.actor, f)
		if err != nil {
			return t.tokenFileTrouble(err)
		}
		return t.done(map[string]any{"added": done.Added, "known": done.Known}, "%s imported; %d were there already.", counted(done.Added, "OTP token", "OTP tokens"), done.Known)
	}))
	c.Flags().StringVar(&keyFile, "key-file", "", "file with the key of an encrypted PSKC file, in hexadecimal or base64")
	c.Flags().StringVar(&passphraseFile, "passphrase-file", "", "file with the passphrase of an encrypted PSKC file")
	c.Flags().BoolVar(&preview, "preview", false, "say what would change, and change nothing")
	for _, name := range []string{"key-file", "passphrase-file"} {
		_ = c.MarkFlagFilename(name)
	}
	return c
}

func previewWords(p admin.TokenFilePreview) string {
	s := fmt.Sprintf("%s in the file: %d new, %d there already.", counted(len(p.Tokens), "OTP token", "OTP tokens"), p.New, p.Known)
	if n := len(p.Other); n > 0 {
		s += fmt.Sprintf(" %d are there with another secret, or as another kind, the first of them %q: the file will be refused.", n, p.Other[0])
	}
	return s
}

// openTokenFile reads a file of tokens and what it is encrypted under.
func openTokenFile(name, keyFile, passphraseFile string) (f admin.TokenFile, file []byte, err error) {
	in, err := os.Open(name)
	if err != nil {
		return f, nil, fmt.Errorf("open file of OTP tokens: %w", err)
	}
	file, err = io.ReadAll(io.LimitReader(in, admin.MaxTokenFile+1))
	if err = errors.Join(err, in.Close()); err != nil {
		return f, nil, fmt.Errorf("read file of OTP tokens: %w", err)
	}
	if keyFile != "" {
		if f.Key, err = secretFile(keyFile); err != nil {
			return f, nil, err
		}
	}
	if passphraseFile != "" {
		f.Passphrase, err = secretFile(passphraseFile)
	}
	return f, file, err
}

// tokenFileTrouble says every line that is wrong with a file before the error.
func (t *task) tokenFileTrouble(err error) error {
	var lines *tokenfile.Problems
	if errors.As(err, &lines) && len(lines.List) > 1 {
		for _, p := range lines.List {
			_, _ = fmt.Fprintln(t.c.ErrOrStderr(), printable(p.String()))
		}
		if lines.More > 0 {
			_, _ = fmt.Fprintf(t.c.ErrOrStderr(), "And %d more.\n", lines.More)
		}
		return sallyport.Errorf(sallyport.CodeInvalid, fmt.Sprintf("Nothing was imported: there are %d mistakes in the file.", len(lines.List)+lines.More), nil)
	}
	return fieldWords(err)
}
