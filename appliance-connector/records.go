package appliance

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport/sallyport/appliance-connector/activity"
)

// keepRecords writes records until the function that it returns is called, which waits for the last ones.
func (s *Service) keepRecords(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- s.records.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			s.log.Error("records not kept", "err", err)
		}
	}
}

// recordMetrics tells what became of the records of logins.
func recordMetrics(r *activity.Recorder) (list []prometheus.Collector) {
	kinds := map[string]func(activity.Stats) activity.Count{
		"login":  func(s activity.Stats) activity.Count { return s.Logins },
		"event":  func(s activity.Stats) activity.Count { return s.Events },
		"audit":  func(s activity.Stats) activity.Count { return s.Audit },
		"radius": func(s activity.Stats) activity.Count { return s.RADIUS },
	}
	for kind, of := range kinds {
		opts := func(name, help string) prometheus.Opts {
			return prometheus.Opts{Namespace: "sallyport", Subsystem: "records", Name: name, Help: help, ConstLabels: prometheus.Labels{"kind": kind}}
		}
		counter := func(name, help string, value func(activity.Count) uint64) {
			list = append(list, prometheus.NewCounterFunc(prometheus.CounterOpts(opts(name, help)), func() float64 { return float64(value(of(r.Stats()))) }))
		}
		counter("written_total", "Records written to the store.", func(c activity.Count) uint64 { return c.Written })
		counter("lost_total", "Records lost: the store was away or too slow, and there was no place for more.", func(c activity.Count) uint64 { return c.Lost })
		counter("left_out_total", "Records of frequent things that are only counted.", func(c activity.Count) uint64 { return c.LeftOut })
		list = append(list, prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts("waiting", "Records that wait for the store.")),
			func() float64 { return float64(of(r.Stats()).Waiting) }))
	}
	return list
}
