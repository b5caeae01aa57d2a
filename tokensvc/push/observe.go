package push

import (
	"context"
	"net/http"
	"sync"
)

// Observed is the last answer of a provider to one Send, beneath a client library that keeps status
// or headers to itself.
type Observed struct {
	mu     sync.Mutex
	status int
	header http.Header
}

type observedKey struct{}

// Observe returns a context whose requests, made through an Observer, are noted in the Observed.
func Observe(ctx context.Context) (context.Context, *Observed) {
	o := &Observed{header: http.Header{}}
	return context.WithValue(ctx, observedKey{}, o), o
}

// Last is the status (0: none came) and the headers of the last answer.
func (o *Observed) Last() (int, http.Header) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.status, o.header
}

func (o *Observed) note(r *http.Response) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.status, o.header = r.StatusCode, r.Header
}

// Observer notes the answers that pass through it.
type Observer struct{ Base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t Observer) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.Base.RoundTrip(r)
	if o, ok := r.Context().Value(observedKey{}).(*Observed); ok && err == nil {
		o.note(resp)
	}
	return resp, err
}

// CloseIdleConnections passes on to the base, for libraries that expect it.
func (t Observer) CloseIdleConnections() {
	if c, ok := t.Base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
