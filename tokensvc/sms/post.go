package sms

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

const (
	answerTime = 6 * time.Second // one request, from dialling to the last octet of the answer
	maxAnswer  = 16 << 10        // octets of an answer that are read
)

// Answer is what a gateway said over HTTP.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // cut at 16 KiB
}

// Poster sends requests to a gateway over HTTPS, each over a connection of its own: what one enterprise gave us is
// not kept for the next message, and not mixed with another's.
type Poster struct {
	Dial  Dial
	Roots *x509.CertPool
}

// Post sends a request and reads the answer. It follows no redirection, and knows no proxy: either would lead
// past the Guard. Without an answer, sent says whether the gateway may have got the request.
func (p Poster) Post(ctx context.Context, r *http.Request) (a Answer, sent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	transport := &http.Transport{
		DialContext: p.Dial, TLSClientConfig: &tls.Config{RootCAs: p.Roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true, TLSHandshakeTimeout: dialTime, MaxResponseHeaderBytes: maxAnswer,
	}
	defer transport.CloseIdleConnections()
	var got atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { got.Store(true) }})
	resp, err := transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return a, got.Load(), fmt.Errorf("ask gateway: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // nothing more is wanted of it
	a.Status, a.Header = resp.StatusCode, resp.Header
	a.Body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		a.Body = nil // the status says enough
	}
	return a, true, nil
}

// Failed is the result when Post had no answer.
func Failed(m Message, sent bool, err error) Result {
	if sent {
		return Silent(m, err)
	}
	return Unreached(m, err)
}

// ByStatus takes apart what an HTTP gateway answered as far as the status alone says it.
func ByStatus(status int) Outcome {
	switch {
	case status >= 200 && status < 300:
		return Sent
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return Credential
	case status == http.StatusTooManyRequests:
		return Throttled
	case status == http.StatusServiceUnavailable:
		return Unavailable
	case status >= 500:
		return Uncertain // it may have broken down after it took the message
	default:
		return Rejected
	}
}
