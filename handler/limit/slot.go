package limit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// slotKept is how long the mark of an instance that has gone stays, so that a
// write of its that arrives late, or is asked about late, is still known.
const slotKept = time.Hour

// maxSlots bounds the marks, so that a counter stays within one 64 KiB column.
const maxSlots = 1000

// Seq is the number of the last write of an instance that the counter knows of.
func (s *State) Seq(id string) int64 {
	for _, slot := range s.Slots {
		if slot.ID == id {
			return slot.Seq
		}
	}
	return 0
}

// Mark notes an instance's write and drops marks that are long over.
func (s *State) Mark(id string, seq int64, now, expiry time.Time) {
	s.Slots = slices.DeleteFunc(slices.Clone(s.Slots), func(slot Slot) bool {
		return slot.ID == id || slot.Leased == 0 && slot.Expiry < now.Add(-slotKept).Unix()
	})
	if len(s.Slots) >= maxSlots {
		s.dropOldest()
	}
	s.Slots = append(s.Slots, Slot{ID: id, Seq: seq, Window: s.Window, Expiry: expiry.Unix()})
}

func (s *State) dropOldest() {
	oldest := 0
	for i, slot := range s.Slots {
		if slot.Leased == 0 && slot.Expiry < s.Slots[oldest].Expiry {
			oldest = i
		}
	}
	s.Slots = slices.Delete(s.Slots, oldest, oldest+1)
}

// Live is how many other instances have not expired.
func (s *State) Live(id string, now time.Time) int {
	live := 0
	for _, slot := range s.Slots {
		if slot.ID != id && slot.Expiry >= now.Unix() {
			live++
		}
	}
	return live
}

// FormatSlots writes slots as one readable text, numbers in base 36:
// id:seq:minute:leased:expiry, separated by blanks.
func FormatSlots(slots []Slot) string {
	var text strings.Builder
	for i, slot := range slots {
		if i > 0 {
			text.WriteByte(' ')
		}
		text.WriteString(slot.ID)
		for _, n := range []int64{slot.Seq, slot.Window, slot.Leased, slot.Expiry} {
			text.WriteByte(':')
			text.WriteString(strconv.FormatInt(n, 36))
		}
	}
	return text.String()
}

// ParseSlots reads what FormatSlots wrote.
func ParseSlots(text string) ([]Slot, error) {
	var slots []Slot
	for field := range strings.FieldsSeq(text) {
		parts := strings.Split(field, ":")
		if len(parts) != 5 || parts[0] == "" {
			return nil, fmt.Errorf("slot %d has %d parts, not 5", len(slots), len(parts))
		}
		slot := Slot{ID: parts[0]}
		for i, number := range []*int64{&slot.Seq, &slot.Window, &slot.Leased, &slot.Expiry} {
			n, err := strconv.ParseInt(parts[i+1], 36, 64)
			if err != nil {
				return nil, fmt.Errorf("slot %d: %w", len(slots), err)
			}
			*number = n
		}
		slots = append(slots, slot)
	}
	return slots, nil
}
