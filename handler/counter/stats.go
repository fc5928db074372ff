package counter

import (
	"sync/atomic"
	"time"

	"tollgate/handler/lease"
)

// Stats counts what an instance did since it started.
type Stats struct {
	Reads, Writes int64         // operations of the store, failed ones included
	Conflicts     int64         // writes that failed because another came first
	DegradedTime  time.Duration // time that the store was down
	Unwritten     int64         // times that charges of a counter were, or may be, lost
	Forfeited     lease.Forfeit // of dead instances' leases that this one reclaimed; the amount is in the limits' own units
}

type stats struct{ reads, writes, conflicts, unwritten, forfeitedLeases, forfeited atomic.Int64 }

// Stats returns what this instance did since it started.
func (c *Counter) Stats() Stats {
	s := &c.stats
	return Stats{Reads: s.reads.Load(), Writes: s.writes.Load(), Conflicts: s.conflicts.Load(), DegradedTime: c.health.downFor(),
		Unwritten: s.unwritten.Load(), Forfeited: lease.Forfeit{Leases: s.forfeitedLeases.Load(), Amount: s.forfeited.Load()}}
}
