package main

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"errors"
	"fmt"
	"net"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"

	"github.com/sallyport/sallyport"
)

var errRefused = errors.New("RADIUS did not accept")

// askRADIUS is the gateway's part: one Access-Request with the token as password, sent again after a
// second. Anything but Access-Accept is an error.
func askRADIUS(ctx context.Context, addr, user string, token sallyport.Secret) error {
	wire, err := accessRequest(user, token)
	if err != nil {
		return err
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", addr)
	if err != nil {
		return fmt.Errorf("reach RADIUS server: %w", err)
	}
	defer func() { _ = c.Close() }()
	in := make([]byte, radius.MaxPacketLength)
	for range 3 {
		if _, err := c.Write(wire); err != nil {
			return fmt.Errorf("ask RADIUS server: %w", err)
		}
		if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		n, err := c.Read(in)
		if err != nil {
			continue
		}
		if !radius.IsAuthenticResponse(in[:n], wire, []byte(radiusSecret)) {
			return errors.New("RADIUS answer is not authentic")
		}
		if code := radius.Code(in[0]); code != radius.CodeAccessAccept {
			return fmt.Errorf("%w: %v", errRefused, code)
		}
		return nil
	}
	return errors.New("RADIUS server does not answer")
}

// accessRequest is a request with Message-Authenticator (RFC 3579 section 3.2).
func accessRequest(user string, token sallyport.Secret, change ...func(*radius.Packet)) ([]byte, error) {
	p := radius.New(radius.CodeAccessRequest, []byte(radiusSecret))
	for _, c := range change {
		c(p)
	}
	err := errors.Join(
		rfc2869.MessageAuthenticator_Set(p, make([]byte, md5.Size)),
		rfc2865.UserName_SetString(p, user), rfc2865.UserPassword_SetString(p, string(token)),
	)
	if err != nil {
		return nil, fmt.Errorf("make RADIUS request: %w", err)
	}
	wire, err := p.Encode()
	if err != nil {
		return nil, fmt.Errorf("make RADIUS request: %w", err)
	}
	m := hmac.New(md5.New, []byte(radiusSecret))
	m.Write(wire)
	if err := rfc2869.MessageAuthenticator_Set(p, m.Sum(nil)); err != nil {
		return nil, fmt.Errorf("sign RADIUS request: %w", err)
	}
	return p.Encode()
}
