package console

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/otp/tokenfile"
)

const (
	mostTokensShown = 20
	mostOther       = 10 // serial numbers named of those that are known otherwise
)

// tokenImportPage is what the page of the import shows.
type tokenImportPage struct {
	Form         Form
	Most, Tokens int // MiB and tokens that a file may have
	// Trouble is what is wrong with the file, Problems are its lines.
	Trouble  string
	Problems []string
	More     int
	Found    *foundTokens
}

// foundTokens is what a file holds, before it is imported.
type foundTokens struct {
	Title, Text, Other, Button string
	Table                      Table
	// Sum is of the file that was looked at: no other one is imported by the button.
	Sum string
	May bool
}

func tokenImportFields(r *request) Form {
	return r.form("Look at the file",
		Field{Kind: "password", Name: "key", Label: "Key of the file", Most: 128, Autocomplete: "off", Help: "Of a PSKC file that is encrypted under a key (AES-CBC): hexadecimal or base64, as the maker gave it."},
		Field{Kind: "password", Name: "passphrase", Label: "Passphrase of the file", Most: 256, Autocomplete: "off", Help: "Of a PSKC file that is encrypted under a passphrase."})
}

func (r *request) tokenImport() error {
	return r.showTokenImport(http.StatusOK, tokenImportPage{Form: tokenImportFields(r)})
}

func (r *request) showTokenImport(status int, d tokenImportPage) error {
	d.Most, d.Tokens = admin.MaxTokenFile>>20, sallyport.OTPImportMost
	return r.showAs(status, Page{Title: "Import OTP tokens", Lead: "All tokens of a file are imported, or none. A file that was imported before may be imported again: what is there stays as it is.",
		Crumbs: []Link{{"OTP tokens", "/otp-tokens"}}, Content: "tokenimport", Data: d})
}

// importTokens looks at a file, or imports the one that was looked at.
func (r *request) importTokens() error {
	ctx, cancel := r.within(uploadTime)
	defer cancel()
	file, sum, err := r.tokenFile()
	if err != nil {
		return r.tokenTrouble(err)
	}
	f := admin.TokenFile{File: bytes.NewReader(file), Key: sallyport.Secret(strings.TrimSpace(r.FormValue("key"))), Passphrase: sallyport.Secret(r.FormValue("passphrase"))}
	if r.FormValue("do") != "import" {
		p, err := r.s.admin.PreviewOTPTokens(ctx, r.Actor(), f)
		if err != nil {
			return r.tokenTrouble(err)
		}
		return r.showTokenImport(http.StatusOK, tokenImportPage{Form: tokenImportFields(r), Found: foundIn(p, sum)})
	}
	if subtle.ConstantTimeCompare([]byte(sum), []byte(r.FormValue("sum"))) != 1 {
		return r.tokenTrouble(sallyport.Errorf(sallyport.CodeConflict, "This is not the file that was looked at. Look at it first.", nil))
	}
	done, err := r.s.admin.ImportOTPTokens(ctx, r.Actor(), f)
	if err != nil {
		return r.tokenTrouble(err)
	}
	note := plural(done.Added, "OTP token was imported.", "OTP tokens were imported.")
	if done.Known > 0 {
		note += " " + plural(done.Known, "was there already.", "were there already.")
	}
	return r.done("/otp-tokens", note)
}

// tokenFile is the file that was sent, and its sum.
func (r *request) tokenFile() (file []byte, sum string, err error) {
	part, err := r.FormFile("file")
	if err != nil {
		return nil, "", sallyport.Errorf(sallyport.CodeInvalid, "Choose the file that the maker of the tokens gave you.", err)
	}
	in, err := part.Open()
	if err != nil {
		return nil, "", fmt.Errorf("open file that was sent: %w", err)
	}
	file, err = io.ReadAll(io.LimitReader(in, admin.MaxTokenFile+1))
	if err = errors.Join(err, in.Close()); err != nil {
		return nil, "", fmt.Errorf("read file that was sent: %w", err)
	}
	digest := sha256.Sum256(file)
	return file, hex.EncodeToString(digest[:]), nil
}

// tokenTrouble shows what is wrong with a file.
func (r *request) tokenTrouble(err error) error {
	d := tokenImportPage{Form: tokenImportFields(r)}
	f, ok := d.Form.with(err)
	if sallyport.ErrorCode(err) == sallyport.CodeDenied { // the key or the passphrase is missing, or wrong
		f.Trouble, ok = sallyport.ErrorMessage(err), true
	}
	if !ok {
		return err
	}
	d.Form, d.Trouble = f, f.Trouble
	if d.Trouble == "" {
		d.Trouble = sallyport.ErrorMessage(err)
		if wrong, is := fields(err); is {
			d.Trouble = wrong["key"]
		}
	}
	var lines *tokenfile.Problems
	if errors.As(err, &lines) {
		for _, p := range lines.List {
			d.Problems = append(d.Problems, p.String())
		}
		d.More = lines.More
	}
	return r.showTokenImport(http.StatusUnprocessableEntity, d)
}

func foundIn(p admin.TokenFilePreview, sum string) *foundTokens {
	f := &foundTokens{Title: plural(len(p.Tokens), "token is in the file", "tokens are in the file"), Sum: sum, May: len(p.Other) == 0 && p.New > 0,
		Button: "Import " + plural(p.New, "token", "tokens"),
		Table:  Table{ID: "found-list", Caption: "Tokens of the file", Columns: []Column{{Label: "Serial number"}, {Label: "Kind"}, {Label: "Algorithm"}, {Label: "Maker"}}}}
	switch {
	case p.New == 0 && len(p.Other) == 0:
		f.Text = "All of them are there already. There is nothing to import."
	case p.Known > 0:
		f.Text = plural(p.New, "is new,", "are new,") + " " + plural(p.Known, "is there already and stays as it is.", "are there already and stay as they are.")
	default:
		f.Text = "All of them are new."
	}
	if n := len(p.Other); n > 0 {
		f.Text = ""
		f.Other = strings.Join(p.Other[:min(n, mostOther)], ", ")
		if n > mostOther {
			f.Other += fmt.Sprintf(" and %d more", n-mostOther)
		}
		f.Other += ". Leave them out of the file, or delete the tokens first."
	}
	if len(p.Tokens) > mostTokensShown {
		f.Table.Total = fmt.Sprintf("The first %d of %d", mostTokensShown, len(p.Tokens))
	}
	for _, k := range p.Tokens[:min(len(p.Tokens), mostTokensShown)] {
		f.Table.Rows = append(f.Table.Rows, []Cell{{Text: k.Serial}, {Text: tokenKind(k)}, {Text: "HMAC-" + strings.ToUpper(string(k.Algorithm))}, {Text: orNone(k.Maker)}})
	}
	return f
}
