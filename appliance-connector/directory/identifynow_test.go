package directory

import (
	"log/slog"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
)

func TestIdentifyNowKnowsPlainNamesOfItsDomainOnly(t *testing.T) {
	d, err := New(Config{URLs: []string{"ldaps://127.0.0.1:1"}, BindDN: "svc@hospital.test", BindPassword: "x", NetBIOSName: "HOSPITAL"}, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for typed, want := range map[string]sallyport.AccountName{
		"Alice":               `hospital\alice`,
		`hospital\alice`:      `hospital\alice`,
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
