package store_test

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/store/conformance"
)

// onBoth runs a benchmark on both engines, alone and from many goroutines.
func onBoth(b *testing.B, prepare func(*testing.B, *store.Store), do func(*store.Store, uint64) error) {
	for _, engine := range []struct {
		name  string
		fresh func(testing.TB) string
	}{
		{"sqlite", freshFile},
		{"postgres", func(t testing.TB) string { return shared.get(t).fresh(t) }},
	} {
		b.Run(engine.name, func(b *testing.B) {
			s := conformance.Open(b, engine.fresh(b))
			prepare(b, s)
			var n atomic.Uint64
			b.Run("one", func(b *testing.B) {
				for b.Loop() {
					if err := do(s, n.Add(1)); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("many", func(b *testing.B) {
				b.SetParallelism(32)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := do(s, n.Add(1)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		})
	}
}

func BenchmarkClaim(b *testing.B) {
	now := time.Now()
	onBoth(b, func(*testing.B, *store.Store) {}, func(s *store.Store, n uint64) error {
		key := binary.BigEndian.AppendUint64(make([]byte, 24, 32), n)
		_, err := s.Claim(b.Context(), key, now.Add(time.Minute), now)
		return err
	})
}

func BenchmarkDevices(b *testing.B) {
	const users = 1000
	account := func(n uint64) sallyport.AccountName {
		return sallyport.NewAccountName("hospital", fmt.Sprint("user", n%users))
	}
	prepare := func(b *testing.B, s *store.Store) {
		for n := range uint64(2 * users) {
			if err := s.PutDevice(b.Context(), conformance.NewDevice(fmt.Sprint(n), account(n))); err != nil {
				b.Fatal(err)
			}
		}
	}
	onBoth(b, prepare, func(s *store.Store, n uint64) error {
		list, err := s.Devices(b.Context(), account(n))
		if err == nil && len(list) != 2 {
			err = fmt.Errorf("%d devices", len(list))
		}
		return err
	})
}
