package gateway

import (
	"testing"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/counter/usage"
	"tollgate/handler/limit"
)

// A closed minute stays in the counter until its row is known to be written, so for a
// moment it is in both, and must count once. A minute in which a counter was deleted
// and made again has two rows, and both count.
func TestAMinuteInCounterAndHistoryCountsOnce(t *testing.T) {
	closed := func(minute, tokens int64) limit.Closed {
		return limit.Closed{Minute: minute, From: minute, Usage: limit.Usage{PromptTokens: tokens}, Requests: 1}
	}
	rows := []usage.Row{{Epoch: "older", Closed: closed(100, 1)}, {Epoch: "now", Closed: closed(100, 2)}, {Epoch: "older", Closed: closed(101, 4)}}
	recent := counter.Recent{Epoch: "now", Minutes: []limit.Closed{closed(50, 64), closed(100, 2), closed(101, 8), closed(102, 16)}}
	var s usageAnswer
	s.setMinutes(rows, recent, 99, 102)
	if len(s.Minutes) != 3 || s.Total.PromptTokens != 1+2+4+8+16 || s.Total.Requests != 5 {
		t.Fatalf("got %+v of %+v, want 31 prompt tokens and 5 requests in 3 minutes", s.Total, s.Minutes)
	}
	for i, want := range []int64{3, 12, 16} {
		if got := s.Minutes[i]; got.TotalTokens != want || !got.Minute.Equal(time.Unix((100+int64(i))*60, 0)) || got.Running != (i == 2) || !got.From.IsZero() {
			t.Errorf("minute %d: got %+v, want %d tokens in this minute alone, running: %t", 100+i, got, want, i == 2)
		}
	}
}

// A cached reading of the history lacks a minute that has left the counter since; the
// answer must not.
func TestAMinuteThatLeftTheCounterIsReadFromTheHistory(t *testing.T) {
	now := time.Now()
	closed := limit.Closed{Minute: limit.Minute(now) - 5, From: limit.Minute(now) - 5}
	store := memstore.NewHistory(nil)
	var h historyCache
	q := usage.Query{Counter: "team-a", From: now.Add(-3 * time.Hour).Truncate(time.Minute)}
	look := func(recent ...limit.Closed) int {
		t.Helper()
		rows, err := h.rows(t.Context(), store, q, counter.Recent{Minutes: recent}, now)
		if err != nil {
			t.Fatal(err)
		}
		return len(rows)
	}
	if n := look(closed); n != 0 {
		t.Fatalf("got %d rows of an empty history, want 0", n)
	}
	if err := store.PutClosed(t.Context(), "team-a", "e", closed); err != nil {
		t.Fatal(err)
	}
	if n := look(closed); n != 0 {
		t.Errorf("got %d rows, want the 0 of the reading in the cache", n)
	}
	if n := look(); n != 1 {
		t.Errorf("got %d rows after the minute left the counter, want 1", n)
	}
	now = now.Add(historyMaxAge)
	if n := look(closed); n != 1 {
		t.Errorf("later: got %d rows, want 1", n)
	}
}

// Each reading may hold a week of minutes, and an old one is never used again.
func TestOldReadingsOfTheHistoryAreDropped(t *testing.T) {
	store := memstore.NewHistory(nil)
	var h historyCache
	for minute := range int64(10) {
		now := limit.MinuteStart(minute)
		if _, err := h.rows(t.Context(), store, usage.Query{Counter: "key", From: now}, counter.Recent{}, now); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.readings) != 1 {
		t.Errorf("got %d answers kept, want the last alone", len(h.readings))
	}
}
