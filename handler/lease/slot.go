package lease

import (
	"errors"
	"slices"
	"time"
)

// A Slot is an instance's entry in a counter: the number of its last write,
// by which it recognizes whether a write arrived whose answer was lost, and
// what it holds leased.
type Slot struct {
	ID     string // 48 random bits in base64url, never reused
	Seq    int64
	Window int64 // the minute of Leased
	Leased int64 // amount taken and, by the last report, not reserved by a call
	Expiry int64 // Unix seconds: end of the lease, or of the tombstone
	// Gone marks a tombstone: the instance was declared dead, and its lease
	// counts as spent. A write of its that arrives late is still recognized.
	Gone bool
}

const (
	// tombstoneLife: tombstones are dropped after it.
	tombstoneLife = time.Hour
	// MaxDoubt: after this time from when it was built, a write's outcome can't
	// be found out any more.
	MaxDoubt = tombstoneLife
	// maxSlots bounds slots and tombstones, to keep a row below 64 KiB.
	maxSlots = 1000
	// reclaimMargin: an instance is declared dead this long after its slot
	// expired. Correctness doesn't depend on it: see retire.
	reclaimMargin = 10 * time.Second
)

// ErrFull: the counter has no room for another instance.
var ErrFull = errors.New("the counter has no room for another instance: it holds 1,000")

// Slots are the entries of all instances.
type Slots []Slot

// of returns an instance's slot or tombstone, or nil.
func (s Slots) find(id string) *Slot {
	for i := range s {
		if s[i].ID == id {
			return &s[i]
		}
	}
	return nil
}

// join adds a slot for a new instance, replacing the oldest tombstone if
// there is no room.
func (r *Row) join(id string) (*Slot, error) {
	if len(r.Slots) >= maxSlots {
		oldest := -1
		for i, slot := range r.Slots {
			if slot.Gone && (oldest < 0 || slot.Expiry < r.Slots[oldest].Expiry) {
				oldest = i
			}
		}
		if oldest < 0 {
			return nil, ErrFull
		}
		r.Slots = slices.Delete(r.Slots, oldest, oldest+1)
	}
	r.Slots = append(r.Slots, Slot{ID: id, Window: r.Window})
	return &r.Slots[len(r.Slots)-1], nil
}

// Reclaim declares instances dead whose slots expired a while ago, except the
// one named, and drops tombstones past their end. It returns what they held.
func (r *Row) Reclaim(but string, now time.Time) (forfeited Forfeit) {
	for i := range r.Slots {
		if slot := &r.Slots[i]; !slot.Gone && slot.ID != but && now.Unix() > slot.Expiry+int64(reclaimMargin/time.Second) {
			forfeited.add(slot.Leased)
			r.retire(slot, now)
		}
	}
	r.Slots = slices.DeleteFunc(r.Slots, func(slot Slot) bool { return slot.Gone && slot.Expiry < now.Unix() })
	r.sumLeases()
	return forfeited
}

// A Forfeit is what dead instances held: it counts as spent for good.
type Forfeit struct {
	Leases int64 // that were not empty
	Amount int64 // of these
}

func (f *Forfeit) add(leased int64) {
	if leased > 0 {
		f.Leases, f.Amount = f.Leases+1, f.Amount+leased
	}
}

// retire makes final what a lease counts as until its holder reports: all of
// it is spent. Nothing is handed back because of what a clock says, so a
// holder that was merely paused may go on spending it.
func (r *Row) retire(slot *Slot, now time.Time) {
	if slot.Window == r.Window {
		r.Spent += slot.Leased
	}
	if r.ofPeriod(slot.Window) {
		r.PeriodSpent += slot.Leased
	}
	*slot = tombstone(*slot, now)
}

func tombstone(slot Slot, now time.Time) Slot {
	return Slot{ID: slot.ID, Seq: slot.Seq, Expiry: now.Add(tombstoneLife).Unix(), Gone: true}
}

// Live returns the number of instances whose slots have not expired.
func (s Slots) Live(now time.Time) int {
	live := 0
	for i := range s {
		if !s[i].Gone && s[i].Expiry >= now.Unix() {
			live++
		}
	}
	return live
}

// plausible reports whether Tollgate could have written the slots in a minute.
func (s Slots) plausible(window int64) bool {
	return !slices.ContainsFunc(s, func(slot Slot) bool { return !plausible(slot.Leased) || slot.Seq < 0 || slot.Window > window })
}
