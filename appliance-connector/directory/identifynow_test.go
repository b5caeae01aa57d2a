package directory

import (
	"log/slog"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
)

func TestIdentifyNowKnowsPlainNamesOfItsDomainOnly(t *testing.T) {
	d, err := New(Options{Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Set([]sallyport.Domain{{ID: "h", Name: "hospital.test", NetBIOS: "HOSPITAL", Servers: []string{"ldaps://127.0.0.1:1"}, BindName: "svc@hospital.test", BindPassword: "x"}}); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for typed, want := range map[string]sallyport.AccountName{
		"Alice":               `hospital\alice`,
		`hospital\alice`:      `hospital\alice`,
		`hospital.test\alice`: `hospital\alice`,
		`OTHER\alice`:         "",
		"alice@hospital.test": "",
		"älice":               "",
		"":                    "",
		"a\x00b":              "",
	} {
		if got, ok := d.IdentifyNow(typed); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v", typed, got, ok)
		}
	}
}
