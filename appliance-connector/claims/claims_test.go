package claims

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
)

// cloud holds claims as the real one does: the first owner has the key, and may repeat itself.
type cloud struct {
	mu    sync.Mutex
	owner map[string]string
	calls int
	most  int // claims in the largest call
	cut   atomic.Bool
	hang  atomic.Bool // says nothing instead of failing
	after func()      // called before each answer
	short atomic.Bool // answers one claim too few
}

func newCloud() *cloud { return &cloud{owner: make(map[string]string)} }

func (c *cloud) Claim(ctx context.Context, list []*tunnelpb.Claim) ([]bool, error) {
	if c.hang.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if c.cut.Load() {
		return nil, errors.New("no stream to the cloud")
	}
	c.mu.Lock()
	first := make([]bool, len(list))
	c.calls++
	c.most = max(c.most, len(list))
	for i, l := range list {
		who, found := c.owner[string(l.Key)]
		if !found {
			c.owner[string(l.Key)] = string(l.Owner)
		}
		first[i] = !found || who == string(l.Owner)
	}
	c.mu.Unlock()
	if c.after != nil {
		c.after()
	}
	if c.short.Load() {
		return first[:len(first)-1], nil
	}
	return first, nil
}

func (c *cloud) held() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.owner)
}

func keyNo(n int) []byte {
	k := make([]byte, 16)
	binary.BigEndian.PutUint64(k, uint64(n)+1)
	return k
}

func owner(s string) []byte { f := fold([]byte(s)); return f[:] }

func claimer(t testing.TB, o Options) *Claimer {
	t.Helper()
	c := New(o)
	t.Cleanup(c.Close)
	return c
}

// race has n goroutines on each claimer claim one key, and returns how many were first.
func race(t testing.TB, n int, key []byte, on ...*Claimer) int {
	t.Helper()
	var first atomic.Int64
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for range n {
		for _, c := range on {
			wg.Go(func() {
				<-begin
				ok, err := c.Claim(context.Background(), key, time.Minute)
				if err != nil {
					t.Error(err)
				}
				if ok {
					first.Add(1)
				}
			})
		}
	}
	close(begin)
	wg.Wait()
	return int(first.Load())
}

func TestOneOfAThousandIsFirst(t *testing.T) {
	shared := newCloud()
	for name, on := range map[string][]*Claimer{
		"alone":                    {claimer(t, Options{})},
		"one appliance and cloud":  {claimer(t, Options{Cloud: newCloud()})},
		"two appliances and cloud": {claimer(t, Options{Cloud: shared}), claimer(t, Options{Cloud: shared})},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range 5 {
				if n := race(t, 1000/len(on), keyNo(i), on...); n != 1 {
					t.Errorf("key %d: %d are first", i, n)
				}
			}
		})
	}
}

func TestOwnerThatWasFirstIsFirstAgain(t *testing.T) {
	shared := newCloud()
	a, b := claimer(t, Options{Cloud: shared}), claimer(t, Options{Cloud: shared})
	for i, step := range []struct {
		at    *Claimer
		owner string
		want  bool
	}{{a, "x", true}, {a, "x", true}, {b, "x", true}, {b, "y", false}, {a, "y", false}, {b, "x", true}} {
		got, err := step.at.ClaimAs(context.Background(), keyNo(1), owner(step.owner), time.Minute)
		if err != nil || got != step.want {
			t.Errorf("step %d: %v, %v", i, got, err)
		}
	}
}

func TestLostAnswerOfTheCloudDoesNotCostTheLogin(t *testing.T) {
	c := newCloud()
	c.short.Store(true) // the claim is made, its answer is of no use
	a := claimer(t, Options{Cloud: &twice{c}})
	ok, err := a.ClaimAs(context.Background(), keyNo(1), owner("x"), time.Minute)
	if err != nil || !ok {
		t.Errorf("%v, %v", ok, err)
	}
}

// twice repeats a failed call, as the tunnel does on its second stream.
type twice struct{ *cloud }

func (c *twice) Claim(ctx context.Context, list []*tunnelpb.Claim) ([]bool, error) {
	if _, err := c.cloud.Claim(ctx, list); err != nil {
		return nil, err
	}
	c.short.Store(false)
	return c.cloud.Claim(ctx, list)
}

func TestClaimEndsWithItsTime(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c := claimer(t, Options{Now: func() time.Time { return now }})
	for i, step := range []struct {
		pass time.Duration
		want bool
	}{{0, true}, {59 * time.Second, false}, {2 * time.Second, true}, {0, false}} {
		now = now.Add(step.pass)
		if got, err := c.Claim(context.Background(), keyNo(1), time.Minute); err != nil || got != step.want {
			t.Errorf("step %d: %v, %v", i, got, err)
		}
	}
}

