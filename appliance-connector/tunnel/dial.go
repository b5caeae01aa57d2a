package tunnel

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/sallyport/sallyport/api/tunnelpb"
)

// candidate is one address to dial.
type candidate struct {
	target string // host:port; the host is an IP address unless a proxy resolves names
	host   string // the name that the certificate must have
}

// connect opens a stream and exchanges greetings. It tries the cloud's addresses in random order, avoid
// last. cornered reports that it came to avoid because no other answered.
func (c *Client) connect(ctx context.Context, avoid string) (s *stream, cornered bool, err error) {
	all, err := c.candidates(ctx, avoid)
	if err != nil {
		return nil, false, err
	}
	var failures error
	for _, k := range all {
		s, err := c.connectTo(ctx, k)
		if err == nil {
			return s, failures != nil && k.target == avoid, nil
		}
		failures = errors.Join(failures, fmt.Errorf("%s: %w", k.target, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, false, failures
}

func (c *Client) connectTo(ctx context.Context, k candidate) (*stream, error) {
	dialCtx, dialled := context.WithTimeout(ctx, c.cfg.Timing.Connect)
	defer dialled()
	conn, err := c.dial(dialCtx, k.target)
	if err != nil {
		return nil, fmt.Errorf("dial cloud: %w", err)
	}
	s, err := c.openStream(ctx, conn, k.host)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	s.remote = k.target
	s.start()
	c.log.Info("tunnel stream open", "replica", s.welcome.GetReplica(), "version", s.welcome.GetVersion())
	return s, nil
}

// openStream makes a gRPC stream on a connection. The stream outlives ctx: what is in flight when the
// appliance stops is finished first.
func (c *Client) openStream(ctx context.Context, conn net.Conn, host string) (*stream, error) {
	config, err := c.cfg.TLS()
	if err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	config = config.Clone()
	if config.ServerName == "" {
		config.ServerName = host
	}
	config.MinVersion = tls.VersionTLS13
	cc, err := grpc.NewClient("passthrough:///"+host,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithContextDialer(once(conn)),
		grpc.WithNoProxy(), grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithIdleTimeout(0),
		grpc.WithReadBufferSize(0), grpc.WithWriteBufferSize(16<<10),
		grpc.WithMaxHeaderListSize(16<<10),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxFrame), grpc.MaxCallSendMsgSize(MaxFrame)),
	)
	if err != nil {
		return nil, fmt.Errorf("prepare connection: %w", err)
	}
	streamCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	late := time.AfterFunc(c.cfg.Timing.Connect, cancel)
	unlink := context.AfterFunc(ctx, cancel)
	s, err := c.greet(streamCtx, cancel, cc)
	unlink()
	if !late.Stop() && err == nil {
		err = errors.New("greet cloud: too slow")
	}
	if err != nil {
		cancel()
		_ = cc.Close()
		return nil, err
	}
	return s, nil
}

func (c *Client) greet(ctx context.Context, cancel context.CancelFunc, cc *grpc.ClientConn) (*stream, error) {
	g, err := tunnelpb.NewTunnelClient(cc).Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("open stream: %w", err)
	}
	s := newStream(c, ctx, cancel, g)
	s.cc = cc
	return s, s.greet()
}

// once is a gRPC dialler that gives out one connection: a stream that breaks is replaced by ourselves.
func once(conn net.Conn) func(context.Context, string) (net.Conn, error) {
	given := make(chan net.Conn, 1)
	given <- conn
	return func(context.Context, string) (net.Conn, error) {
		select {
		case conn := <-given:
			return conn, nil
		default:
			return nil, errors.New("connection was used")
		}
	}
}

// maxCandidates bounds how many addresses one attempt tries.
const maxCandidates = 8

// candidates lists what the cloud's names stand for, in random order, avoid last. Behind a proxy,
// which resolves names itself, they are the names.
func (c *Client) candidates(ctx context.Context, avoid string) ([]candidate, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timing.Connect)
	defer cancel()
	var all []candidate
	var failures error
	for _, a := range c.cfg.Addresses {
		host, port, _ := net.SplitHostPort(a) // checked by New
		if c.cfg.Proxy != nil || net.ParseIP(host) != nil {
			all = append(all, candidate{a, host})
			continue
		}
		ips, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			failures = errors.Join(failures, fmt.Errorf("look up cloud: %w", err))
		}
		for _, ip := range ips {
			all = append(all, candidate{net.JoinHostPort(ip, port), host})
		}
	}
	if len(all) == 0 {
		return nil, failures
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	slices.SortStableFunc(all, func(a, b candidate) int { return last(a.target == avoid) - last(b.target == avoid) })
	if len(all) > maxCandidates {
		all = all[:maxCandidates]
	}
	return all, nil
}

func last(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func (c *Client) dial(ctx context.Context, target string) (net.Conn, error) {
	if c.cfg.Proxy == nil {
		return c.cfg.Dial(ctx, "tcp", target)
	}
	conn, err := c.dialProxy(ctx, c.cfg.Proxy)
	if err != nil {
		return nil, err
	}
	// Ends the exchange with the proxy when ctx does.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	through, err := connectThrough(conn, c.cfg.Proxy, target)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return through, nil
}

func (c *Client) dialProxy(ctx context.Context, proxy *url.URL) (net.Conn, error) {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[proxy.Scheme]
	}
	conn, err := c.cfg.Dial(ctx, "tcp", net.JoinHostPort(proxy.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("dial proxy: %w", err)
	}
	if proxy.Scheme == "http" {
		return conn, nil
	}
	secure := tls.Client(conn, &tls.Config{ServerName: proxy.Hostname(), MinVersion: tls.VersionTLS12})
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("dial proxy: %w", err)
	}
	return secure, nil
}

// maxProxyAnswer bounds the head of the proxy's answer, in octets.
const maxProxyAnswer = 16 << 10

// connectThrough asks the proxy for a connection to target (RFC 9110 section 9.3.6).
func connectThrough(conn net.Conn, proxy *url.URL, target string) (net.Conn, error) {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: http.Header{}}
	if u := proxy.User; u != nil {
		password, _ := u.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return nil, fmt.Errorf("ask proxy: %w", err)
	}
	limited := &io.LimitedReader{R: conn, N: maxProxyAnswer}
	r := bufio.NewReader(limited)
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		return nil, fmt.Errorf("read proxy's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the proxy answered %q to CONNECT", resp.Status)
	}
	early := make([]byte, r.Buffered())
	if _, err := io.ReadFull(r, early); err != nil {
		return nil, fmt.Errorf("read proxy's answer: %w", err)
	}
	return &readAhead{Conn: conn, early: early}, nil
}

// readAhead is a connection of which some octets were read already.
type readAhead struct {
	net.Conn
	early []byte
}

func (c *readAhead) Read(b []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(b, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}
