package main

import (
	"fmt"
	"slices"
	"time"
)

// median returns the middle of the list, 0 of none.
func median[T float64 | time.Duration](list []T) T { return quantile(list, 0.5) }

// quantile returns the value below which the share q of the list lies.
func quantile[T float64 | time.Duration](list []T, q float64) T {
	if len(list) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(list))
	if n := len(s); q == 0.5 && n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

func micros(d time.Duration) string { return fmt.Sprintf("%.0f µs", float64(d.Nanoseconds())/1e3) }
func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Nanoseconds())/1e6) }

// perSecond writes a rate with a comma before the thousands.
func perSecond(v float64) string { return count(int(v)) + "/s" }

func count(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", count(n/1000), n%1000)
}
