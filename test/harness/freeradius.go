package harness

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// FreeRADIUS is a FreeRADIUS 3.2 that stands for an external token server: the code of everybody is TokenCode; of
// nina, whose token is new, it asks for another one (NextCode) by Access-Challenge. Its address stays the same over
// Kill and Start.
type FreeRADIUS struct {
	*Program
	Port   int
	Secret string
}

// What the tokens show, and what nina is asked.
const (
	TokenCode    = "31415926"
	NextCode     = "27182818"
	NextQuestion = "Wait for the code to change, then enter the new one."
)

// freeradiusConf is a token server in FreeRADIUS's own language. That its answers are signed is said here: by
// itself it signs those of requests with EAP only.
const freeradiusConf = `
prefix = /usr
libdir = /usr/lib/freeradius
logdir = %[1]s
raddbdir = %[1]s
radacctdir = %[1]s
run_dir = %[1]s
db_dir = %[1]s
pidfile = %[1]s/pid
max_request_time = 10
cleanup_delay = 5
max_requests = 4096
hostname_lookups = no
proxy_requests = no
log {
	destination = stdout
	auth = yes
}
security {
	max_attributes = 200
	reject_delay = 0
	status_server = yes
}
client appliance {
	ipaddr = 127.0.0.1
	secret = "%[3]s"
	require_message_authenticator = yes
}
modules {
	pap {
	}
	always handled {
		rcode = handled
	}
}
server default {
	listen {
		type = auth
		ipaddr = 127.0.0.1
		port = %[2]d
	}
	authorize {
		%[4]s
		if (&User-Name == "nina" && !&State) {
			update control {
				&Auth-Type := first
			}
		}
		elsif (&User-Name == "nina") {
			update control {
				&Cleartext-Password := "%[6]s"
				&Auth-Type := PAP
			}
		}
		else {
			update control {
				&Cleartext-Password := "%[5]s"
				&Auth-Type := PAP
			}
		}
	}
	authenticate {
		Auth-Type PAP {
			pap
		}
		Auth-Type first {
			update control {
				&Cleartext-Password := "%[5]s"
			}
			pap
			update session-state {
				&Tmp-String-0 := "new code"
			}
			update reply {
				&Reply-Message := "%[7]s"
			}
			update control {
				&Response-Packet-Type := Access-Challenge
			}
			handled
		}
	}
}
`

// StartFreeRADIUS starts a token server that signs its answers, or does not.
func StartFreeRADIUS(tb testing.TB, signed bool) *FreeRADIUS {
	tb.Helper()
	program, secret := freeradiusProgram(tb), [12]byte{}
	_, _ = rand.Read(secret[:]) // never fails
	r := &FreeRADIUS{Port: FreePort(tb), Secret: hex.EncodeToString(secret[:])}
	sign := ""
	if signed {
		sign = "update reply {\n\t\t\t&Message-Authenticator := 0x00\n\t\t}"
	}
	home := dir(tb, "freeradius")
	r.run(tb, program, home, fmt.Sprintf(freeradiusConf, home, r.Port, r.Secret, sign, TokenCode, NextCode, NextQuestion))
	return r
}

func freeradiusProgram(tb testing.TB) string {
	tb.Helper()
	program, err := exec.LookPath("freeradius")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/freeradius"); err != nil {
			tb.Fatal("freeradius is needed (Debian package freeradius)")
		}
	}
	return program
}

// run writes the configuration and starts the program with it.
func (r *FreeRADIUS) run(tb testing.TB, program, home, conf string) {
	tb.Helper()
	for name, content := range map[string]string{"radiusd.conf": conf, "dictionary": "$INCLUDE /usr/share/freeradius/dictionary\n"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(content), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	r.Program = NewProgram(tb, "freeradius", program, r.listens, "-f", "-l", "stdout", "-d", home)
	r.Start()
}

// listens reports whether the port is taken: a datagram to a free one comes back as refused.
func (r *FreeRADIUS) listens(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "udp", fmt.Sprintf("127.0.0.1:%d", r.Port))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for range 2 { // the second one meets the refusal of the first
		if _, err := conn.Write([]byte{0}); err != nil {
			return err
		}
		if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			return err
		}
		var b [1]byte
		if _, err := conn.Read(b[:]); err != nil && !os.IsTimeout(err) {
			return err
		}
	}
	return nil
}
