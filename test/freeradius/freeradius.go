// Package freeradius has what all have in common that start FreeRADIUS 3.2 here: as a peer, as a proxy, as a token server.
package freeradius

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Program finds the program.
func Program() (string, error) {
	for _, name := range []string{"freeradius", "/usr/sbin/freeradius", "radiusd"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find FreeRADIUS: %w (Debian package freeradius)", exec.ErrNotFound)
}

// Base is what a configuration begins with.
type Base struct {
	Home string // its directory; everything is in it
	// RequestTime bounds a request, in seconds, and Requests how many there are at once.
	RequestTime, Requests int
	Proxy                 bool
	// Quiet logs into radius.log in Home, and no logins; else all goes to standard output.
	Quiet bool
}

const base = `
prefix = /usr
libdir = /usr/lib/freeradius
logdir = %[1]s
raddbdir = %[1]s
radacctdir = %[1]s
run_dir = %[1]s
db_dir = %[1]s
pidfile = %[1]s/pid
max_request_time = %[2]d
cleanup_delay = 5
max_requests = %[3]d
hostname_lookups = no
proxy_requests = %[4]s
log {
	%[5]s
}
security {
	max_attributes = 200
	reject_delay = 0
	status_server = yes
}
`

// Write writes the configuration into its directory: the base, and what follows it.
func (b Base) Write(rest string) error {
	proxy, log := "no", "destination = stdout\n\tauth = yes"
	if b.Proxy {
		proxy = "yes"
	}
	if b.Quiet {
		log = "destination = files\n\tfile = " + filepath.Join(b.Home, "radius.log") + "\n\tauth = no"
	}
	for name, content := range map[string]string{
		"radiusd.conf": fmt.Sprintf(base, b.Home, b.RequestTime, b.Requests, proxy, log) + rest,
		"dictionary":   "$INCLUDE /usr/share/freeradius/dictionary\n",
	} {
		if err := os.WriteFile(filepath.Join(b.Home, name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("configure FreeRADIUS: %w", err)
		}
	}
	return nil
}
