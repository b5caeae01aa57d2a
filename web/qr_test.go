package web_test

import (
	"strings"
	"testing"
)

// decodeQR reads a QR code (ISO/IEC 18004) of version 8 with medium error correction, rows of 0 and 1, that holds one text in
// octets. Nothing is corrected: what is drawn has to be right.
func decodeQR(t *testing.T, drawn string) string {
	t.Helper()
	const size = 49
	rows := strings.Split(drawn, "\n")
	if len(rows) != size {
		t.Fatalf("%d rows, want %d", len(rows), size)
	}
	at := func(x, y int) bool { return rows[y][x] == '1' }
	// The format beside the first finder: level, mask, and what protects them, under a mask of its own.
	format := 0
	for i := range 6 {
		format = format<<1 | bit(at(i, 8))
	}
	format = format<<3 | bit(at(7, 8))<<2 | bit(at(8, 8))<<1 | bit(at(8, 7))
	for i := 5; i >= 0; i-- {
		format = format<<1 | bit(at(8, i))
	}
	format ^= 0b101010000010010
	if level := format >> 13; level != 0 {
		t.Fatalf("error correction level %d, want medium (0)", level)
	}
	var codewords []byte
	word, n := 0, 0
	up := true
	for right := size - 1; right > 0; right -= 2 {
		if right == 6 { // the timing pattern
			right--
		}
		for i := range size {
			y := i
			if up {
				y = size - 1 - i
			}
			for _, x := range []int{right, right - 1} {
				if function(x, y, size) {
					continue
				}
				word, n = word<<1|bit(at(x, y) != masked(format>>10&7, x, y)), n+1
				if n == 8 {
					codewords, word, n = append(codewords, byte(word)), 0, 0
				}
			}
		}
		up = !up
	}
	// Two blocks of 38 and two of 39 octets of data, interleaved.
	var blocks [4][]byte
	k := 0
	for i := range 39 {
		for b := range blocks {
			if i == 38 && b < 2 {
				continue
			}
			blocks[b] = append(blocks[b], codewords[k])
			k++
		}
	}
	data := append(append(append(blocks[0], blocks[1]...), blocks[2]...), blocks[3]...)
	if mode := data[0] >> 4; mode != 4 {
		t.Fatalf("mode %d, want octets", mode)
	}
	text := make([]byte, data[0]&15<<4|data[1]>>4)
	for i := range text {
		text[i] = data[i+1]<<4 | data[i+2]>>4
	}
	return string(text)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// function tells whether a module is of a pattern, and not of the data.
func function(x, y, size int) bool {
	if x == 6 || y == 6 || x < 9 && y < 9 || x >= size-8 && y < 9 || x < 9 && y >= size-8 {
		return true
	}
	if x >= size-11 && y < 6 || x < 6 && y >= size-11 { // version
		return true
	}
	near := func(v, centre int) bool { return v >= centre-2 && v <= centre+2 }
	for _, cx := range []int{6, 24, 42} {
		for _, cy := range []int{6, 24, 42} {
			finder := cx == 6 && cy == 6 || cx == 42 && cy == 6 || cx == 6 && cy == 42
			if !finder && near(x, cx) && near(y, cy) {
				return true
			}
		}
	}
	return false
}

func masked(mask, x, y int) bool {
	switch mask {
	case 0:
		return (x+y)%2 == 0
	case 1:
		return y%2 == 0
	case 2:
		return x%3 == 0
	case 3:
		return (x+y)%3 == 0
	case 4:
		return (y/2+x/3)%2 == 0
	case 5:
		return x*y%2+x*y%3 == 0
	case 6:
		return (x*y%2+x*y%3)%2 == 0
	}
	return ((x+y)%2+x*y%3)%2 == 0
}
