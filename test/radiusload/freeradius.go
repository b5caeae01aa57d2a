package radiusload

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/freeradius"
)

// freeradiusConf is FreeRADIUS 3.2 with nothing but the files and pap modules: the fastest it can be
// while it still looks a password up and compares it. It is run in one thread (-s): on one core that is
// half as fast again as with its pool of threads.
const freeradiusConf = `
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
	program, err := freeradius.Program()
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
	base := freeradius.Base{Home: dir, RequestTime: 30, Requests: 65536, Quiet: true}
	if err := base.Write(fmt.Sprintf(freeradiusConf, dir, port, string(secret))); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "users"), []byte(users.String()), 0o600); err != nil {
		return nil, fmt.Errorf("configure FreeRADIUS: %w", err)
	}
	p, err := start(ctx, "freeradius", core, program, "-s", "-f", "-l", filepath.Join(dir, "radius.log"), "-d", dir)
	if err != nil {
		return nil, err
	}
	p.Address = fmt.Sprintf("127.0.0.1:%d", port)
	return p, p.ready(ctx, Load{Secret: secret, Logins: logins[:1]})
}
