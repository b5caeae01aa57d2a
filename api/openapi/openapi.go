// Package openapi holds the descriptions of the HTTP interfaces. The others are for those who write a client;
// the administrative one is also what the appliance serves by.
package openapi

import _ "embed"

//go:embed admin.yaml
var admin []byte

// Admin returns the description of the administrative API, as YAML.
func Admin() []byte { return append([]byte(nil), admin...) }
