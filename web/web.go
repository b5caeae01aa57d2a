// Package web holds what browsers are sent: the login overlay f5.js. It serves nothing itself; whoever does takes it
// from here, since go:embed reaches only its own folder and below.
package web

import (
	"bytes"
	_ "embed"
)

//go:embed f5.js
var overlay []byte

// Overlay returns the login overlay (architecture section 8) as it is shipped and pinned by the gateway's page: f5.js
// without its indentation and its comment lines. The same source always gives the same octets.
func Overlay() []byte {
	out := make([]byte, 0, len(overlay))
	for line := range bytes.Lines(overlay) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && !bytes.HasPrefix(line, []byte("//")) {
			out = append(append(out, line...), '\n')
		}
	}
	return out
}

// Guard goes into the gateway's page in front of the overlay's script tag. It keeps the native form out of sight while
// the browser fetches the script, and gives it back by itself after 2.5 s should the script never come, so that it is there within three; the
// overlay ends it as soon as it knows what to do. Without it a browser may paint the form before the script has arrived.
const Guard = `<style>@keyframes sallyport{from{visibility:hidden}}body{animation:sallyport 2.5s steps(1,end)}</style>`
