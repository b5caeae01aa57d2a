package apmsim

import (
	"context"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // RADIUS is made of it
	"errors"
	"fmt"
	"net"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"

	"github.com/sallyport/sallyport"
)

var errSilent = errors.New("no answer")

// question is one Access-Request: what a RADIUS Auth item of an access policy sends.
type question struct {
	user     string
	password sallyport.Secret
	state    []byte
	station  string // Calling-Station-Id
	legacy   bool   // the whole login is asked for
}

// what names the password, for the story.
func (q question) what() string {
	switch {
	case !q.legacy:
		return "the third field"
	case q.state != nil:
		return "the answer"
	}
	return "the password"
}

// secret, patience and tries are those of the RADIUS server that a question is for.
func (s *Server) secret(q question) []byte {
	if q.legacy {
		return []byte(s.cfg.Legacy.Secret)
	}
	return []byte(s.cfg.RADIUSSecret)
}

func (s *Server) patience(q question) (timeout time.Duration, tries int) {
	if q.legacy {
		return s.cfg.Legacy.Timeout, 2
	}
	return s.cfg.Timeout, s.cfg.Retries + 1
}

// askRADIUS asks the pool: each server with all its retries, then the next. It returns the packet of the first that
// answered at all, and its address.
func (s *Server) askRADIUS(ctx context.Context, q question) (*radius.Packet, string, error) {
	if len(s.cfg.RADIUSServers) == 0 {
		return nil, "", errors.New("no RADIUS server is configured")
	}
	var failures []error
	for _, addr := range s.cfg.RADIUSServers {
		answer, err := s.askOne(ctx, addr, q)
		if err == nil {
			return answer, addr, nil
		}
		failures = append(failures, fmt.Errorf("ask %s: %w", addr, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, "", errors.Join(failures...)
}

// askOne sends the same octets from the same port until an answer comes that proves to know the secret.
func (s *Server) askOne(ctx context.Context, addr string, q question) (*radius.Packet, error) {
	var d net.Dialer
	if q.legacy && s.cfg.Legacy.From != "" {
		d.LocalAddr = &net.UDPAddr{IP: net.ParseIP(s.cfg.Legacy.From)}
	}
	conn, err := d.DialContext(ctx, "udp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	wire, err := s.accessRequest(q, conn.LocalAddr())
	if err != nil {
		return nil, err
	}
	timeout, tries := s.patience(q)
	for range tries {
		if _, err := conn.Write(wire); err != nil {
			return nil, fmt.Errorf("send request: %w", err)
		}
		answer, err := await(ctx, conn, wire, s.secret(q), timeout)
		if !errors.Is(err, errSilent) {
			return answer, err
		}
	}
	return nil, errSilent
}

// await waits one timeout for an authentic answer and drops everything else, as RFC 2865 section 3 wants it.
func await(ctx context.Context, conn net.Conn, request, secret []byte, timeout time.Duration) (*radius.Packet, error) {
	buf := make([]byte, radius.MaxPacketLength)
	deadline := time.Now().Add(timeout)
	if err := conn.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	for {
		n, err := conn.Read(buf)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			if time.Now().Before(deadline) { // "connection refused": nobody listens there now
				if err := sleep(ctx, time.Until(deadline)); err != nil {
					return nil, err
				}
			}
			return nil, errSilent
		}
		answer := buf[:n]
		if n < 20 || answer[1] != request[1] || !radius.IsAuthenticResponse(answer, request, secret) ||
			!goodMessageAuthenticator(answer, request, secret) {
			continue
		}
		return radius.Parse(append([]byte(nil), answer...), secret)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Server) accessRequest(q question, local net.Addr) ([]byte, error) {
	p := radius.New(radius.CodeAccessRequest, s.secret(q))
	if s.cfg.MessageAuthenticator {
		p.Add(rfc2869.MessageAuthenticator_Type, make(radius.Attribute, 16))
	}
	if err := errors.Join(rfc2865.UserName_AddString(p, q.user), rfc2865.UserPassword_AddString(p, string(q.password))); err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if a, ok := local.(*net.UDPAddr); ok && a.IP.To4() != nil {
		if err := rfc2865.NASIPAddress_Add(p, a.IP); err != nil {
			return nil, fmt.Errorf("make request: %w", err)
		}
	}
	err := errors.Join(rfc2865.NASIdentifier_AddString(p, "apmsim"), rfc2865.CallingStationID_AddString(p, q.station),
		rfc2865.ServiceType_Add(p, rfc2865.ServiceType_Value_AuthenticateOnly))
	if q.state != nil {
		err = errors.Join(err, rfc2865.State_Add(p, q.state))
	}
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	wire, err := p.Encode()
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	if s.cfg.MessageAuthenticator { // first attribute: its value stands at octet 22
		copy(wire[22:38], messageAuthenticator(wire, s.secret(q)))
	}
	return wire, nil
}

// messageAuthenticator is RFC 3579 section 3.2 over a packet whose attribute 80 is zero.
func messageAuthenticator(packet, secret []byte) []byte {
	m := hmac.New(md5.New, secret)
	m.Write(packet)
	return m.Sum(nil)
}

// goodMessageAuthenticator checks attribute 80 of an answer when there is one.
func goodMessageAuthenticator(answer, request, secret []byte) bool {
	p := append([]byte(nil), answer...)
	copy(p[4:20], request[4:20])
	for at := 20; at+2 <= len(p) && p[at+1] >= 2 && at+int(p[at+1]) <= len(p); at += int(p[at+1]) {
		if p[at] != byte(rfc2869.MessageAuthenticator_Type) || p[at+1] != 18 {
			continue
		}
		got := append([]byte(nil), p[at+2:at+18]...)
		clear(p[at+2 : at+18])
		return hmac.Equal(got, messageAuthenticator(p, secret))
	}
	return true
}
