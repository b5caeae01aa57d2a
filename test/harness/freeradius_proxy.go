package harness

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"testing"
)

// proxyConf is FreeRADIUS 3.2 that passes every login on. It wants Message-Authenticator from its clients, and signs what it
// passes on; it tries once, and waits as long as a push takes.
const proxyConf = `
prefix = /usr
libdir = /usr/lib/freeradius
logdir = %[1]s
raddbdir = %[1]s
radacctdir = %[1]s
run_dir = %[1]s
db_dir = %[1]s
pidfile = %[1]s/pid
max_request_time = 60
cleanup_delay = 5
max_requests = 4096
hostname_lookups = no
proxy_requests = yes
log {
	destination = stdout
	auth = yes
}
security {
	max_attributes = 200
	reject_delay = 0
	status_server = yes
}
proxy server {
	default_fallback = no
}
home_server appliance {
	type = auth
	ipaddr = %[4]s
	port = %[5]d
	secret = "%[6]s"
	response_window = 50
	zombie_period = 50
	status_check = none
}
home_server_pool appliances {
	type = fail-over
	home_server = appliance
}
realm sallyport {
	auth_pool = appliances
	nostrip
}
client gateway {
	ipaddr = 127.0.0.1
	secret = "%[3]s"
	require_message_authenticator = yes
}
modules {
}
server default {
	listen {
		type = auth
		ipaddr = 127.0.0.1
		port = %[2]d
	}
	authorize {
		update control {
			&Proxy-To-Realm := "sallyport"
		}
	}
	authenticate {
	}
	pre-proxy {
		update proxy-request {
			&Message-Authenticator := 0x00
		}
	}
}
`

// StartFreeRADIUSProxy starts a FreeRADIUS that stands between gateways, which share its Secret, and an appliance.
func StartFreeRADIUSProxy(tb testing.TB, appliance netip.AddrPort, shared string) *FreeRADIUS {
	tb.Helper()
	var secret [12]byte
	_, _ = rand.Read(secret[:]) // never fails
	r := &FreeRADIUS{Port: FreePort(tb), Secret: hex.EncodeToString(secret[:])}
	home := dir(tb, "freeradius-proxy")
	r.run(tb, freeradiusProgram(tb), home, fmt.Sprintf(proxyConf, home, r.Port, r.Secret, appliance.Addr(), appliance.Port(), shared))
	return r
}
