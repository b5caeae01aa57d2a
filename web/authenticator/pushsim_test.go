package authenticator_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// pushSim stands in for the phone maker's push service as the page meets it in a demo.
type pushSim struct {
	server  *httptest.Server
	mu      sync.Mutex
	streams map[string]chan string // by push token
	drop    chan struct{}
}

func newPushSim(t *testing.T) *pushSim {
	t.Helper()
	sim := &pushSim{streams: map[string]chan string{}, drop: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /register", sim.register)
	mux.HandleFunc("GET /listen", sim.listen)
	sim.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		sim.forgetAll()
		sim.server.Close()
	})
	return sim
}

func (sim *pushSim) register(w http.ResponseWriter, _ *http.Request) {
	token := sallyport.NewID()
	sim.mu.Lock()
	sim.streams[token] = make(chan string)
	sim.mu.Unlock()
	w.Header().Set("Access-Control-Allow-Origin", "*")
	_, _ = fmt.Fprintf(w, `{"token": %q}`, token)
}

func (sim *pushSim) listen(w http.ResponseWriter, r *http.Request) {
	sim.mu.Lock()
	stream, drop := sim.streams[r.URL.Query().Get("token")], sim.drop
	sim.mu.Unlock()
	w.Header().Set("Access-Control-Allow-Origin", "*")
	if stream == nil {
		http.Error(w, "no such token", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprint(w, "retry: 50\n\n")
	w.(http.Flusher).Flush()
	for {
		select {
		case id := <-stream:
			_, _ = fmt.Fprintf(w, "data: {\"c\": %q}\n\n", id)
			w.(http.Flusher).Flush()
		case <-drop:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func (sim *pushSim) knows(p deviceproto.Push) bool {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	return p.Provider == deviceproto.ProviderFCM && sim.streams[p.Token] != nil
}

// push sends to the one phone, and waits until it listens.
func (sim *pushSim) push(ctx context.Context, id string) error {
	sim.mu.Lock()
	var stream chan string
	for _, s := range sim.streams {
		stream = s
	}
	sim.mu.Unlock()
	if stream == nil {
		return errors.New("no phone has registered")
	}
	select {
	case stream <- id:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// forgetAll ends the streams and knows their tokens no more.
func (sim *pushSim) forgetAll() {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	sim.streams = map[string]chan string{}
	close(sim.drop)
	sim.drop = make(chan struct{})
}
