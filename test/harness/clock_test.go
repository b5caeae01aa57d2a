package harness

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// clockVariable makes a test process say what time it is for every line that it reads.
const clockVariable = "SALLYPORT_HARNESS_CLOCK"

func TestClockOfAProgramInGoIsSetWhileItRuns(t *testing.T) {
	if os.Getenv(clockVariable) != "" {
		begun := time.Now()
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			now := time.Now()
			fmt.Println("clock", now.UnixNano(), int64(now.Sub(begun)))
		}
		return
	}
	c := NewClock(t)
	child := exec.Command(os.Args[0], "-test.run=^TestClockOfAProgramInGoIsSetWhileItRuns$")
	child.Env = append(os.Environ(), clockVariable+"=1")
	c.on(child)
	begun := time.Now()
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for _, off := range []time.Duration{0, time.Minute, -time.Minute, 1500 * time.Millisecond, -700 * time.Millisecond, 0} {
		c.Set(off)
		before := time.Now().Round(0)
		_, _ = fmt.Fprintln(in)
		var wall, run int64
		if _, err := fmt.Fscanf(out, "clock %d %d\n", &wall, &run); err != nil {
			t.Fatal(err)
		}
		after := time.Now().Round(0)
		if said := time.Unix(0, wall).Add(-off); said.Before(before) || said.After(after) {
			t.Errorf("set to %v it is between %v and %v, and the program says %v", off, before, after, said)
		}
		if run < 0 || time.Duration(run) > time.Since(begun) {
			t.Errorf("set to %v it has run for %v, not %v", off, time.Since(begun), time.Duration(run))
		}
	}
	_ = in.Close()
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
}

func TestClockPutAheadEndsWhatLivesInRedis(t *testing.T) {
	t.Parallel()
	c := NewClock(t)
	r := StartRedis(t, RedisClock(c))
	ctx := t.Context()
	for key, life := range map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "ever": 0} {
		if err := r.Client().Set(ctx, key, "x", life).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		off  time.Duration
		left int64
	}{{59 * time.Second, 3}, {61 * time.Second, 2}, {2 * time.Hour, 1}} {
		c.Set(step.off)
		if now, err := r.Client().Time(ctx).Result(); err != nil || time.Until(now) < step.off-time.Second {
			t.Errorf("Redis says it is %v, %v", now, err)
		}
		soon(t, fmt.Sprintf("%d keys after %v", step.left, step.off), func() bool { return r.Client().DBSize(ctx).Val() == step.left })
	}
}
