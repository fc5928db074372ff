package tablestore

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
	"unicode/utf16"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// maxColumn is the size in bytes that Table Storage accepts in a column, at two
// bytes a character of text. A whole counter must be smaller.
const maxColumn = 64 << 10

// TestAFullCounterStaysBelow64KiB with as many slots and tombstones as it can
// hold, and every number as long as it can be.
func TestAFullCounterStaysBelow64KiB(t *testing.T) {
	now := time.Date(2035, 12, 31, 23, 59, 30, 0, time.UTC)
	const many = 999_999_999 // tokens a minute
	state := lease.New(limit.Limits{PerMinute: many, Burst: many, Quota: 1 << 50, Period: limit.Monthly, Version: 1 << 50}, now, "0123456789A")
	for i := range int64(8) {
		state.Opened = append(state.Opened, limit.Span{From: state.Window - 1<<30, To: state.Window - i})
		state.Given = append(state.Given, limit.Span{From: state.Window + i, To: state.Window + 1<<30})
	}
	for range 4 {
		state.Periods = append(state.Periods, lease.PeriodCharge{Start: now, Amount: 1 << 50})
	}
	state.Rev, state.PeriodSpent, state.Spent = 1<<50, 1<<50, many
	for i := range 1000 {
		slot := lease.Slot{ID: fmt.Sprintf("%08d", i), Seq: 400_000, Window: state.Window - 2, Leased: many, Expiry: now.Unix() + 321}
		if i%5 == 0 { // a fifth are tombstones
			slot = lease.Slot{ID: slot.ID, Seq: slot.Seq, Expiry: now.Unix() + 3600, Gone: true}
		}
		state.Slots = append(state.Slots, slot)
	}
	row, err := encode("team-a", state)
	if err != nil {
		t.Fatal(err)
	}
	var columns map[string]any
	if err := json.Unmarshal(row, &columns); err != nil {
		t.Fatal(err)
	}
	all := 0
	for name, value := range columns {
		size := 2 * len(utf16.Encode([]rune(fmt.Sprint(value))))
		if size >= maxColumn {
			t.Errorf("column %s: got %d bytes, want less than 64 KiB", name, size)
		}
		all += 2*len(name) + size
	}
	t.Logf("%d bytes stored, %d sent", all, len(row))
	if all >= maxColumn {
		t.Errorf("the whole row: got %d bytes, want less than 64 KiB", all)
	}
	if again, err := decode(row); err != nil || len(again.Slots) != 1000 || again.Slots[999] != state.Slots[999] {
		t.Errorf("read again: got %d slots; %v; want 1000, the last slot unchanged", len(again.Slots), err)
	}
}
