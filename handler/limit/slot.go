package limit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Slot is an instance's entry in a counter: the number of its last write,
// by which it recognizes whether a write arrived whose answer was lost, and
// the tokens it holds leased.
type Slot struct {
	ID     string // 48 random bits in base64url, never reused
	Seq    int64
	Window int64 // the minute of Leased
	Leased int64 // tokens taken and, by the last report, not reserved by a call
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

// slot returns an instance's slot or tombstone, or nil.
func (s *State) slot(id string) *Slot {
	for i := range s.Slots {
		if s.Slots[i].ID == id {
			return &s.Slots[i]
		}
	}
	return nil
}

// join adds a slot for a new instance, replacing the oldest tombstone if
// there is no room.
func (s *State) join(id string) (*Slot, error) {
	if len(s.Slots) >= maxSlots {
		oldest := -1
		for i, slot := range s.Slots {
			if slot.Gone && (oldest < 0 || slot.Expiry < s.Slots[oldest].Expiry) {
				oldest = i
			}
		}
		if oldest < 0 {
			return nil, ErrFull
		}
		s.Slots = slices.Delete(s.Slots, oldest, oldest+1)
	}
	s.Slots = append(s.Slots, Slot{ID: id, Window: s.Window})
	return &s.Slots[len(s.Slots)-1], nil
}

// Reclaim declares instances dead whose slots expired a while ago, except the
// one named, and drops tombstones past their end.
func (s *State) Reclaim(but string, now time.Time) {
	for i := range s.Slots {
		if slot := &s.Slots[i]; !slot.Gone && slot.ID != but && now.Unix() > slot.Expiry+int64(reclaimMargin/time.Second) {
			s.retire(slot, now)
		}
	}
	s.Slots = slices.DeleteFunc(s.Slots, func(slot Slot) bool { return slot.Gone && slot.Expiry < now.Unix() })
}

// retire makes final what a lease counts as until its holder reports: all of
// it is spent. Nothing is handed back because of what a clock says, so a
// holder that was merely paused may go on spending it.
func (s *State) retire(slot *Slot, now time.Time) {
	if slot.Window == s.Window {
		s.Spent += slot.Leased
	}
	if s.ofPeriod(slot.Window) {
		s.PeriodSpent += slot.Leased
	}
	s.Happened.Forfeited += slot.Leased
	*slot = tombstone(*slot, now)
}

func tombstone(slot Slot, now time.Time) Slot {
	return Slot{ID: slot.ID, Seq: slot.Seq, Expiry: now.Add(tombstoneLife).Unix(), Gone: true}
}

// Live returns the number of instances whose slots have not expired.
func (s *State) Live(now time.Time) int {
	live := 0
	for i := range s.Slots {
		if !s.Slots[i].Gone && s.Slots[i].Expiry >= now.Unix() {
			live++
		}
	}
	return live
}

// FormatSlots writes slots as text: id:seq:minute:leased:expiry, tombstones
// id:seq:expiry, separated by blanks. Numbers are in base 36; minutes and
// expiries count from the window, to stay short.
func FormatSlots(slots []Slot, window int64) string {
	var text strings.Builder
	for i, slot := range slots {
		if i > 0 {
			text.WriteByte(' ')
		}
		text.WriteString(slot.ID)
		text.WriteByte(':')
		if slot.Gone {
			writeNumbers(&text, slot.Seq, slot.Expiry-window*60)
		} else {
			writeNumbers(&text, slot.Seq, slot.Window-window, slot.Leased, slot.Expiry-window*60)
		}
	}
	return text.String()
}

// ParseSlots reads what FormatSlots wrote.
func ParseSlots(text string, window int64) ([]Slot, error) {
	var slots []Slot
	for field := range strings.FieldsSeq(text) {
		id, numbers, _ := strings.Cut(field, ":")
		slot := Slot{ID: id, Gone: strings.Count(numbers, ":") == 1}
		var err error
		if slot.Gone {
			err = readNumbers(numbers, &slot.Seq, &slot.Expiry)
		} else {
			err = readNumbers(numbers, &slot.Seq, &slot.Window, &slot.Leased, &slot.Expiry)
			slot.Window += window
		}
		slot.Expiry += window * 60
		if err != nil || id == "" {
			return nil, fmt.Errorf("slot %d: %w", len(slots), errors.Join(err, missing(id)))
		}
		slots = append(slots, slot)
	}
	return slots, nil
}

func missing(id string) error {
	if id == "" {
		return errors.New("no id")
	}
	return nil
}
