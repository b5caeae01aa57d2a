package harness

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/sallyport/sallyport/test/freeradius"
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
client appliance {
	ipaddr = 127.0.0.1
	secret = "%[2]s"
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
		port = %[1]d
	}
	authorize {
		%[3]s
		if (&User-Name == "nina" && !&State) {
			update control {
				&Auth-Type := first
			}
		}
		elsif (&User-Name == "nina") {
			update control {
				&Cleartext-Password := "%[5]s"
				&Auth-Type := PAP
			}
		}
		else {
			update control {
				&Cleartext-Password := "%[4]s"
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
				&Cleartext-Password := "%[4]s"
			}
			pap
			update session-state {
				&Tmp-String-0 := "new code"
			}
			update reply {
				&Reply-Message := "%[6]s"
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
	var secret [12]byte
	_, _ = rand.Read(secret[:]) // never fails
	r := &FreeRADIUS{Port: FreePort(tb), Secret: hex.EncodeToString(secret[:])}
	sign := ""
	if signed {
		sign = "update reply {\n\t\t\t&Message-Authenticator := 0x00\n\t\t}"
	}
	home := dir(tb, "freeradius")
	r.run(tb, freeradius.Base{Home: home, RequestTime: 10, Requests: 4096}, fmt.Sprintf(freeradiusConf, r.Port, r.Secret, sign, TokenCode, NextCode, NextQuestion))
	return r
}

// run writes the configuration and starts the program with it.
func (r *FreeRADIUS) run(tb testing.TB, base freeradius.Base, conf string) {
	tb.Helper()
	program, err := freeradius.Program()
	if err == nil {
		err = base.Write(conf)
	}
	if err != nil {
		tb.Fatal(err)
	}
	r.Program = NewProgram(tb, "freeradius", program, r.listens, "-f", "-l", "stdout", "-d", base.Home)
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
