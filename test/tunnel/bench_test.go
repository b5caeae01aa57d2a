package tunnel_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/internal/pki"
)

// BenchmarkRoundTrip is 1 KiB there and back, one and 64 in flight, on the replica that holds the
// stream and across replicas. Cloud, appliance and load are in one process; credentials are handed
// over with a token, pings without.
func BenchmarkRoundTrip(b *testing.B) {
	w := newWorld(b)
	w.timing.Heartbeat = 3 * time.Second
	holder, far := w.replica("holder"), w.replica("far")
	one := w.appliance("one", []string{holder.addr})
	one.handler.set(func(context.Context, *tunnelpb.Request, func()) *tunnelpb.Response { return view(1) })
	connected(b, one, holder)
	present(b, far, 2)
	login := credentials()
	login.GetLoginStep().State = make([]byte, 1024)
	for _, c := range []struct {
		name string
		at   *replica
		req  *tunnelpb.Request
	}{
		{"local/ping", holder, ping(make([]byte, 1024))}, {"local/login", holder, login},
		{"across/ping", far, ping(make([]byte, 1024))}, {"across/login", far, login},
	} {
		for _, inFlight := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d", c.name, inFlight), func(b *testing.B) {
				work := make(chan struct{})
				var wg sync.WaitGroup
				for range inFlight {
					wg.Go(func() {
						for range work {
							ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
							if _, err := c.at.hub.Do(ctx, tenant, c.req); err != nil {
								b.Error(err)
							}
							cancel()
						}
					})
				}
				b.ResetTimer()
				for range b.N {
					work <- struct{}{}
				}
				close(work)
				wg.Wait()
			})
		}
	}
}

// idleEnv has this test binary open that many idle streams to the address given after a colon.
const idleEnv = "SALLYPORT_TUNNEL_TEST_IDLE"

// BenchmarkIdleStreams measures the cloud's memory for each idle stream: heap and stacks in use of
// this process, which is the cloud, after less before. The appliances are another process.
// SALLYPORT_BENCH_STREAMS sets how many (10,000).
func BenchmarkIdleStreams(b *testing.B) {
	n := 10_000
	if v, err := strconv.Atoi(os.Getenv("SALLYPORT_BENCH_STREAMS")); err == nil {
		n = v
	}
	for range b.N {
		w := newWorld(b)
		w.timing.Heartbeat, w.timing.Lease = 30*time.Second, 30*time.Second
		a := w.replica("a")
		before := inUse()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s %s", idleEnv, n, a.addr, w.dir))
		cmd.Stderr = os.Stderr
		stdin, err := cmd.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		deadline := time.Now().Add(3 * time.Minute)
		for a.hub.Stats().Streams < n {
			if time.Now().After(deadline) {
				b.Fatalf("only %d streams", a.hub.Stats().Streams)
			}
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(2 * time.Second) // what belongs to the handshakes goes
		each := float64(inUse()-before) / float64(n)
		b.ReportMetric(each/1024, "KiB/stream")
		b.ReportMetric(float64(runtime.NumGoroutine())/float64(n), "goroutines/stream")
		_ = stdin.Close()
		_ = cmd.Wait()
	}
}

func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// beIdle opens streams of as many enterprises as there are streams, until standard input ends.
func beIdle(raw string) error {
	var n int
	var addr, dir string
	if _, err := fmt.Sscan(raw, &n, &addr, &dir); err != nil {
		return err
	}
	ca, err := pki.LoadCA(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"))
	if err != nil {
		return err
	}
	gate, failed := make(chan struct{}, 16), make(chan error, n)
	for i := range n {
		gate <- struct{}{}
		go func() {
			defer func() { <-gate }()
			failed <- idleStream(ca, addr, i)
		}()
	}
	for range n {
		if err := <-failed; err != nil {
			return err
		}
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}
