package login

import (
	"bytes"
	"testing"

	"github.com/sallyport/sallyport"
)

// FuzzParseCompact: what is read writes itself back the same; nothing else is read. It looks behind the seal, which
// keeps everything of others' making out.
func FuzzParseCompact(f *testing.F) {
	good, err := State{
		Login: "00112233445566778899aabbccddeeff", Version: 2, Kind: sallyport.PromptPush, Account: `hospital\alice`,
		Device: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", Challenge: "00112233445566778899aabbccddeeff",
		Methods: []sallyport.Method{sallyport.MethodPush, sallyport.MethodCode}, Used: sallyport.MethodPush, Plain: true, Pushes: 1,
		Delivery: DeliverySent, Until: 1_800_000_000_000, End: 1_800_000_600_000, Front: []byte("sixteen octets!!"),
	}.compact()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte{compactFormat})
	f.Add([]byte{compactFormat, 16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseCompact(b)
		if err != nil {
			return
		}
		again, err := s.compact()
		if err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", s, err)
		}
		reread, err := parseCompact(again)
		if err != nil || len(again) > len(b) {
			t.Fatalf("%x became %x: %v", b, again, err)
		}
		if twice, err := reread.compact(); err != nil || !bytes.Equal(twice, again) {
			t.Fatalf("%x became %x", again, twice)
		}
	})
}
