package login

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what an operator sees of the logins; no label holds a name out of a request.
type metrics struct {
	begun    *prometheus.CounterVec
	steps    *prometheus.HistogramVec
	views    *prometheus.CounterVec
	streams  prometheus.Gauge
	takeOver prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		begun: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sallyport_logins_begun_total", Help: "Logins begun, by result."}, []string{"result"}),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sallyport_login_step_seconds", Help: "Time an appliance took for a step of a login, waiting left out.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15)}, []string{"step", "result"}),
		views: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sallyport_login_views_total", Help: "Views given to browsers, by phase."}, []string{"phase"}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sallyport_login_streams", Help: "Event streams and long polls open on this replica."}),
		takeOver: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sallyport_login_take_overs_total", Help: "Waiting logins taken over from another replica."}),
	}
	for _, c := range []prometheus.Collector{m.begun, m.steps, m.views, m.streams, m.takeOver} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}
