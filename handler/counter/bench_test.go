package counter_test

import (
	"testing"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/limit"
)

// BenchmarkWarmLease measures a call that is granted from a lease and settled.
func BenchmarkWarmLease(b *testing.B) {
	c := instance(memstore.New())
	terms := counter.Terms{Limits: limit.Limits{PerMinute: 1 << 40, Quota: 1 << 50, Period: limit.Monthly, Version: 1}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, _, err := c.One(b.Context(), "key", terms, limit.Ask{Amount: 100})
			if err != nil || r == nil {
				b.Error(err)
				return
			}
			r.Settle(100)
		}
	})
	if err := c.Close(b.Context()); err != nil {
		b.Error(err)
	}
}
