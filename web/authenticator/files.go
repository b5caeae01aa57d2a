// Package authenticator holds the files of the phone in the browser: a device of the documented
// protocol (docs/protocol/device.md) as an installable page. The token service serves them below
// /authenticator/. Nothing in them knows an enterprise, a user or a secret.
package authenticator

import "embed"

// Files are the page as it is served: index.html, its style, modules, icons, manifest and service worker.
//
//go:embed index.html style.css app.js sw.js manifest.webmanifest icon.svg *.png js
var Files embed.FS
