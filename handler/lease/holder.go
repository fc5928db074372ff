package lease

import (
	"slices"
	"time"
)

// A Holder is one instance's side of a counter: its lease, what it has yet to
// report, and the one write whose outcome it doesn't know. The lease is prepaid: the
// row counts all of it as spent. The zero Holder holds nothing.
type Holder struct {
	slot     identity
	epoch    string // of the counter
	lease    heldLease
	reports  reports
	inFlight *Write // the write whose outcome is unknown; nil: there is none
}

// An identity names an instance's slot in the row.
type identity struct {
	id     string // of the slot; empty: the next write takes a new one
	seq    int64  // of the last write
	joined bool   // the row surely has the slot
}

// Clone returns a copy that shares nothing that either side changes.
func (h *Holder) Clone() Holder {
	copied := *h
	copied.reports = h.reports.clone()
	if h.inFlight != nil {
		flight := *h.inFlight
		flight.report.refunds = slices.Clone(flight.report.refunds)
		copied.inFlight = &flight
	}
	return copied
}

// A Hold is what one call has reserved in one counter, from its decision until it is
// settled.
type Hold struct {
	Amount     int64 // reserved from a lease
	Window     int64 // the lease's minute
	period     time.Time
	epoch      string
	uncharged  bool  // charged to no limit
	excess     int64 // amount that Raise charged beyond the lease
	report     int64 // number of the report that carries that excess
	owed       int64 // amount admitted without the counter, and not charged yet
	owedMinute int64 // minute when they were admitted; 0: the counter decided the call
}

// Held returns the amount that the call is charged until it is settled.
func (h Hold) Held() int64 { return h.Amount + h.excess }

// counted returns what the call counts for until it is settled: what it is charged,
// and what it owes for being admitted without the store.
func (h Hold) counted() int64 { return h.owed + h.Held() }

// Reserve reserves an amount of the lease. It reports whether the lease has that
// much and may still be spent.
func (h *Holder) Reserve(amount int64, now time.Time) (Hold, bool) {
	if amount > h.lease.left || !h.lease.usable(now) {
		return Hold{}, false
	}
	h.lease.draw(amount)
	return Hold{Amount: amount, Window: h.lease.window, period: h.lease.period, epoch: h.epoch}, true
}

// Left returns the amount of the lease that calls may still reserve at a time.
func (h *Holder) Left(now time.Time) int64 {
	if !h.lease.usable(now) {
		return 0
	}
	return h.lease.left
}

// mustReport reports whether something must be written to the counter, or will have to
// be once the write in flight is applied.
func (h *Holder) mustReport() bool {
	p := &h.reports.pending
	return h.lease.reserved != 0 || p.excess != 0 || len(p.refunds) > 0 || h.inFlight != nil && h.inFlight.undone != 0
}

// Excess returns the amount used beyond holds and lease that no write is known to
// have delivered.
func (h *Holder) Excess() int64 {
	if h.inFlight != nil {
		return h.reports.pending.excess + h.inFlight.report.excess - h.inFlight.undone
	}
	return h.reports.pending.excess
}

// Unwritten returns what calls reserved or used, less refunds, that no write is
// known to have delivered.
func (h *Holder) Unwritten() int64 {
	sum := h.lease.reserved + h.reports.pending.sum()
	if w := h.inFlight; w != nil {
		sum += w.reserved + w.report.sum() - w.undone
	}
	return sum
}

// LeasedAmount returns what no call has reserved of this instance's lease, which may
// be of an earlier minute.
func (h *Holder) LeasedAmount() int64 {
	if !h.slot.joined {
		return 0
	}
	return h.lease.left
}

// Observe updates the holder from a counter that was just read. No write may be in
// flight. If the holder's slot is gone, its lease and the reservations from it are
// charged already, so both are dropped. Debts to and from another epoch are void.
func (h *Holder) Observe(r *Row) {
	if h.epoch != r.Epoch {
		h.reports.pending.refunds = nil
		h.epoch, h.slot, h.lease = r.Epoch, identity{}, heldLease{}
	}
	h.lease.latestWindow = max(h.lease.latestWindow, r.Window)
	if slot := r.Slots.find(h.slot.id); h.slot.joined && (slot == nil || slot.Gone) {
		h.loseLease()
	}
}

// loseLease drops a lease whose slot is gone, and the reservations from it: all of
// that is charged already. If calls gave back more than others reserved, the
// difference was charged by an earlier write, and must be refunded. The next write
// takes a new slot.
func (h *Holder) loseLease() {
	if h.lease.reserved < 0 {
		h.reports.pending.addRefund(refund{h.lease.window, h.lease.period, -h.lease.reserved})
	}
	h.slot, h.lease = identity{}, heldLease{latestWindow: h.lease.latestWindow}
}

// own returns what this instance may spend in addition to what the counter has left:
// its lease, less the excess that it has yet to report.
func (h *Holder) own(now time.Time) int64 { return h.Left(now) - h.Excess() }
