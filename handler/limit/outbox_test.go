package limit_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"tollgate/handler/limit"
)

func TestAFullOutboxLosesNothing(t *testing.T) {
	s := limit.New(day, noon, "epoch")
	const minutes = 100
	for m := range int64(minutes) {
		s.Happened.PromptTokens += 7
		s.Happened.Requests++
		s.Advance(day, noon.Add(time.Duration(m+1)*time.Minute))
	}
	if len(s.Outbox) != 60 || s.UsageFrom != limit.Minute(noon)+60 || s.Happened.PromptTokens != 40*7 {
		t.Fatalf("got %d minutes closed, the rest since minute %d: %+v; want 60, minute 60 and 280 prompt tokens", len(s.Outbox), s.UsageFrom-limit.Minute(noon), s.Happened)
	}
	var h limit.Holder
	draft := h.Draft(s, day, noon.Add(minutes*time.Minute))
	draft.DropFiled(func(int64) bool { return true })
	s = draft.State
	s.Advance(day, noon.Add((minutes+1)*time.Minute))
	if len(s.Outbox) != 1 {
		t.Fatalf("closed: got %+v, want one row", s.Outbox)
	}
	row := s.Outbox[0]
	if row.From != limit.Minute(noon)+60 || row.Minute != limit.Minute(noon)+minutes || row.PromptTokens != 40*7 || row.Requests != 40 {
		t.Errorf("closed: got %+v, want one row of minutes 60 to 100 with 280 prompt tokens of 40 requests", row)
	}
}

func TestAnEmptyMinuteMakesNoRow(t *testing.T) {
	s := limit.New(day, noon, "epoch")
	s.Advance(day, noon.Add(time.Minute))
	if len(s.Outbox) != 0 || s.UsageFrom != s.Window {
		t.Errorf("closed: got %+v, usage since minute %d; want none, since the running minute %d", s.Outbox, s.UsageFrom, s.Window)
	}
}

func TestSlotsReadAsTheyWereWritten(t *testing.T) {
	window := limit.Minute(noon)
	slots := []limit.Slot{
		{ID: "AAAAAAAA", Seq: 1, Window: window, Leased: 0, Expiry: noon.Unix()},
		{ID: "-_-_-_-_", Seq: 1 << 40, Window: window - 1, Leased: 1 << 52, Expiry: noon.Unix() - 5},
		{ID: "zzzzzzzz", Seq: 7, Expiry: noon.Add(time.Hour).Unix(), Gone: true},
	}
	text := limit.FormatSlots(slots, window)
	read, err := limit.ParseSlots(text, window)
	if err != nil || !reflect.DeepEqual(read, slots) {
		t.Errorf("the slots %q: got %+v, %v; want %+v", text, read, err, slots)
	}
	if none, err := limit.ParseSlots(limit.FormatSlots(nil, window), window); err != nil || len(none) != 0 {
		t.Errorf("no slots: got %+v, %v; want none, no error", none, err)
	}
	for _, bad := range []string{"a", "a:1", ":1:2:3:4", "a:1:2:3", "a:1:2:3:4:5", "a:!:2:3:4", "a:1:2:3:zzzzzzzzzzzzzzzz"} {
		if _, err := limit.ParseSlots("b:1:2:3:4 "+bad, window); err == nil || !strings.Contains(err.Error(), "slot 1") {
			t.Errorf("%q: got %v, want an error that names slot 1", bad, err)
		}
	}
}

func TestTheOutboxReadsAsItWasWritten(t *testing.T) {
	outbox := []limit.Closed{
		{Minute: limit.Minute(noon), From: limit.Minute(noon)},
		{Minute: limit.Minute(noon) + 9, From: limit.Minute(noon) + 1, Usage: limit.Usage{PromptTokens: 1 << 50, CompletionTokens: 2},
			Requests: 3, Refused: 4, Forfeited: 5, Charged: -6},
	}
	text := limit.FormatOutbox(outbox)
	read, err := limit.ParseOutbox(text)
	if err != nil || !reflect.DeepEqual(read, outbox) {
		t.Errorf("the outbox %q: got %+v, %v; want %+v", text, read, err, outbox)
	}
	for _, bad := range []string{"1", "1:0:0:0:0:0:0", "1:0:0:0:0:0:0:0:0", "1:0:0:x!:0:0:0:0"} {
		if _, err := limit.ParseOutbox(bad); err == nil || !strings.Contains(err.Error(), "closed minute 0") {
			t.Errorf("%q: got %v, want an error that names closed minute 0", bad, err)
		}
	}
}

func TestACounterHoldsAThousandInstances(t *testing.T) {
	s := limit.New(day, noon, "epoch")
	for range 1000 {
		s.Slots = append(s.Slots, limit.Slot{ID: "other", Seq: 1, Expiry: noon.Add(time.Hour).Unix()})
	}
	join := func() error {
		var h limit.Holder
		_, err := h.Commit(h.Draft(s, day, noon), 0, noon, func() string { return "slot" })
		return err
	}
	if err := join(); err != limit.ErrFull {
		t.Errorf("joining 1000 slots in use: got %v, want ErrFull", err)
	}
	s.Slots[500].Gone, s.Slots[500].ID = true, "older"
	s.Slots[501].Gone, s.Slots[501].Expiry = true, noon.Add(2*time.Hour).Unix()
	var h limit.Holder
	body, err := h.Commit(h.Draft(s, day, noon), 0, noon, func() string { return "slot" })
	if err != nil || len(body.State.Slots) != 1000 {
		t.Fatalf("joining with two tombstones: got %d slots, %v; want 1000, no error", len(body.State.Slots), err)
	}
	for _, slot := range body.State.Slots {
		if slot.ID == "older" {
			t.Error("the oldest tombstone: got it kept, want it replaced")
		}
	}
}
