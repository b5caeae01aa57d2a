package sallyport_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
)

func TestPhoneNumberShowsItsLastTwoDigitsOnly(t *testing.T) {
	p := sallyport.Phone{ID: "p1", Account: `hospital\alice`, Number: "+447700900123"}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "number", p.Number, "phone", p)
	for _, shown := range []string{string(text), log.String(), fmt.Sprint(p.Number), fmt.Sprintf("%v %+v %#v %s %q", p, p, p, p.Number, p.Number)} {
		if strings.Contains(shown, "0123") || !strings.Contains(shown, "23") {
			t.Errorf("shown: %s", shown)
		}
	}
	if tail := p.Number.Tail(); tail != "23" {
		t.Errorf("tail %q", tail)
	}
}

func TestPhoneNumberIsE164(t *testing.T) {
	for n, want := range map[sallyport.PhoneNumber]bool{
		"+447700900123": true, "+1234567": true, "+123456789012345": true,
		"": false, "+": false, "447700900123": false, "+0447700900123": false, "+44 7700 900123": false,
		"+123456": false, "+1234567890123456": false, "+44770090012٣": false, "+44\n7700900123": false,
	} {
		if n.Valid() != want {
			t.Errorf("%q: %v", string(n), n.Valid())
		}
	}
}
