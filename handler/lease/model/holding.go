package model

import (
	"reflect"
	"time"
	"unsafe"

	"tollgate/handler/lease"
)

// A holding is what an agent holds, read from its private fields by reflection: so the
// books are checked against what it really holds, and lease needs no code for the model.
type holding struct {
	id             string
	joined         bool
	window, expiry int64
	left, reserved int64
	refunds        int64
	excess         int64
	open           int64
	flying         bool
	flight         writtenAmounts // of the write in flight
}

// writtenAmounts are the amounts that a write reports.
type writtenAmounts struct {
	reserved, returned, refunds, excess int64
	undone                              int64 // of the excess, taken back since
}

// sum returns what the write charges, less refunds.
func (t writtenAmounts) sum() int64 { return t.reserved - t.refunds + t.excess }

// A fieldPath is the index path to a field, for reflect.Value.FieldByIndex.
type fieldPath []int

// fieldOf returns the path to a field by the names of the fields on it.
func fieldOf(of reflect.Type, names ...string) fieldPath {
	var path fieldPath
	for _, name := range names {
		field, ok := of.FieldByName(name)
		if !ok {
			panic("no field " + name + " in " + of.String())
		}
		path = append(path, field.Index...)
		of = field.Type
	}
	return path
}

var (
	agentType = reflect.TypeFor[lease.Agent]()
	writeType = reflect.TypeFor[lease.Write]()

	slotID   = fieldOf(agentType, "holder", "slot", "id")
	joined   = fieldOf(agentType, "holder", "slot", "joined")
	window   = fieldOf(agentType, "holder", "lease", "window")
	expiry   = fieldOf(agentType, "holder", "lease", "expiry")
	inHand   = fieldOf(agentType, "holder", "lease", "left")
	reserved = fieldOf(agentType, "holder", "lease", "reserved")
	pending  = fieldOf(agentType, "holder", "reports", "pending")
	flight   = fieldOf(agentType, "holder", "inFlight")
	opened   = fieldOf(agentType, "openCalls")
	queued   = fieldOf(agentType, "queue", "calls")
	asked    = fieldOf(agentType, "queue", "questions")
	seen     = fieldOf(agentType, "known", "view")
	seenVer  = fieldOf(agentType, "known", "version")
	seenAt   = fieldOf(agentType, "known", "asOf")
	unusable = fieldOf(agentType, "health", "unusableUntil")

	writeReserved = fieldOf(writeType, "reserved")
	writeReturned = fieldOf(writeType, "returned")
	writeReport   = fieldOf(writeType, "report")
	writeUndone   = fieldOf(writeType, "undone")
	writeAlert    = fieldOf(writeType, "alertPercent")
	writeID       = fieldOf(writeType, "id")
	writeSeq      = fieldOf(writeType, "seq")
)

// holdingOf returns what an agent holds.
func holdingOf(a *lease.Agent) holding {
	v := reflect.ValueOf(a).Elem()
	h := holding{id: v.FieldByIndex(slotID).String(), joined: v.FieldByIndex(joined).Bool(), window: v.FieldByIndex(window).Int(), expiry: v.FieldByIndex(expiry).Int(),
		left: v.FieldByIndex(inHand).Int(), reserved: v.FieldByIndex(reserved).Int(), open: v.FieldByIndex(opened).Int()}
	h.refunds, h.excess = reportSums(v.FieldByIndex(pending))
	if f := v.FieldByIndex(flight); !f.IsNil() {
		h.flying, h.flight = true, amountsAt(f.Elem())
	}
	return h
}

// reportSums returns the sums of the refunds and of the excess of a report.
func reportSums(report reflect.Value) (refunds, excess int64) {
	all := report.Field(0)
	for i := range all.Len() {
		refunds += all.Index(i).Field(2).Int()
	}
	return refunds, report.Field(1).Int()
}

// amountsAt returns the amounts of a lease.Write.
func amountsAt(v reflect.Value) writtenAmounts {
	t := writtenAmounts{reserved: v.FieldByIndex(writeReserved).Int(), returned: v.FieldByIndex(writeReturned).Int(), undone: v.FieldByIndex(writeUndone).Int()}
	t.refunds, t.excess = reportSums(v.FieldByIndex(writeReport))
	return t
}

// amountsOf returns the amounts that a write reports.
func amountsOf(w *lease.Write) writtenAmounts { return amountsAt(reflect.ValueOf(w).Elem()) }

// idOf returns the slot id of a write.
func idOf(w *lease.Write) string { return reflect.ValueOf(w).Elem().FieldByIndex(writeID).String() }

// An entry is a call in an agent's queue.
type entry struct {
	id                       int64
	parked, claimed, blocked bool
	claim, granted           int64
}

// claimedOrBlocked reports whether nothing has to be decided about the call now.
func (e entry) claimedOrBlocked() bool { return e.claimed || e.blocked }

// queueOf returns the calls in an agent's queue.
func queueOf(a *lease.Agent) (entries []entry) {
	all := reflect.ValueOf(a).Elem().FieldByIndex(queued)
	for i := range all.Len() {
		c := all.Index(i)
		is := func(name string) bool { return c.FieldByName(name).Bool() }
		entries = append(entries, entry{c.FieldByName("id").Int(), is("parked"), is("claimed"), is("blocked"), c.FieldByName("claim").Int(), c.FieldByName("granted").Int()})
	}
	return entries
}

// questionsOf returns the number of questions with an id that an agent has yet to answer.
func questionsOf(a *lease.Agent, id int64) (n int) {
	all := reflect.ValueOf(a).Elem().FieldByIndex(asked)
	for i := range all.Len() {
		if all.Index(i).FieldByName("id").Int() == id {
			n++
		}
	}
	return n
}

// viewOf returns an agent's view of its counter, and the version of the row that it is of.
func viewOf(a *lease.Agent) (lease.View, lease.Version) {
	v := reflect.ValueOf(a).Elem()
	view := (*lease.View)(unsafe.Pointer(v.FieldByIndex(seen).UnsafeAddr())) //nolint:gosec // the field is private, and only read
	return *view, lease.Version(v.FieldByIndex(seenVer).String())
}

// knownAt returns the time when an agent's known row was current; zero: it must be read
// again.
func knownAt(a *lease.Agent) time.Time {
	return *(*time.Time)(unsafe.Pointer(reflect.ValueOf(a).Elem().FieldByIndex(seenAt).UnsafeAddr())) //nolint:gosec // as in viewOf
}

// givenUp reports whether an agent doesn't use the store at this uptime, because its writes
// have failed.
func givenUp(a *lease.Agent, uptime time.Duration) bool {
	return uptime < time.Duration(reflect.ValueOf(a).Elem().FieldByIndex(unusable).Int())
}