func TestMemoryIsBoundedAndComesBack(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	const capacity = 64 * 10
	c := claimer(t, Options{Capacity: capacity, Now: func() time.Time { return now }})
	fill := func() (made int) {
		for i := range 10 * capacity {
			ok, err := c.Claim(context.Background(), keyNo(i), time.Minute)
			switch {
			case errors.Is(err, ErrFull) && !ok:
			case err == nil && ok:
				made++
			default:
				t.Fatal(ok, err)
			}
		}
		return made
	}
	if made := fill(); made != capacity {
		t.Errorf("%d claims made", made)
	}
	if n := c.mem.size(); n != capacity {
		t.Errorf("%d claims kept", n)
	}
	now = now.Add(2 * time.Minute)
	if made := fill(); made != capacity {
		t.Errorf("after all have expired: %d claims made", made)
	}
}

func TestBadArgumentsAreRefused(t *testing.T) {
	c := claimer(t, Options{})
	for name, a := range map[string]struct {
		key, owner []byte
		ttl        time.Duration
	}{
		"key short":  {make([]byte, 15), owner("x"), time.Minute},
		"key long":   {make([]byte, 33), owner("x"), time.Minute},
		"no owner":   {keyNo(1), nil, time.Minute},
		"long owner": {keyNo(1), make([]byte, 65), time.Minute},
		"no time":    {keyNo(1), owner("x"), 0},
		"much time":  {keyNo(1), owner("x"), MaxTTL + 1},
	} {
		if ok, err := c.ClaimAs(context.Background(), a.key, a.owner, a.ttl); ok || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}

func TestManyClaimsTravelInFewCalls(t *testing.T) {
	up := newCloud()
	up.after = func() { time.Sleep(200 * time.Microsecond) } // the way to the cloud and back
	c := claimer(t, Options{Cloud: up})
	const claims = 5000
	var wg sync.WaitGroup
	var first atomic.Int64
	for i := range claims {
		wg.Go(func() {
			if ok, err := c.Claim(context.Background(), keyNo(i), time.Minute); ok && err == nil {
				first.Add(1)
			}
		})
	}
	wg.Wait()
	if first.Load() != claims {
		t.Errorf("%d of %d are first", first.Load(), claims)
	}
	if up.calls > claims/8 || up.most > batchSize || up.most < 32 {
		t.Errorf("%d calls, the largest of %d claims", up.calls, up.most)
	}
}

func TestCloudOutOfReachAndNoPeersIsDecidedAloneAndLogged(t *testing.T) {
	for name, cutOff := range map[string]func(*cloud){
		"says so":         func(c *cloud) { c.cut.Store(true) },
		"says nothing":    func(c *cloud) { c.hang.Store(true) },
		"answers garbage": func(c *cloud) { c.short.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			up, log := newCloud(), &bytes.Buffer{}
			cutOff(up)
			c := claimer(t, Options{Cloud: up, CloudTimeout: 20 * time.Millisecond, Log: slog.New(slog.NewTextHandler(log, nil))})
			for _, want := range []bool{true, false} {
				if got, err := c.Claim(context.Background(), keyNo(1), time.Minute); err != nil || got != want {
					t.Errorf("%v, %v, want %v", got, err, want)
				}
			}
			if n := bytes.Count(log.Bytes(), []byte("decided alone")); n != 1 {
				t.Errorf("log:\n%s", log)
			}
		})
	}
}

func TestEndOfContextOrProcessDecidesNothing(t *testing.T) {
	up := newCloud()
	up.hang.Store(true)
	c := New(Options{Cloud: up, CloudTimeout: time.Hour})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if ok, err := c.Claim(ctx, keyNo(1), time.Minute); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", ok, err)
	}
	stopped := New(Options{Cloud: newCloud()})
	stopped.Close()
	if ok, err := stopped.Claim(context.Background(), keyNo(1), time.Minute); ok || sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("after Close: %v, %v", ok, err)
	}
	c.Close()
}

func BenchmarkLocal(b *testing.B) {
	c := claimer(b, Options{Capacity: 1 << 26})
	b.ReportAllocs()
	key, o := make([]byte, 16), owner("x")
	var n uint64
	for b.Loop() {
		n++
		binary.BigEndian.PutUint64(key, n)
		if ok, err := c.ClaimAs(context.Background(), key, o, time.Second); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkThroughCloud(b *testing.B) {
	up := newCloud()
	up.after = func() { time.Sleep(300 * time.Microsecond) }
	c := claimer(b, Options{Cloud: up, Capacity: 1 << 26})
	var n atomic.Uint64
	b.SetParallelism(2000)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if ok, err := c.Claim(context.Background(), keyNo(int(n.Add(1))), time.Second); !ok || err != nil {
				b.Error(ok, err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/float64(up.calls), "claims/call")
}

func ExampleClaimer_Claim() {
	c := New(Options{})
	defer c.Close()
	for range 2 {
		first, err := c.Claim(context.Background(), []byte("sixteen octets.."), time.Minute)
		fmt.Println(first, err)
	}
	// Output:
	// true <nil>
	// false <nil>
}
