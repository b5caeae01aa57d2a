package conformance

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
)

func sections(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address).As(chief), t.Context()
	if value, version, err := s.Section(ctx, "mail"); err != nil || value != nil || version != 0 {
		t.Fatalf("never set: %q, %d, %v", value, version, err)
	}
	must(t, s.SetSection(ctx, "mail", []byte(`{"server": "mail.example"}`), 0))
	must(t, s.SetSection(ctx, "mail", []byte(`{"server": "<b>"}`), 1))
	if value, version, err := s.Section(ctx, "mail"); err != nil || string(value) != `{"server": "<b>"}` || version != 2 {
		t.Errorf("got %q, %d, %v", value, version, err)
	}
	for _, stale := range []int64{0, 1, 3} {
		wantOvertaken(t, s.SetSection(ctx, "mail", []byte(`{}`), stale))
	}
	if r := lastRecord(t, s, "setting.change"); decode[map[string]string](t, r.Before)["server"] != "mail.example" || decode[map[string]string](t, r.After)["server"] != "<b>" {
		t.Errorf("recorded %s, %s", r.Before, r.After)
	}
	for _, wrong := range []string{"", "{", "\"\xff\"", `"` + strings.Repeat("x", 64<<10) + `"`} {
		wantCode(t, s.SetSection(ctx, "wrong", []byte(wrong), 0), sallyport.CodeInvalid)
	}
	wantCode(t, s.SetSection(ctx, "a b", []byte(`1`), 0), sallyport.CodeInvalid)
	must(t, s.SetSealedSection(ctx, "smtp-password", "correct-horse", 0))
	must(t, s.SetSealedSection(ctx, "smtp-password", "battery-staple", 1))
	if value, version, err := s.SealedSection(ctx, "smtp-password"); err != nil || value != "battery-staple" || version != 2 {
		t.Errorf("secret: %q, %d, %v", string(value), version, err)
	}
	if value, version, err := s.SealedSection(ctx, "never"); err != nil || value != "" || version != 0 {
		t.Errorf("secret never set: %q, %d, %v", string(value), version, err)
	}
	wantOvertaken(t, s.SetSealedSection(ctx, "smtp-password", "x", 1))
	if r := lastRecord(t, s, "setting.change"); string(r.Before) != `"[redacted]"` || string(r.After) != `"[redacted]"` {
		t.Errorf("recorded %s, %s", r.Before, r.After)
	}
	// One is not taken for the other.
	_, _, err := s.Section(ctx, "smtp-password")
	wantCode(t, err, sallyport.CodeConflict)
	_, _, err = s.SealedSection(ctx, "mail")
	wantCode(t, err, sallyport.CodeConflict)
	wantCode(t, s.SetSection(ctx, "smtp-password", []byte(`"x"`), 2), sallyport.CodeConflict)
	wantCode(t, s.SetSealedSection(ctx, "mail", "x", 2), sallyport.CodeConflict)
	dump := e.Dump(t, address)
	if holds(dump, []byte("correct-horse")) || holds(dump, []byte("battery-staple")) || !bytes.Contains(dump, []byte("<b>")) {
		t.Error("a secret setting stands in the database, or an open one does not")
	}
	e.Exec(t, address, `UPDATE sections SET name = 'moved' WHERE name = 'smtp-password'`)
	_, _, err = s.SealedSection(ctx, "moved")
	wantCode(t, err, sallyport.CodeInternal)
}
