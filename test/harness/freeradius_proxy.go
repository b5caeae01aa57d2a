package harness

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"testing"

	"github.com/sallyport/sallyport/test/freeradius"
)

// proxyConf is FreeRADIUS 3.2 that passes every login on. It wants Message-Authenticator from its clients, and signs what it
// passes on; it tries once, and waits as long as a push takes.
const proxyConf = `
proxy server {
	default_fallback = no
}
home_server appliance {
	type = auth
	ipaddr = %[3]s
	port = %[4]d
	secret = "%[5]s"
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
	secret = "%[2]s"
	require_message_authenticator = yes
}
modules {
}
server default {
	listen {
		type = auth
		ipaddr = 127.0.0.1
		port = %[1]d
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
	r.run(tb, freeradius.Base{Home: home, RequestTime: 60, Requests: 4096, Proxy: true}, fmt.Sprintf(proxyConf, r.Port, r.Secret, appliance.Addr(), appliance.Port(), shared))
	return r
}
