package tokensvc

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/tokensvc/push"
	"github.com/sallyport/sallyport/tokensvc/store"
)

// adminHandler serves the operator: alive, ready, and the figures.
func (s *Service) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if reason := s.unready(ctx); reason != "" {
			say(w, http.StatusServiceUnavailable, reason)
			return
		}
		say(w, http.StatusOK, "ready")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	return mux
}

// unready says why this replica should get no requests; "" when it should.
func (s *Service) unready(ctx context.Context) string {
	if s.stopping.Load() {
		return "shutting down"
	}
	if err := s.store.Ping(ctx); err != nil {
		return "redis does not answer"
	}
	if !s.events.Ready() {
		return "not subscribed to events yet"
	}
	return ""
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // the probe has gone; nobody to tell
}

// metrics are the figures of one replica, in a registry of its own.
type metrics struct {
	registry *prometheus.Registry
	attempts *prometheus.HistogramVec
	texts    *prometheus.HistogramVec
	ended    *prometheus.CounterVec
	grpc     *prometheus.HistogramVec
	device   *prometheus.HistogramVec
}

func newMetrics(s *Service) *metrics {
	buckets := []float64{.001, .005, .01, .02, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "sallyport", Subsystem: "tokensvc", Name: name, Help: help, Buckets: buckets}, labels)
	}
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "sallyport", Subsystem: "tokensvc", Name: name, Help: help},
			func() float64 { return float64(value()) })
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		attempts: histogram("push_attempt_seconds", "Attempts to send a push, by provider and outcome.", "provider", "outcome"),
		texts:    histogram("text_attempt_seconds", "Attempts to send a text message, by kind of gateway and outcome.", "gateway", "outcome"),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "sallyport", Subsystem: "tokensvc", Name: "pushes_total",
			Help: "Pushes by what became of them."}, []string{"provider", "state"}),
		grpc:   histogram("appliance_request_seconds", "Requests of appliances.", "method", "code"),
		device: histogram("device_request_seconds", "Requests of devices.", "method", "route", "status"),
	}
	m.registry.MustRegister(m.attempts, m.texts, m.ended, m.grpc, m.device, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauge("waiting", "Requests and streams that wait for an event.", s.events.Waiting),
		gauge("pushes_held", "Pushes that this replica is sending or will try again.", func() int { return s.outbox.Held() }))
	return m
}

// PushAttempt implements outbox.Observer.
func (m *metrics) PushAttempt(p deviceproto.Provider, o push.Outcome, took time.Duration) {
	m.attempts.WithLabelValues(string(p), o.String()).Observe(took.Seconds())
}

func (m *metrics) textAttempt(kind, outcome string, took time.Duration) {
	m.texts.WithLabelValues(kind, outcome).Observe(took.Seconds())
}

// PushEnded implements outbox.Observer.
func (m *metrics) PushEnded(p deviceproto.Provider, state store.DeliveryState) {
	m.ended.WithLabelValues(string(p), string(state)).Inc()
}

func (m *metrics) grpcRequest(method, code string, took time.Duration) {
	m.grpc.WithLabelValues(method, code).Observe(took.Seconds())
}

func (m *metrics) deviceRequest(method, route string, status int, took time.Duration) {
	// What strangers make up gets no series of its own.
	if route == "" || status == http.StatusMethodNotAllowed || status == http.StatusNotFound && !strings.HasPrefix(route, "/v1/") {
		method, route = "", "unknown"
	}
	m.device.WithLabelValues(method, route, http.StatusText(status)).Observe(took.Seconds())
}
