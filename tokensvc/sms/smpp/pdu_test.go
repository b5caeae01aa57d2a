package smpp

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/tokensvc/sms"
)

// The units are written out by hand after the tables of SMPP 3.4 (sections 4.1.1 and 4.4.1).
func TestUnitsAreAsTheSpecificationHasThem(t *testing.T) {
	t.Parallel()
	s := &Sender{system: "SMPP3TEST", password: "secret08", systemType: "SUBMIT1", from: "Hospital"}
	bind := pdu{command: bindTransmitter, sequence: 1, body: s.bind()}.encode()
	want := "0000002f" + "00000002" + "00000000" + "00000001" + // length, command, status, sequence
		"534d50503354455354" + "00" + "7365637265743038" + "00" + "5355424d495431" + "00" + "34" + "00" + "00" + "00"
	if got := hex.EncodeToString(bind); got != want {
		t.Errorf("bind_transmitter\n%s, want\n%s", got, want)
	}
	b, err := s.submit(sms.Message{To: "+447700900123", Text: "Für 1€", Life: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	want = "00" + "0500" + hex.EncodeToString([]byte("Hospital\x00")) + "0101" + hex.EncodeToString([]byte("447700900123\x00")) +
		"000000" + "00" + hex.EncodeToString([]byte("000000000500000R\x00")) + "0000" + "00" + "00" + "07" + "467e7220311b65"
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("submit_sm\n%s, want\n%s", got, want)
	}
}

func TestALongMessageIsNotCut(t *testing.T) {
	t.Parallel()
	if _, err := new(Sender).submit(sms.Message{To: "+447700900123", Text: strings.Repeat("رمز", 60)}); err == nil {
		t.Error("a message of 360 octets was taken")
	}
}

func FuzzReadPDU(f *testing.F) {
	f.Add(pdu{command: submitSM | response, sequence: 2, body: []byte("id\x00")}.encode())
	f.Add(pdu{command: bindTransmitter | response, status: 0x0e, sequence: 1}.encode())
	f.Add(pdu{command: enquireLink, sequence: 9}.encode())
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.NewReader(b)
		for {
			before := in.Len()
			p, err := readPDU(in)
			if err != nil {
				return
			}
			if used := before - in.Len(); used != headerSize+len(p.body) || used > maxPDU || !bytes.Equal(p.encode(), b[len(b)-before:len(b)-before+used]) {
				t.Fatalf("%+v out of % x", p, b)
			}
		}
	})
}
