package gsm7_test

import (
	"bytes"
	"testing"

	"github.com/sallyport/sallyport/internal/gsm7"
)

// The values are those of 3GPP TS 23.038, section 6.2.1 and 6.2.1.1.
func TestEncode(t *testing.T) {
	for text, want := range map[string][]byte{
		"@":       {0x00},
		"Δ_":      {0x10, 0x11},
		"ÆæßÉ":    {0x1c, 0x1d, 0x1e, 0x1f},
		" 09":     {0x20, 0x30, 0x39},
		"¡AZÄÖÑ":  {0x40, 0x41, 0x5a, 0x5b, 0x5c, 0x5d},
		"Ü§¿a":    {0x5e, 0x5f, 0x60, 0x61},
		"zäöñüà":  {0x7a, 0x7b, 0x7c, 0x7d, 0x7e, 0x7f},
		"\n\r":    {0x0a, 0x0d},
		"€[^]":    {0x1b, 0x65, 0x1b, 0x3c, 0x1b, 0x14, 0x1b, 0x3e},
		"{}\\~|":  {0x1b, 0x28, 0x1b, 0x29, 0x1b, 0x2f, 0x1b, 0x3d, 0x1b, 0x40},
		"\f":      {0x1b, 0x0a},
		"":        nil,
		"%&'()*+": {0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b},
	} {
		if got, ok := gsm7.Encode(text); !ok || !bytes.Equal(got, want) {
			t.Errorf("%q: % x, %v; want % x", text, got, ok, want)
		}
	}
	for _, text := range []string{"ó", "ç", "ı", "رمز", "`", "\x00", "\x1b", "\t", "a\xff"} {
		if got, ok := gsm7.Encode(text); ok {
			t.Errorf("%q: % x", text, got)
		}
	}
	if got := gsm7.Keep("Çağrı\x00 Ω"); got != "Çar Ω" {
		t.Errorf("kept %q", got)
	}
}
