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

func (r *report) addRefund(given refund) {
	for i := range r.refunds {
		if one := &r.refunds[i]; one.window == given.window && one.period.Equal(given.period) {
			one.amount += given.amount
			return
		}
	}
	r.refunds = append(r.refunds, given)
}

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

func (o *reports) clone() reports {
	copied := *o
	copied.pending.refunds = slices.Clone(o.pending.refunds)
	copied.bookings = slices.Clone(o.bookings)
	return copied
}

// take returns the pending report and its number, and begins the next one.
func (o *reports) take() (report, int64) {
	taken, number := o.pending, o.number
	o.pending = report{}
	o.number++
	return taken, number
}

// book records where the excess of a write's report was charged, which includes the
// excess of failed writes before it.
func (o *reports) book(b *Write, epoch string) {
	entry := booking{o.lastBooked(), b.number, b.Row.Window, b.Row.PeriodStart, epoch}
	if n := len(o.bookings); n > 0 {
		newest := &o.bookings[n-1]
		if newest.window == entry.window && newest.epoch == epoch && newest.period.Equal(entry.period) {
			newest.last = entry.last
			return
		}
		if n == maxBookings {
			o.bookings = append(o.bookings[:0], o.bookings[1:]...)
		}
	}
	o.bookings = append(o.bookings, entry)
}

// lastBooked returns the number of the last report whose excess is charged;
// -1: none.
func (o *reports) lastBooked() int64 {
	if len(o.bookings) == 0 {
		return -1
	}
	return o.bookings[len(o.bookings)-1].last
}

// undo takes back excess of a report: from the pending report if no write carries the
// excess yet, or as a refund to the minute it was charged to. If a write in flight
// carries it, the write notes the amount until its outcome is known.
func (o *reports) undo(number, amount int64, flight *Write, epoch string) {
	switch {
	case amount == 0:
	case number > o.lastBooked() && flight != nil && number <= flight.number:
		flight.undone += amount
	case number > o.lastBooked():
		o.pending.excess -= amount
	default:
		for _, entry := range o.bookings {
			if number > entry.after && number <= entry.last && entry.epoch == epoch {
				o.pending.addRefund(refund{entry.window, entry.period, amount})
			}
		}
	}
}
