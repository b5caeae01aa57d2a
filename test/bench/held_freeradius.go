package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"layeh.com/radius"

	"github.com/sallyport/sallyport/test/freeradius"
)

// heldByFreeRADIUS is how long FreeRADIUS holds a request; new ones are measured meanwhile.
const heldByFreeRADIUS = 15 * time.Second

// heldConf is FreeRADIUS 3.2 with its pool of threads as shipped, which holds requests of users named held… by a program
// that waits, as multi-factor programs behind it do.
const heldConf = `
thread pool {
	start_servers = 5
	max_servers = 32
	min_spare_servers = 3
	max_spare_servers = 10
	max_requests_per_server = 0
}
client load {
	ipaddr = 127.0.0.1
	secret = "%[2]s"
}
modules {
	pap {
		normalise = no
	}
	exec person {
		wait = yes
		program = "/bin/sleep %[3]d"
		timeout = 60
		input_pairs = request
		shell_escape = yes
	}
}
server default {
	listen {
		type = auth
		ipaddr = 127.0.0.1
		port = %[1]d
		recv_buff = 4194304
	}
	authorize {
		update control {
			&Cleartext-Password := "%[4]s"
		}
		if (&User-Name =~ /^held/) {
			person
		}
		pap
	}
	authenticate {
		Auth-Type PAP {
			pap
		}
	}
}
`

// holdFreeRADIUS gives FreeRADIUS as many requests to hold, and new ones before and meanwhile, and says how those went.
func (b *bench) holdFreeRADIUS(ctx context.Context, held, batch int) (string, error) {
	w := &world{bench: b}
	var err error
	if w.dir, err = os.MkdirTemp("", "sallyport-bench-"); err != nil {
		return "", fmt.Errorf("make directory: %w", err)
	}
	defer w.close()
	addr, err := w.startFreeRADIUS(ctx)
	if err != nil {
		return "", err
	}
	idle, _, err := askAll(ctx, addr, freshBatches*batch)
	if err != nil {
		return "", err
	}
	sockets, err := leave(ctx, addr, held)
	defer func() {
		for _, c := range sockets {
			_ = c.Close()
		}
	}()
	if err != nil {
		return "", err
	}
	busy, silent, err := askAll(ctx, addr, min(freshBatches*batch, 128)) // two rounds of 3 s, while all are held
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("FreeRADIUS 3.2, 32 threads as shipped, password alone: idle p99 %s; beside as many held %d of %d answered within 3 s",
		millis(quantile(idle, 0.99)), len(busy), len(busy)+silent)
	if len(busy) > 0 {
		text += ", p99 " + millis(quantile(busy, 0.99))
	}
	b.say("%s", text)
	return text, nil
}

func (w *world) startFreeRADIUS(ctx context.Context) (addr string, err error) {
	program, err := freeradius.Program()
	if err != nil {
		return "", err
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	base := freeradius.Base{Home: w.dir, RequestTime: 60, Requests: 65536, Quiet: true}
	if err := base.Write(fmt.Sprintf(heldConf, port, string(radiusSecret), int(heldByFreeRADIUS.Seconds()), wardPassword)); err != nil {
		return "", err
	}
	c, err := launch(w.dir, "freeradius", nil, program, "-f", "-l", filepath.Join(w.dir, "radius.log"), "-d", w.dir)
	if err != nil {
		return "", err
	}
	w.children = append(w.children, c)
	addr = fmt.Sprintf("127.0.0.1:%d", port)
	return addr, until(ctx, startTime, "FreeRADIUS answers", func() (bool, error) {
		err := askRADIUS(ctx, addr, "new", wardPassword)
		return err == nil, err
	})
}

// leave sends requests whose answers nobody waits for, from sockets that stay open.
func leave(ctx context.Context, addr string, n int) (sockets []net.Conn, err error) {
	for i := range n {
		if i%identifiers == 0 {
			var d net.Dialer
			c, err := d.DialContext(ctx, "udp", addr)
			if err != nil {
				return sockets, fmt.Errorf("reach RADIUS server: %w", err)
			}
			sockets = append(sockets, c)
		}
		wire, err := accessRequest(fmt.Sprintf("held%d", i), wardPassword, func(p *radius.Packet) { p.Identifier = byte(i % identifiers) })
		if err == nil {
			_, err = sockets[len(sockets)-1].Write(wire)
		}
		if err != nil {
			return sockets, err
		}
	}
	return sockets, nil
}

// askAll logs in as often, 64 at a time, and returns how long those took that were answered, and how many were not.
func askAll(ctx context.Context, addr string, n int) (times []time.Duration, silent int, err error) {
	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		room = make(chan struct{}, 64)
	)
	for i := range n {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			begun := time.Now()
			err := askRADIUS(ctx, addr, fmt.Sprintf("new%d", i), wardPassword)
			took := time.Since(begun)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				silent++
				return
			}
			times = append(times, took)
		})
	}
	wg.Wait()
	return times, silent, ctx.Err()
}
