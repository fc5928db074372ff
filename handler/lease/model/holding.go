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
	left, consumed int64
	refunds        int64
	excess         int64
	open           int64
	flying         bool
	flight         told // of the write in flight
}

// told holds the amounts that a write reports.
type told struct {
	consumed, given, refunds, excess int64
	undone                           int64 // of the excess, taken back since
}

// sum returns what the write charges.
func (t told) sum() int64 { return t.consumed - t.refunds + t.excess }

// A place is the way to a field.
type place []int

func at(of reflect.Type, names ...string) place {
	var way place
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

	slotID   = at(agentType, "holder", "slot", "id")
	joined   = at(agentType, "holder", "slot", "joined")
	window   = at(agentType, "holder", "hand", "window")
	expiry   = at(agentType, "holder", "hand", "expiry")
	inHand   = at(agentType, "holder", "hand", "left")
	consumed = at(agentType, "holder", "hand", "consumed")
	pending  = at(agentType, "holder", "out", "pending")
	flight   = at(agentType, "holder", "flight")
	opened   = at(agentType, "open")
	queued   = at(agentType, "queue", "calls")
	asked    = at(agentType, "queue", "questions")
	seen     = at(agentType, "known", "view")
	seenVer  = at(agentType, "known", "version")
	seenAt   = at(agentType, "known", "at")

	writeConsumed = at(writeType, "consumed")
	writeReturned = at(writeType, "returned")
	writeReport   = at(writeType, "report")
	writeUndone   = at(writeType, "undone")
	writeTells    = at(writeType, "tells")
	writeID       = at(writeType, "id")
	writeSeq      = at(writeType, "seq")
)

func look(a *lease.Agent) holding {
	v := reflect.ValueOf(a).Elem()
	h := holding{id: v.FieldByIndex(slotID).String(), joined: v.FieldByIndex(joined).Bool(), window: v.FieldByIndex(window).Int(), expiry: v.FieldByIndex(expiry).Int(),
		left: v.FieldByIndex(inHand).Int(), consumed: v.FieldByIndex(consumed).Int(), open: v.FieldByIndex(opened).Int()}
	h.refunds, h.excess = reported(v.FieldByIndex(pending))
	if f := v.FieldByIndex(flight); !f.IsNil() {
		h.flying, h.flight = true, tell(f.Elem())
	}
	return h
}

func reported(report reflect.Value) (refunds, excess int64) {
	all := report.Field(0)
	for i := range all.Len() {
		refunds += all.Index(i).Field(2).Int()
	}
	return refunds, report.Field(1).Int()
}

// tell returns what a write reports.
func tell(v reflect.Value) told {
	t := told{consumed: v.FieldByIndex(writeConsumed).Int(), given: v.FieldByIndex(writeReturned).Int(), undone: v.FieldByIndex(writeUndone).Int()}
	t.refunds, t.excess = reported(v.FieldByIndex(writeReport))
	return t
}

func tellOf(w *lease.Write) told { return tell(reflect.ValueOf(w).Elem()) }

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
