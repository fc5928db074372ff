package lease_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// worked is the worked example of docs/counters.md: a row, and the two instances that
// share it.
type worked struct {
	t      *testing.T
	now    time.Time
	row    lease.Row
	a, b   lease.Holder
	limits limit.Limits
	lines  []string
}

// write builds an instance's write, which leaves it a lease of this many tokens.
func (w *worked) write(h *lease.Holder, id string, leased int64) *lease.Write {
	w.t.Helper()
	body, err := h.Commit(h.Draft(w.row, w.limits, w.now), leased, lease.Expiry(2, w.now), func() string { return id })
	if err != nil {
		w.t.Fatal(err)
	}
	return body
}

// land applies a write to the row. The instance doesn't know that yet.
func (w *worked) land(body *lease.Write) { w.row = body.Row }

// take reserves an amount of an instance's lease for a call.
func (w *worked) take(h *lease.Holder, amount int64) lease.Hold {
	w.t.Helper()
	hold, ok := h.Reserve(amount, w.now)
	if !ok {
		w.t.Fatalf("a reservation of %d: got none of the %d leased, want it granted", amount, h.Left(w.now))
	}
	return hold
}

// line records the row and the instances after a step, in the form of the page.
func (w *worked) line(step int) {
	slot := func(id string) string {
		for _, s := range w.row.Slots {
			switch {
			case s.ID != id:
			case s.Gone:
				return fmt.Sprintf("#%d, gone", s.Seq)
			default:
				return fmt.Sprintf("#%d, %d", s.Seq, s.Leased)
			}
		}
		return "–"
	}
	left := w.row.View(&lease.Holder{}, w.limits, w.now)
	w.lines = append(w.lines, fmt.Sprintf("| %d | %d | %d | %s | %s | %d | %d | %d |", step, w.row.Credit, w.row.Spent, slot("A"), slot("B"), left.Left(w.now), w.a.Left(w.now), w.b.Left(w.now)))
}

func TestTheCodeFollowsTheWorkedExampleOfTheDocs(t *testing.T) {
	w := &worked{t: t, now: noon, limits: limit.Limits{PerMinute: 1000, Burst: 500, Version: 1}}
	w.row = lease.New(w.limits, w.now, "epoch")

	w.land(w.write(&w.a, "A", 300))
	w.a.Applied()
	first := w.take(&w.a, 100)
	w.line(1)

	w.land(w.write(&w.b, "B", 450))
	w.b.Applied()
	w.take(&w.b, 150)
	w.line(2)

	w.a.Settle(first, 60)
	second := w.take(&w.a, 150)
	w.line(3)

	before := w.row
	sent := w.write(&w.a, "A", 200)
	w.land(sent) // and the answer is lost
	w.line(4)

	// Read before the write landed, the row shows another number. Only a changed
	// version shows that the write can never be applied.
	for _, changed := range []bool{false, true} {
		twin, row := w.a.Clone(), before.Clone()
		if known, applied := twin.Resolve(&row, changed, w.now); known != changed || applied {
			t.Errorf("without the number, version changed %t: got known %t, applied %t; want known %t, not applied", changed, known, applied, changed)
		}
	}
	if known, applied := w.a.Resolve(&w.row, true, w.now); !known || !applied {
		t.Errorf("with the write's number: got known %t, applied %t; want both", known, applied)
	}
	w.line(5)

	w.b = lease.Holder{} // killed, with 150 reserved and 300 left of its lease
	w.now = w.now.Add(time.Minute)
	w.land(w.write(&w.a, "A", 200))
	w.a.Applied()
	w.line(6)

	w.a.Settle(second, 50)
	w.land(w.write(&w.a, "A", 200))
	w.a.Applied()
	w.line(7)

	page, err := os.ReadFile("../../docs/counters.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range w.lines {
		if !strings.Contains(string(page), line) {
			t.Errorf("docs/counters.md: got no such line of the table, want\n%s", line)
		}
	}
}
