package appinsights

import (
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"
)

// losses counts lost items and logs the kinds of trouble that lose them.
type losses struct {
	log *slog.Logger

	mu              sync.Mutex
	items           map[string]int64 // by reason
	gap             gap
	warned          map[string]bool      // kinds of trouble logged since the last recovery
	warnedAt        map[string]time.Time // when each kind was last logged
	rejected        int64                // rejected items not logged yet
	nextRejectedLog time.Time            // the earliest time of the next line about rejected items
}

// A gap holds the number of items that an outage lost, and the times of the first and
// the last of them.
type gap struct {
	items    int64
	from, to time.Time
}

// Reasons for losing items, in the metric Telemetry Dropped.
const (
	lostOutage   = "outage"   // the queue was full before the service was back
	lostRejected = "rejected" // the service accepted other items and not these
	lostShutdown = "shutdown" // the process ended first
)

// rejectedLogInterval is the shortest time between two lines about rejected items, since
// a caller may be able to cause one in each batch.
const rejectedLogInterval = 10 * time.Minute

// troubleLogInterval is the shortest time between two lines about the same kind of trouble.
const troubleLogInterval = time.Minute

func newLosses(log *slog.Logger) *losses {
	return &losses{log: log, items: make(map[string]int64), warned: make(map[string]bool), warnedAt: make(map[string]time.Time)}
}

// lose counts a payload's items as lost.
func (l *losses) lose(reason string, p payload) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items[reason] += int64(p.items)
	if reason != lostOutage {
		return
	}
	if l.gap.items == 0 || p.at.Before(l.gap.from) {
		l.gap.from = p.at
	}
	if l.gap.items == 0 || p.at.After(l.gap.to) {
		l.gap.to = p.at
	}
	l.gap.items += int64(p.items)
}

// reject counts items as rejected. It logs their number at most once in rejectedLines.
func (l *losses) reject(items int, at time.Time, cause string) {
	l.lose(lostRejected, payload{items: items, at: at})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rejected += int64(items)
	now := time.Now()
	if now.Before(l.nextRejectedLog) {
		return
	}
	l.log.Warn("Application Insights rejects telemetry items, which are lost", "items", l.rejected, "cause", cause,
		"fix", "none needed: the usage table has the counts")
	l.rejected, l.nextRejectedLog = 0, now.Add(rejectedLogInterval)
}

// warn logs a kind of trouble, unless it has been logged since the last recovery or within
// troubleLogInterval.
func (l *losses) warn(a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kind := a.kind()
	now := time.Now()
	if l.warned[kind] || now.Before(l.warnedAt[kind].Add(troubleLogInterval)) {
		return
	}
	l.warned[kind], l.warnedAt[kind] = true, now
	l.log.Warn("Application Insights does not accept telemetry", "cause", a.fault, "fix", a.fix)
}

// logRecovery logs the end of all trouble, with the items it lost.
func (l *losses) logRecovery() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.warned) == 0 {
		return
	}
	attrs := []any{"dropped_items", l.gap.items}
	if l.gap.items > 0 {
		attrs = append(attrs, "replay", fmt.Sprintf("tollgate metrics replay --from %s --to %s",
			l.gap.from.UTC().Truncate(time.Minute).Format(time.RFC3339), l.gap.to.UTC().Truncate(time.Minute).Add(time.Minute).Format(time.RFC3339)))
	}
	l.log.Info("Application Insights accepts telemetry again", attrs...)
	clear(l.warned)
	l.gap = gap{}
}

// dropped returns the number of lost items by reason.
func (l *losses) dropped() map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.items)
}
