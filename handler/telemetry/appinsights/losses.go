package appinsights

import (
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"
)

// losses counts items that will never arrive, and logs what the service
// doesn't take.
type losses struct {
	log *slog.Logger

	mu       sync.Mutex
	items    map[string]int64 // by reason
	gap      gap
	said     map[string]bool // the kinds of trouble since all was well
	saidAt   map[string]time.Time
	rejected int64     // items not yet in a line of the log
	nextLine time.Time // of rejected items
}

// gap is what an outage cost: how many items, and the times of the first and
// the last of them.
type gap struct {
	items    int64
	from, to time.Time
}

// Reasons for which items are lost, as the metric Telemetry Dropped names them.
const (
	lostOutage   = "outage"   // no room was left before the service was back
	lostRejected = "rejected" // the service took others and not these
	lostShutdown = "shutdown" // the process ended first
)

// rejectedLines is the shortest time between two lines about rejected items:
// a caller may make each batch hold one.
const rejectedLines = 10 * time.Minute

// troubleLines is the shortest time between two lines about one kind of
// trouble that comes and goes.
const troubleLines = time.Minute

func newLosses(log *slog.Logger) *losses {
	return &losses{log: log, items: make(map[string]int64), said: make(map[string]bool), saidAt: make(map[string]time.Time)}
}

// lose counts a payload's items.
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

// reject counts items that the service doesn't take, and logs how many now and
// then.
func (l *losses) reject(items int, at time.Time, cause string) {
	l.lose(lostRejected, payload{items: items, at: at})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rejected += int64(items)
	now := time.Now()
	if now.Before(l.nextLine) {
		return
	}
	l.log.Warn("Application Insights rejects telemetry items: they are given up", "items", l.rejected, "cause", cause,
		"fix", "none here: the counts are in the usage table")
	l.rejected, l.nextLine = 0, now.Add(rejectedLines)
}

// say logs a trouble once, however long it lasts and whatever comes between.
func (l *losses) say(a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kind := a.kind()
	now := time.Now()
	if l.said[kind] || now.Before(l.saidAt[kind].Add(troubleLines)) {
		return
	}
	l.said[kind], l.saidAt[kind] = true, now
	l.log.Warn("Application Insights does not take telemetry", "cause", a.fault, "fix", a.fix)
}

// well logs the end of a trouble, with what it cost.
func (l *losses) well() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.said) == 0 {
		return
	}
	attrs := []any{"dropped_items", l.gap.items}
	if l.gap.items > 0 {
		attrs = append(attrs, "replay", fmt.Sprintf("tollgate metrics replay --from %s --to %s",
			l.gap.from.UTC().Truncate(time.Minute).Format(time.RFC3339), l.gap.to.UTC().Truncate(time.Minute).Add(time.Minute).Format(time.RFC3339)))
	}
	l.log.Info("Application Insights takes telemetry again", attrs...)
	clear(l.said)
	l.gap = gap{}
}

// dropped is how many items were lost, by reason.
func (l *losses) dropped() map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.items)
}
