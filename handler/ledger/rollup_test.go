package ledger_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tollgate/handler/ledger"
	"tollgate/handler/ledger/ledgertest"
	"tollgate/handler/ledger/memstore"
)

var team = ledger.SubscriptionPartition("team-a")

// stages are the ranges of a partition's row keys, in the order in which Join requires them to
// be read.
var stages = [][2]string{
	{ledger.FirstKey(ledger.Minute, time.Time{}), ledger.FirstSumKey(time.Time{})},
	{ledger.FirstSumKey(time.Time{}), ""},
	{ledger.FirstKey(ledger.Hour, time.Time{}), ledger.FirstKey(ledger.Minute, time.Time{})},
}

// A reading reads a partition stage by stage, while others write to it.
type reading struct {
	rows  []ledger.Row
	stage int
}

// next reads the next stage, and reports whether it was the last.
func (r *reading) next(t *testing.T, s ledger.Store) (done bool) {
	t.Helper()
	for row, err := range s.Rows(t.Context(), team, stages[r.stage][0], stages[r.stage][1]) {
		if err != nil {
			t.Fatal(err)
		}
		r.rows = append(r.rows, row)
	}
	r.stage++
	return r.stage == len(stages)
}

func readAll(t *testing.T, s ledger.Store) []ledger.Row {
	t.Helper()
	var r reading
	for !r.next(t, s) {
	}
	return r.rows
}

// A callsByHour counts calls by hour, subscription and model, which roll-up must not change.
type callsByHour map[ledger.Key]int64

func countCalls(all []ledger.Usage) callsByHour {
	b := make(callsByHour)
	for _, u := range all {
		u.Key.Start -= u.Key.Start % 60
		u.Key.Span = ledger.Hour
		b[u.Key] += u.Calls
	}
	return b
}

// A writer is a row as its process knows it.
type writer struct {
	ledger.Row
	landed ledger.Taken // the content of the highest revision that was ever stored
}

// A housekeeper either reads stages, or has transactions left to apply.
type housekeeper struct {
	reading
	plan [][]ledger.Change
}

// A world is a partition that processes write to while housekeepers roll it up.
type world struct {
	*testing.T
	dice    *rand.Rand
	store   *memstore.Store
	began   time.Time
	writers map[string]*writer
	keepers [2]housekeeper
	late    []func() // delayed writes, whose senders no longer wait for an answer
	reader  *reading
	at      callsByHour // what was stored when the reader began
}

// apply applies changes, at once or later, and calls landed when they are applied. It returns
// an error unless the sender gets the answer.
func (w *world) apply(changes []ledger.Change, landed func()) ([]ledger.Version, error) {
	land := func() ([]ledger.Version, error) {
		versions, err := w.store.Apply(w.Context(), changes)
		if err == nil {
			landed()
		}
		return versions, err
	}
	lost := errors.New("no answer")
	switch w.dice.IntN(6) {
	case 0:
		w.late = append(w.late, func() { _, _ = land() })
		return nil, lost
	case 1:
		_, _ = land()
		return nil, lost
	case 2: // both: the sender's connection repeats the request
		w.late = append(w.late, func() { _, _ = land() })
	}
	return land()
}

// callCost is what every call costs, in billionths.
const callCost = 7

// write counts a call in a process's row and writes it. It is as careless as the store's rules
// allow.
func (w *world) write() {
	process, minute, model := fmt.Sprintf("P%d", w.dice.IntN(3)), int64(w.dice.IntN(3)), fmt.Sprintf("m%d", w.dice.IntN(2))
	name := fmt.Sprint(process, minute, model)
	row := w.writers[name]
	if row == nil {
		row = &writer{Row: ledgertest.Row(minute*29, process)}
		row.Start, row.Model, row.Revision, row.Totals = w.began.Unix()/60+minute*29, model, 0, ledger.Totals{}
		w.writers[name] = row
	}
	row.Revision++
	row.Calls++
	row.Cost += callCost
	sent := row.Row
	versions, err := w.apply([]ledger.Change{{Row: sent}}, func() {
		if sent.Revision > row.landed.Revision {
			row.landed = ledger.Taken{Revision: sent.Revision, Totals: sent.Totals}
		}
	})
	if err == nil {
		row.Version = versions[0]
		return
	}
	row.Version = "" // read what is stored
	for stored := range w.store.Rows(w.Context(), team, row.RowKey(), row.RowKey()+"!") {
		row.Version = stored.Version
	}
}

