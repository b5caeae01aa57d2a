package directory_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/test/harness"
)

// Not parallel: what runs beside it would be measured too.
func TestAnUnknownNameTakesAsLongAsAWrongPassword(t *testing.T) {
	_, f := samba(t, harness.LockoutThreshold(0))
	d := f.open(t, nil)
	took := func(name string) time.Duration {
		start := time.Now()
		verify(t, d, name, "wrong")
		return time.Since(start)
	}
	for range 32 { // what an unknown name goes by
		took("alice")
	}
	// Not evened out, an unknown name answers four times faster and no round is passed; a
	// machine that is busy with something else spoils one now and then.
	const rounds = 4
	for round := range rounds {
		w, u := medians(61, func() time.Duration { return took("alice") }, func() time.Duration { return took("nobody") })
		t.Logf("medians: wrong password %v, unknown name %v", w, u)
		if w*2/3 <= u && u <= w*3/2 {
			return
		}
		if round == rounds-1 {
			t.Error("an unknown name can be told by the time it takes")
		}
	}
}

// medians measures a and b in turn, n times each.
func medians(n int, a, b func() time.Duration) (time.Duration, time.Duration) {
	var as, bs []time.Duration
	for range n {
		as = append(as, a())
		bs = append(bs, b())
	}
	slices.Sort(as)
	slices.Sort(bs)
	return as[n/2], bs[n/2]
}
