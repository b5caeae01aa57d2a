package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Probe tells whether a part that the process needs works. Its error is shown to whoever may reach the
// admin listener, so it must not hold secrets.
type Probe func(context.Context) error

// probeTime is how long all probes together may take.
const probeTime = 2 * time.Second

// Admin answers /healthz (the process lives), /readyz (it can do its work; 503 with the reason of each
// probe that failed) and /metrics (Prometheus). Bind it where only operators reach it.
func Admin(probes map[string]Probe, metrics prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), probeTime)
		defer cancel()
		status, result := http.StatusOK, make(map[string]string, len(probes))
		for name, probe := range probes {
			result[name] = "ok"
			if err := probe(ctx); err != nil {
				status, result[name] = http.StatusServiceUnavailable, err.Error()
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(result)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	return mux
}

// Limits of every HTTP listener here that is not meant for many.
const (
	headerTime   = 5 * time.Second
	answerTime   = 15 * time.Second
	idleTime     = 60 * time.Second
	maxHeader    = 16 << 10
	shutdownTime = 3 * time.Second
)

// Serve answers on l until ctx ends, and then lets what is under way finish, for a moment.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: headerTime, ReadTimeout: answerTime, WriteTimeout: answerTime,
		IdleTimeout: idleTime, MaxHeaderBytes: maxHeader}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		stopped <- s.Shutdown(sctx)
	}()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve admin listener: %w", err)
	}
	return <-stopped
}
