package lease

import (
	"slices"
	"time"
)

// A report is what a write carries in addition to its slot's lease.
type report struct {
	refunds []refund // of calls whose lease is closed
	excess  int64    // amount used beyond reservations that the lease didn't cover
}

// A refund is an amount that goes back to the minute and period it was charged to.
type refund struct {
	window int64
	period time.Time
	amount int64
}

// addRefund adds a refund, to the one of the same minute and period if there is one.
func (r *report) addRefund(given refund) {
	for i := range r.refunds {
		if one := &r.refunds[i]; one.window == given.window && one.period.Equal(given.period) {
			one.amount += given.amount
			return
		}
	}
	r.refunds = append(r.refunds, given)
}

// add adds what another report has.
func (r *report) add(other report) {
	for _, one := range other.refunds {
		r.addRefund(one)
	}
	r.excess += other.excess
}

// sum returns what the report charges, less what it gives back.
func (r *report) sum() int64 {
	sum := r.excess
	for _, one := range r.refunds {
		sum -= one.amount
	}
	return sum
}

// reports numbers a holder's reports, and remembers to which minute the excess of
// each was charged. Once the use of a raised call is known, what it didn't use is
// refunded to that minute.
type reports struct {
	pending  report // what happened since the last write was built
	number   int64  // of the pending report
	bookings []booking
}

// A booking is the minute and period to which the excess of some reports was charged.
type booking struct {
	after, last int64 // the numbers of the reports are greater than after, up to last
	window      int64
	period      time.Time
	epoch       string // empty: it is unknown whether it was charged
}

// maxBookings is the number of bookings remembered. A refund to an older minute would
// vanish in any case.
const maxBookings = 4

// clone returns a copy that shares nothing that either side changes.
func (r *reports) clone() reports {
	copied := *r
	copied.pending.refunds = slices.Clone(r.pending.refunds)
	copied.bookings = slices.Clone(r.bookings)
	return copied
}

// take returns the pending report and its number, and begins the next one.
func (r *reports) take() (report, int64) {
	taken, number := r.pending, r.number
	r.pending = report{}
	r.number++
	return taken, number
}

// book records where the excess of a write's report was charged, which includes the
// excess of failed writes before it.
func (r *reports) book(w *Write, epoch string) {
	entry := booking{r.lastBooked(), w.number, w.Row.Window, w.Row.PeriodStart, epoch}
	if n := len(r.bookings); n > 0 {
		newest := &r.bookings[n-1]
		if newest.window == entry.window && newest.epoch == epoch && newest.period.Equal(entry.period) {
			newest.last = entry.last
			return
		}
		if n == maxBookings {
			r.bookings = append(r.bookings[:0], r.bookings[1:]...)
		}
	}
	r.bookings = append(r.bookings, entry)
}

// lastBooked returns the number of the last report whose excess is charged;
// -1: none.
func (r *reports) lastBooked() int64 {
	if len(r.bookings) == 0 {
		return -1
	}
	return r.bookings[len(r.bookings)-1].last
}

// undo takes back excess of a report: from the pending report if no write carries the
// excess yet, or as a refund to the minute it was charged to. If a write in flight
// carries it, the write notes the amount until its outcome is known.
func (r *reports) undo(number, amount int64, flight *Write, epoch string) {
	switch {
	case amount == 0:
	case number > r.lastBooked() && flight != nil && number <= flight.number:
		flight.undone += amount
	case number > r.lastBooked():
		r.pending.excess -= amount
	default:
		for _, entry := range r.bookings {
			if number > entry.after && number <= entry.last && entry.epoch == epoch {
				r.pending.addRefund(refund{entry.window, entry.period, amount})
			}
		}
	}
}
