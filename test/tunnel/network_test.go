package tunnel_test

import (
	"bufio"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	appliance "github.com/sallyport/sallyport/appliance-connector/tunnel"
)

// wire passes TCP on to one address, until it is told to swallow everything.
type wire struct {
	addr    string
	swallow atomic.Bool
	dialled atomic.Int64
}

// newWire listens; to is where it passes on to, or, with connect, the HTTP CONNECT proxy's rule.
func newWire(t testing.TB, greet func(client net.Conn) (net.Conn, error)) *wire {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: lis.Addr().String()}
	var wg sync.WaitGroup
	conns := &connections{}
	t.Cleanup(func() {
		_ = lis.Close()
		conns.closeAll()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			client, err := lis.Accept()
			if err != nil {
				return
			}
			w.dialled.Add(1)
			conns.add(client)
			wg.Go(func() {
				defer func() { _ = client.Close() }()
				server, err := greet(client)
				if err != nil {
					return
				}
				conns.add(server)
				defer func() { _ = server.Close() }()
				var both sync.WaitGroup
				both.Go(func() { w.pass(server, client) })
				both.Go(func() { w.pass(client, server) })
				both.Wait()
			})
		}
	})
	return w
}

func (w *wire) pass(to, from net.Conn) {
	defer func() { _ = to.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if w.swallow.Load() {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (c *connections) add(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, conn)
	if c.dead {
		_ = conn.Close()
	}
}

func passTo(addr string) func(net.Conn) (net.Conn, error) {
	return func(net.Conn) (net.Conn, error) { return net.Dial("tcp", addr) }
}

func TestBlackHoledConnectionIsNoticedAtBothEnds(t *testing.T) {
	w := newWorld(t)
	a := w.replica("a")
	hole, good := newWire(t, passTo(a.addr)), newWire(t, passTo(a.addr))
	one := w.appliance("one", []string{hole.addr, good.addr})
	connected(t, one, a)
	present(t, a, 2)
	before := one.client.Status().Streams
	eventually(t, "both ways are used", func() bool {
		before = one.client.Status().Streams
		return hole.dialled.Load() > 0 && good.dialled.Load() > 0 && a.hub.Stats().Streams == 2 && len(before) == 2
	})
	hole.swallow.Store(true)
	eventually(t, "the cloud cuts the silent stream", func() bool { return a.hub.Stats().Streams < 2 })
	eventually(t, "the appliance gives the silent stream up", func() bool {
		still := 0
		for _, s := range one.client.Status().Streams {
			for _, old := range before {
				if s.Since.Equal(old.Since) {
					still++
				}
			}
		}
		return still < len(before)
	})
	hole.swallow.Store(false)
	eventually(t, "there are two streams again", func() bool { return a.hub.Stats().Streams == 2 && len(one.client.Status().Streams) == 2 })
	for range 10 {
		wantCode(t, await(t, "the request ends", ask(t, a, credentials())), "")
	}
}

// connectProxy is an HTTP proxy that knows CONNECT only and wants user and password.
func connectProxy(t testing.TB, user, password string) (*wire, *url.URL) {
	t.Helper()
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	w := newWire(t, func(client net.Conn) (net.Conn, error) {
		// One octet at a time, so that nothing of the tunnel is read with the request.
		req, err := http.ReadRequest(bufio.NewReaderSize(oneByOne{client}, 16))
		if err != nil {
			return nil, err
		}
		if req.Method != http.MethodConnect || req.Header.Get("Proxy-Authorization") != want {
			_, _ = io.WriteString(client, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
			return nil, io.EOF
		}
		server, err := net.Dial("tcp", req.Host)
		if err != nil {
			return nil, err
		}
		_, err = io.WriteString(client, "HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n")
		return server, err
	})
	return w, &url.URL{Scheme: "http", Host: w.addr, User: url.UserPassword(user, password)}
}

type oneByOne struct{ io.Reader }

func (o oneByOne) Read(b []byte) (int, error) { return o.Reader.Read(b[:1]) }

func TestTunnelThroughAnHTTPConnectProxy(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica("a"), w.replica("b")
	proxy, address := connectProxy(t, "appliance", "geheim: ü")
	one := w.appliance("one", []string{a.addr, b.addr}, func(c *appliance.Config) {
		c.Proxy = address
	})
	connected(t, one, a, b)
	if proxy.dialled.Load() < 2 {
		t.Fatal("the streams did not go through the proxy")
	}
	wantCode(t, await(t, "the request ends", ask(t, a, credentials())), "")
}

func TestProxyThatRefusesIsNamedInTheStatus(t *testing.T) {
	w := newWorld(t)
	a := w.replica("a")
	_, address := connectProxy(t, "appliance", "right")
	address.User = url.UserPassword("appliance", "wrong-password")
	one := w.appliance("one", []string{a.addr}, func(c *appliance.Config) { c.Proxy = address })
	eventually(t, "the error is in the status", func() bool { return one.client.Status().LastError != nil })
	err := one.client.Status().LastError.Error()
	if !strings.Contains(err, "407") || strings.Contains(err, "wrong-password") {
		t.Fatalf("error %q should name the proxy's answer and not the password", err)
	}
	if one.client.Connected() {
		t.Fatal("connected without the proxy's leave")
	}
}
