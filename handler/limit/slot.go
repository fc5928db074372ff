package limit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Slot is an instance's mark in a counter: the number of its last write, by
// which it knows whether a write whose answer was lost has arrived, and what
// it holds leased.
type Slot struct {
	ID     string // 48 random bits in base64url, never used again
	Seq    int64
	Window int64 // the minute that Leased is of
	Leased int64 // tokens taken but not yet reserved by a call, as far as reported
	Expiry int64 // Unix seconds: of the lease, of a tombstone the end
	// Gone marks a tombstone: the instance is taken for dead, and what it leased
	// counts as spent. A write of its that arrives late, or is asked about late,
	// is still known.
	Gone bool
}

const (
	// tombstoneKept is how long a tombstone stays.
	tombstoneLife = time.Hour
	// DoubtKept is how long after it was built the fate of a write can be told.
	MaxDoubt = tombstoneLife
	// maxSlots bounds slots and tombstones, so that a counter stays below 64 KiB.
	maxSlots = 1000
	// reclaimMargin is how long after its expiry a slot is taken for dead. Nothing
	// depends on its length: see reclaim.
	reclaimMargin = 10 * time.Second
)

// ErrFull says that a counter has no room for another instance.
var ErrFull = errors.New("the counter has no room for another instance: it takes 1,000")

// slot finds an instance's slot or tombstone; nil: it has none.
func (s *State) slot(id string) *Slot {
	for i := range s.Slots {
		if s.Slots[i].ID == id {
			return &s.Slots[i]
		}
	}
	return nil
}

// join gives a new instance a slot, in the place of the oldest tombstone where
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

// Reclaim takes instances for dead whose slots expired a while ago, but for the
// one named, and drops tombstones that are over.
func (s *State) Reclaim(but string, now time.Time) {
	for i := range s.Slots {
		if slot := &s.Slots[i]; !slot.Gone && slot.ID != but && now.Unix() > slot.Expiry+int64(reclaimMargin/time.Second) {
			s.retire(slot, now)
		}
	}
	s.Slots = slices.DeleteFunc(s.Slots, func(slot Slot) bool { return slot.Gone && slot.Expiry < now.Unix() })
}

// reclaim makes final what a lease is until its holder reports: all of it is
// spent. Nothing is handed back on the word of a clock, so a holder that was
// merely paused may go on spending it.
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

// Live is how many instances hold slots that have not expired.
func (s *State) Live(now time.Time) int {
	live := 0
	for i := range s.Slots {
		if !s.Slots[i].Gone && s.Slots[i].Expiry >= now.Unix() {
			live++
		}
	}
	return live
}

// FormatSlots writes slots as one readable text: id:seq:minute:leased:expiry,
// tombstones id:seq:expiry, separated by blanks. Numbers are in base 36, minutes
// and expiries counted from the window, to stay short.
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
