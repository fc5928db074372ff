package counter

import (
	"sync/atomic"
	"time"

	"tollgate/handler/limit"
)

// Stats counts what an instance did since it started.
type Stats struct {
	Reads, Writes, Rows int64         // operations of the store and of the history, failed ones included
	Conflicts           int64         // writes that came too late
	Failures            int64         // operations that failed otherwise
	Refused             int64         // calls, also those that went on in shadow
	Degraded            int64         // calls decided without the shared counters
	DegradedTime        time.Duration // that the store was down
	UnknownUsage        int64         // tokens that are lost to the counters or the history, or may be
	Forfeited           int64         // tokens of dead instances' leases, as found by this one
}

type stats struct {
	reads, writes, rows, conflicts, failures   atomic.Int64
	refused, degraded, unknownUsage, forfeited atomic.Int64
}

// Stats tells what this instance did since it started.
func (c *Counter) Stats() Stats {
	s := &c.stats
	return Stats{Reads: s.reads.Load(), Writes: s.writes.Load(), Rows: s.rows.Load(),
		Conflicts: s.conflicts.Load(), Failures: s.failures.Load(), Refused: s.refused.Load(),
		Degraded: s.degraded.Load(), DegradedTime: c.health.downFor(),
		UnknownUsage: s.unknownUsage.Load(), Forfeited: s.forfeited.Load()}
}

// Active tells where the counters stand that this instance knows, by key.
func (c *Counter) Active() map[string]limit.Standing {
	accounts := c.allReplicas()
	active := make(map[string]limit.Standing, len(accounts))
	for _, a := range accounts {
		if standing, known := a.standing(); known {
			active[a.key] = standing
		}
	}
	return active
}
