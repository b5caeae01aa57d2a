package smpp_test

import (
	"bufio"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/tokensvc/sms"
	"github.com/sallyport/sallyport/tokensvc/sms/smpp"
	"github.com/sallyport/sallyport/tokensvc/sms/smstest"
)

// TestAnotherImplementationUnderstandsIt has Net::SMPP for the other side.
func TestAnotherImplementationUnderstandsIt(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("perl", "testdata/centre.pl", "hospital", "secret08")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start perl: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	heard := bufio.NewScanner(out)
	if !heard.Scan() {
		t.Fatal("the centre does not run: install libnet-smpp-perl")
	}
	g := sms.Gateway{Kind: sms.SMPP, URL: "smpp://127.0.0.1:" + heard.Text(), User: "hospital", Secret: "secret08", SystemType: "VPN", From: "Hospital"}
	send := func(g sms.Gateway, text string, want sms.Outcome) {
		t.Helper()
		s, err := smpp.New(g, smstest.Loopback.Dial)
		if err != nil {
			t.Fatal(err)
		}
		if r := s.Send(t.Context(), sms.Message{ID: "1", To: "+447700900123", Text: text, Life: 5 * time.Minute}); r.Outcome != want {
			t.Errorf("%q: %+v", text, r)
		}
	}
	expect := func(lines ...string) {
		t.Helper()
		for _, want := range lines {
			if !heard.Scan() {
				t.Fatalf("the centre has ended; want %q", want)
			}
			if got := heard.Text(); !slices.Equal(strings.Fields(got), strings.Fields(want)) {
				t.Errorf("the centre understood\n%s, want\n%s", got, want)
			}
		}
	}
	send(g, "Code: 1€", sms.Sent)
	// What stands here in hex is what Net::SMPP has read: numbers as their digits.
	expect("bind system_id=686f73706974616c password=7365637265743038 system_type=56504e interface_version=3532",
		"submit source_addr_ton=35 source_addr_npi=30 source_addr=486f73706974616c dest_addr_ton=31 dest_addr_npi=31 destination_addr=343437373030393030313233 "+
			"esm_class=30 validity_period=30303030303030303035303030303052 registered_delivery=30 data_coding=30 short_message=436f64653a20311b65",
		"enquire_link_resp seq=4711", "unbind")
	g.From = "+447700900000"
	send(g, "رمز 1", sms.Sent)
	expect("bind system_id=686f73706974616c password=7365637265743038 system_type=56504e interface_version=3532",
		"submit source_addr_ton=31 source_addr_npi=31 source_addr=343437373030393030303030 dest_addr_ton=31 dest_addr_npi=31 destination_addr=343437373030393030313233 "+
			"esm_class=30 validity_period=30303030303030303035303030303052 registered_delivery=30 data_coding=38 short_message=0631064506320020"+"0031",
		"enquire_link_resp seq=4711", "unbind")
	g.Secret = "wrong"
	send(g, "x", sms.Credential)
}
