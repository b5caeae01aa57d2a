// Package console holds what the admin console sends to browsers as it is: its style, its own scripts and
// htmx. The appliance serves them; nothing in them knows an enterprise, an administrator or a secret.
package console

import "embed"

// Files are served below /static/. htmx.LICENSE stands beside what it is for.
//
//go:embed console.css console.js passkey.js htmx.min.js htmx.LICENSE icon.svg
var Files embed.FS