// keep does a housekeeper's next step, or kills it.
func (w *world) keep() {
	k := &w.keepers[w.dice.IntN(len(w.keepers))]
	switch {
	case w.dice.IntN(10) == 0:
		*k = housekeeper{}
	case len(k.plan) > 0:
		_, _ = w.apply(k.plan[0], func() {})
		k.plan = k.plan[1:]
	case k.next(w.T, w.store):
		*k = housekeeper{plan: ledger.RollUp(k.rows, time.Now(), time.Time{})}
	}
}

// read does the next step of a slow reader, which must see at least what was stored when it
// began, and no more than is stored when it ends.
func (w *world) read() {
	if w.reader == nil {
		w.reader, w.at = &reading{}, w.stored()
	}
	if !w.reader.next(w.T, w.store) {
		return
	}
	seen, now := countCalls(ledger.Join(w.reader.rows)), w.stored()
	for key := range now {
		if seen[key] < w.at[key] || seen[key] > now[key] {
			w.Fatalf("a slow reader: got %d calls in %s of %s; want %d to %d", seen[key], key.Time(), key.Model, w.at[key], now[key])
		}
	}
	w.reader = nil
}

// stored returns the calls that processes have stored.
func (w *world) stored() callsByHour {
	b := make(callsByHour)
	for _, row := range w.writers {
		key := row.Key
		key.Start -= key.Start % 60
		key.Span = ledger.Hour
		if row.landed.Calls > 0 {
			b[key] += row.landed.Calls
		}
	}
	return b
}

// check compares the ledger with what processes have stored.
func (w *world) check(after string) {
	w.Helper()
	rows := readAll(w.T, w.store)
	for _, u := range ledger.Join(rows) {
		if want := u.Calls * callCost; u.Cost != want {
			w.Fatalf("after %s, the cost of %d calls: got %d, want %d", after, u.Calls, u.Cost, want)
		}
	}
	if diff := cmp.Diff(w.stored(), countCalls(ledger.Join(rows))); diff != "" {
		w.Fatalf("after %s, calls by hour (-stored +read):\n%s\nrows: %+v", after, diff, rows)
	}
}

// step does one thing that may happen in the week after the first roll-up, while rows may
// still arrive.
func (w *world) step() {
	switch n := w.dice.IntN(20); {
	case n < 6:
		w.write()
		w.check("a write")
	case n < 14:
		w.keep()
		w.check("a step of housekeeping")
	case n < 16:
		w.read()
	case n < 18 && len(w.late) > 0:
		i := w.dice.IntN(len(w.late))
		w.late[i]()
		w.late = slices.Delete(w.late, i, i+1)
		w.check("a late write")
	default:
		ages := []time.Duration{time.Minute, 50 * time.Minute, time.Hour, 30 * time.Hour}
		time.Sleep(ages[w.dice.IntN(len(ages))])
	}
}

// finish rolls up the rest, a week and more later.
func (w *world) finish() {
	for range 12 {
		for range 24 {
			w.keep()
			w.read()
		}
		w.check("housekeeping after the week")
		time.Sleep(ledger.KeepMinutes)
	}
	for _, row := range readAll(w.T, w.store) {
		if row.Span != ledger.Hour {
			w.Errorf("after months: got the row %s, want only hours", row.RowKey())
		}
	}
}

// Two housekeepers run at once. Each may stop between any two transactions, go on with rows
// that it read long ago, or send a transaction that is applied late or twice. The writes of
// processes are lost, late or repeated, and processes insert rows again that are gone. Readers
// must always see exactly what processes have stored.
func TestRollUpChangesNoSumWhateverFails(t *testing.T) {
	seeds := uint64(120)
	if testing.Short() {
		seeds = 100
	}
	for seed := range seeds {
		failed := !t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{T: t, dice: rand.New(rand.NewPCG(seed, 1)), store: memstore.New(nil), began: time.Now().UTC().Truncate(time.Hour), writers: make(map[string]*writer)}
				if w.write(); w.dice.IntN(2) == 0 {
					time.Sleep(10 * 24 * time.Hour) // nobody calls, so that nothing runs
				}
				for week := time.Now().Add(ledger.KeepMinutes - 31*time.Hour); time.Now().Before(week); {
					w.step()
				}
				w.late = nil
				w.finish()
			})
		})
		if failed {
			break
		}
	}
}
