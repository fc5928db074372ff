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
	Forfeited     lease.Forfeit // leases of dead instances that this one reclaimed; their amounts are in the limits' own units
}

// tallies are the counts behind Stats.
type tallies struct{ reads, writes, conflicts, unwritten, forfeitedLeases, forfeited atomic.Int64 }

// Stats returns what this instance did since it started.
func (c *Counter) Stats() Stats {
	t := &c.tallies
	return Stats{Reads: t.reads.Load(), Writes: t.writes.Load(), Conflicts: t.conflicts.Load(), DegradedTime: c.health.downFor(),
		Unwritten: t.unwritten.Load(), Forfeited: lease.Forfeit{Leases: t.forfeitedLeases.Load(), Amount: t.forfeited.Load()}}
}
