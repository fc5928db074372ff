package lease

import (
	"errors"
	"slices"
	"time"
)

// A Slot is an instance's entry in a row: its lease and the number of its last write.
// By that number the instance recognizes whether a write was applied whose answer was
// lost.
type Slot struct {
	ID     string // 48 random bits in base64url, never reused
	Seq    int64  // number of the instance's last write
	Window int64  // the minute of Leased
	Leased int64  // amount of the lease that no call had reserved by the last report
	Expiry int64  // end of the lease, or of the tombstone, in Unix seconds
	// Gone marks a tombstone: the instance stopped or was declared dead, and what it
	// had leased counts as spent. If a write of that instance was applied late, its
	// number is still here.
	Gone bool
}

const (
	// tombstoneLife is the time after which tombstones are dropped.
	tombstoneLife = time.Hour
	// MaxDoubt is the time from building a write after which its outcome can't be found
	// out any more: its slot's tombstone may be gone.
	MaxDoubt = tombstoneLife
	// maxSlots bounds slots and tombstones, to keep a row below 64 KiB.
	maxSlots = 1000
	// reclaimMargin is the time from a slot's expiry until its instance is declared
	// dead. Correctness doesn't depend on it: see retire.
	reclaimMargin = 10 * time.Second
)

// ErrFull says that a counter has no room for another instance.
var ErrFull = errors.New("the counter has no room for another instance: it holds 1,000")

// Slots are the entries of all instances in a row.
type Slots []Slot

// find returns the slot or tombstone with an id, or nil.
func (s Slots) find(id string) *Slot {
	for i := range s {
		if s[i].ID == id {
			return &s[i]
		}
	}
	return nil
}

// join adds a slot for a new instance. If there is no room, it replaces the oldest
// tombstone, and returns ErrFull if there is none.
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

// Reclaim declares instances dead whose slots expired more than 10 seconds ago, except
// the one with the slot ownID, and drops expired tombstones. It returns what the dead
// instances had leased.
func (r *Row) Reclaim(ownID string, now time.Time) (forfeited Forfeit) {
	for i := range r.Slots {
		if slot := &r.Slots[i]; !slot.Gone && slot.ID != ownID && now.Unix() > slot.Expiry+int64(reclaimMargin/time.Second) {
			forfeited.add(slot.Leased)
			r.retire(slot, now)
		}
	}
	r.Slots = slices.DeleteFunc(r.Slots, func(slot Slot) bool { return slot.Gone && slot.Expiry < now.Unix() })
	r.sumLeases()
	return forfeited
}

// A Forfeit is what dead instances had leased: it stays spent.
type Forfeit struct {
	Leases int64 // number of leases that were not empty
	Amount int64 // sum of these
}

// add counts a dead instance's lease, unless it is empty.
func (f *Forfeit) add(leased int64) {
	if leased > 0 {
		f.Leases, f.Amount = f.Leases+1, f.Amount+leased
	}
}

// retire charges a lease for good, and makes its slot a tombstone. Until its holder
// reports, a lease counts as spent anyway; retire makes that final. As nothing is given
// to others because of what a clock says, a holder that was only paused may go on
// spending it.
func (r *Row) retire(slot *Slot, now time.Time) {
	if slot.Window == r.Window {
		r.Spent += slot.Leased
	}
	if r.ofPeriod(slot.Window) {
		r.PeriodSpent += slot.Leased
	}
	*slot = tombstone(*slot, now)
}

// tombstone returns the tombstone of a slot.
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

// plausible reports whether Tollgate could have written the slots into a row of this
// minute.
func (s Slots) plausible(window int64) bool {
	return !slices.ContainsFunc(s, func(slot Slot) bool { return !plausible(slot.Leased) || slot.Seq < 0 || slot.Window > window })
}
