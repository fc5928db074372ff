package model

import (
	"reflect"
	"time"
	"unsafe"

	"tollgate/handler/lease"
)

// A holding is read from an agent's private fields, so that the books are
// checked against what it really holds, and lease needs no code for the
// model.
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

// told holds the amounts that a write reports.
type writtenAmounts struct {
	reserved, returned, refunds, excess int64
	undone                              int64 // of the excess, taken back since
}

// sum returns what the write charges.
func (t writtenAmounts) sum() int64 { return t.reserved - t.refunds + t.excess }

// A place is the way to a field.
type fieldPath []int

func fieldOf(of reflect.Type, names ...string) fieldPath {
	var way fieldPath
	for _, name := range names {
		field, ok := of.FieldByName(name)
		if !ok {
			panic("no field " + name + " in " + of.String())
		}
		way = append(way, field.Index...)
		of = field.Type
	}
	return way
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

	writeReserved = fieldOf(writeType, "reserved")
	writeReturned = fieldOf(writeType, "returned")
	writeReport   = fieldOf(writeType, "report")
	writeUndone   = fieldOf(writeType, "undone")
	writeAlert    = fieldOf(writeType, "alertPercent")
	writeID       = fieldOf(writeType, "id")
	writeSeq      = fieldOf(writeType, "seq")
)

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

func reportSums(report reflect.Value) (refunds, excess int64) {
	all := report.Field(0)
	for i := range all.Len() {
		refunds += all.Index(i).Field(2).Int()
	}
	return refunds, report.Field(1).Int()
}

// tell returns what a write reports.
func amountsAt(v reflect.Value) writtenAmounts {
	t := writtenAmounts{reserved: v.FieldByIndex(writeReserved).Int(), returned: v.FieldByIndex(writeReturned).Int(), undone: v.FieldByIndex(writeUndone).Int()}
	t.refunds, t.excess = reportSums(v.FieldByIndex(writeReport))
	return t
}

func amountsOf(w *lease.Write) writtenAmounts { return amountsAt(reflect.ValueOf(w).Elem()) }

func idOf(w *lease.Write) string { return reflect.ValueOf(w).Elem().FieldByIndex(writeID).String() }

// An entry is a call in an agent's queue.
type entry struct {
	id                       int64
	parked, claimed, blocked bool
	claim                    int64
}

// settled reports whether nothing has to be decided about it now.
func (e entry) settled() bool { return e.claimed || e.blocked }

// queueOf returns the calls that an agent has in its queue.
func queueOf(a *lease.Agent) (entries []entry) {
	all := reflect.ValueOf(a).Elem().FieldByIndex(queued)
	for i := range all.Len() {
		c := all.Index(i)
		is := func(name string) bool { return c.FieldByName(name).Bool() }
		entries = append(entries, entry{c.FieldByName("id").Int(), is("parked"), is("claimed"), is("blocked"), c.FieldByName("claim").Int()})
	}
	return entries
}

// questionsOf returns the number of questions of a call that an agent has yet to
// answer.
func questionsOf(a *lease.Agent, id int64) (n int) {
	all := reflect.ValueOf(a).Elem().FieldByIndex(asked)
	for i := range all.Len() {
		if all.Index(i).FieldByName("id").Int() == id {
			n++
		}
	}
	return n
}

// viewOf returns what an agent knows of its counter.
func viewOf(a *lease.Agent) (lease.View, lease.Version) {
	v := reflect.ValueOf(a).Elem()
	view := (*lease.View)(unsafe.Pointer(v.FieldByIndex(seen).UnsafeAddr())) //nolint:gosec // the field is private, and only read
	return *view, lease.Version(v.FieldByIndex(seenVer).String())
}

// knownAt returns when an agent knew that the row was as it knows it; zero: it must be
// read again.
func knownAt(a *lease.Agent) time.Time {
	return *(*time.Time)(unsafe.Pointer(reflect.ValueOf(a).Elem().FieldByIndex(seenAt).UnsafeAddr())) //nolint:gosec // as in viewOf
}
