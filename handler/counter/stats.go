package counter

import (
	"sync/atomic"
	"time"
)

// Stats counts what an instance did since it started.
type Stats struct {
	Reads, Writes int64         // operations of the store, failed ones included
	Conflicts     int64         // writes that failed because another came first
	DegradedTime  time.Duration // time that the store was down
	UnknownUsage  int64         // amount that is, or may be, missing in the counters
	Forfeited     int64         // amount of dead instances' leases that this one reclaimed
}

type stats struct{ reads, writes, conflicts, unknown, forfeited atomic.Int64 }

// Stats returns what this instance did since it started.
func (c *Counter) Stats() Stats {
	s := &c.stats
	return Stats{Reads: s.reads.Load(), Writes: s.writes.Load(), Conflicts: s.conflicts.Load(), DegradedTime: c.health.downFor(),
		UnknownUsage: s.unknown.Load(), Forfeited: s.forfeited.Load()}
}
