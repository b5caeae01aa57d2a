package radiusload

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport"
)

// freeradiusConf is FreeRADIUS 3.2 with nothing but the files and pap modules: the fastest it can be
// while it still looks a password up and compares it. It is run in one thread (-s): on one core that is
// half as fast again as with its pool of threads.
const freeradiusConf = `
prefix = /usr
libdir = /usr/lib/freeradius
logdir = %[1]s
raddbdir = %[1]s
radacctdir = %[1]s
run_dir = %[1]s
db_dir = %[1]s
pidfile = %[1]s/pid
max_request_time = 30
cleanup_delay = 5
max_requests = 65536
hostname_lookups = no
proxy_requests = no
log {
	destination = files
	file = %[1]s/radius.log
	auth = no
}
security {
	max_attributes = 200
	reject_delay = 0
	status_server = yes
}
client load {
	ipaddr = 127.0.0.1
	secret = "%[3]s"
}
modules {
	pap {
		normalise = no
	}
	files {
		usersfile = %[1]s/users
	}
}
server default {
	listen {
		type = auth
		ipaddr = 127.0.0.1
		port = %[2]d
		recv_buff = 4194304
	}
	authorize {
		files
		pap
	}
	authenticate {
		Auth-Type PAP {
			pap
		}
	}
}
`

// StartFreeRADIUS starts FreeRADIUS 3.2 in dir (which it fills) on one core, with the users of logins.
func StartFreeRADIUS(ctx context.Context, dir, core string, secret sallyport.Secret, logins []Login) (*Process, error) {
	program, err := freeradiusProgram()
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	var users strings.Builder
	for _, l := range logins {
		fmt.Fprintf(&users, "%q Cleartext-Password := %q\n", l.User, string(l.Password))
	}
	for name, content := range map[string]string{
		"radiusd.conf": fmt.Sprintf(freeradiusConf, dir, port, string(secret)),
		"users":        users.String(),
		"dictionary":   "$INCLUDE /usr/share/freeradius/dictionary\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return nil, fmt.Errorf("configure FreeRADIUS: %w", err)
		}
	}
	p, err := start(ctx, "freeradius", core, program, "-s", "-f", "-l", filepath.Join(dir, "radius.log"), "-d", dir)
	if err != nil {
		return nil, err
	}
	p.Address = fmt.Sprintf("127.0.0.1:%d", port)
	return p, p.ready(ctx, Load{Secret: secret, Logins: logins[:1]})
}

func freeradiusProgram() (string, error) {
	for _, name := range []string{"freeradius", "/usr/sbin/freeradius", "radiusd"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find FreeRADIUS: %w (Debian package freeradius)", exec.ErrNotFound)
}
