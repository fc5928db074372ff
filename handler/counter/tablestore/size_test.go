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

// maxColumn is the size in bytes from which Table Storage refuses a column. Text counts two
// bytes a character. Here it bounds the whole row.
const maxColumn = 64 << 10

// The row has as many slots and tombstones as it can hold, and long numbers.
func TestAFullCounterStaysBelow64KiB(t *testing.T) {
	now := time.Date(2035, 12, 31, 23, 59, 30, 0, time.UTC)
	const many = 999_999_999 // tokens a minute
	stored := lease.New(limit.Limits{PerMinute: many, Burst: many, Quota: 1 << 50, Period: limit.Monthly, Version: 1 << 50}, now, "0123456789A")
	for i := range int64(8) {
		stored.Opened = append(stored.Opened, limit.Span{From: stored.Window - 1<<30, To: stored.Window - i})
		stored.Given = append(stored.Given, limit.Span{From: stored.Window + i, To: stored.Window + 1<<30})
	}
	for range 4 {
		stored.Periods = append(stored.Periods, lease.PeriodCharge{Start: now, Amount: 1 << 50})
	}
	stored.Rev, stored.PeriodSpent, stored.Spent = 1<<50, 1<<50, many
	for i := range 1000 {
		slot := lease.Slot{ID: fmt.Sprintf("%08d", i), Seq: 400_000, Window: stored.Window - 2, Leased: many, Expiry: now.Unix() + 321}
		if i%5 == 0 { // a fifth are tombstones
			slot = lease.Slot{ID: slot.ID, Seq: slot.Seq, Expiry: now.Unix() + 3600, Gone: true}
		}
		stored.Slots = append(stored.Slots, slot)
	}
	row, err := encode("team-a", stored)
	if err != nil {
		t.Fatal(err)
	}
	var columns map[string]any
	if err := json.Unmarshal(row, &columns); err != nil {
		t.Fatal(err)
	}
	whole := 0
	for name, value := range columns {
		size := 2 * len(utf16.Encode([]rune(fmt.Sprint(value))))
		if size >= maxColumn {
			t.Errorf("column %s: got %d bytes, want less than 64 KiB", name, size)
		}
		whole += 2*len(name) + size
	}
	t.Logf("%d bytes stored, %d sent", whole, len(row))
	if whole >= maxColumn {
		t.Errorf("whole row: got %d bytes, want less than 64 KiB", whole)
	}
	if again, err := decode(row); err != nil || len(again.Slots) != 1000 || again.Slots[999] != stored.Slots[999] {
		t.Errorf("decoded again: got %d slots, %v; want 1000, the last one unchanged", len(again.Slots), err)
	}
}
