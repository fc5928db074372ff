package housekeeping_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/countertest"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/housekeeping"
	"tollgate/handler/lease"
	"tollgate/handler/ledger"
	ledgermem "tollgate/handler/ledger/memstore"
	"tollgate/handler/limit"
	"tollgate/handler/stored"
	storedmem "tollgate/handler/stored/memstore"
)

// A fixture has the stores that housekeeping tidies, in memory.
type fixture struct {
	*testing.T
	store      *memstore.Store // of counters
	writesFail bool            // of counters
	stored     *storedmem.Store
	storedErr  error // if set, the error of stored
	ledger     *ledgermem.Store
	ledgerErr  error // if set, the error of ledger
	log        bytes.Buffer
}

func newFixture(t *testing.T) *fixture {
	h := &fixture{T: t}
	h.store = memstore.New()
	h.stored = storedmem.New(func(string) (bool, error) { return false, h.storedErr })
	h.ledger = ledgermem.New(func(string) (bool, error) { return h.ledgerErr == nil, h.ledgerErr })
	return h
}

// newCounter returns a new instance that uses the store.
func (h *fixture) newCounter() *counter.Counter {
	network := countertest.NewNetwork(0)
	network.Store = h.store
	link := network.Link()
	link.Fate = func(op countertest.Operation) countertest.Fate {
		if op.Swap && h.writesFail {
			return countertest.Busy
		}
		return countertest.Fine
	}
	return counter.New(counter.Config{Store: link, Log: slog.New(slog.DiscardHandler)})
}

func (h *fixture) config() housekeeping.Config {
	return housekeeping.Config{Counters: h.store, Counter: h.newCounter(), Ledger: h.ledger, Retention: 90 * 24 * time.Hour, Stored: h.stored, Log: slog.New(slog.NewTextHandler(&h.log, nil))}
}

// newHousekeeper returns a housekeeper as in a new process.
func (h *fixture) newHousekeeper() *housekeeping.Housekeeper { return housekeeping.New(h.config()) }

// expectReport runs a new housekeeper, and fails the test unless it reports this.
func (h *fixture) expectReport(want housekeeping.Report) {
	h.Helper()
	if got, err := h.newHousekeeper().Run(h.Context()); got != want || err != nil {
		h.Errorf("Run: got %+v, %v; want %+v", got, err, want)
	}
}

// spend has a call of an instance use tokens.
func (h *fixture) spend(c *counter.Counter, key string, terms counter.Terms, tokens int64) {
	h.Helper()
	h.reserve(c, key, terms, tokens).Settle([]int64{tokens})
}

// reserve makes a call of one counter.
func (h *fixture) reserve(c *counter.Counter, key string, terms counter.Terms, tokens int64) counter.Reservations {
	h.Helper()
	r, d, err := c.Reserve(h.Context(), []counter.Part{{Key: key, Terms: terms, Ask: limit.Ask{Amount: tokens}}})
	if err != nil || r == nil {
		h.Fatalf("a call of %s: got %+v, %v; want it granted", key, d, err)
	}
	return r
}

var minute = counter.Terms{Limits: limit.Limits{PerMinute: 300, Version: 1}}

// add stores a counter with the slot of an instance that has leased tokens and died.
func (h *fixture) add(key string, limits limit.Limits, leased int64) {
	h.Helper()
	state := lease.New(limits, time.Now(), "epoch")
	state.SetSlots(lease.Slots{{ID: "12345678", Seq: 1, Window: state.Window, Leased: leased, Expiry: time.Now().Add(5 * time.Second).Unix()}})
	if _, _, err := h.store.Swap(h.Context(), key, state, ""); err != nil {
		h.Fatal(err)
	}
}

func TestAnIdleCounterIsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t)
		c := h.newCounter()
		h.spend(c, "team-a", minute, 25)
		time.Sleep(90 * time.Second) // until the instance has reported and is idle
		h.expectReport(housekeeping.Report{Counters: 1, Reclaimed: 1})
		h.expectReport(housekeeping.Report{Counters: 1}) // kept, because a late write may still arrive
		time.Sleep(2 * time.Hour)
		h.expectReport(housekeeping.Report{Counters: 1, Reclaimed: 1, CountersDeleted: 1})
		h.expectReport(housekeeping.Report{})
		h.spend(c, "team-a", minute, 300) // a new counter with all its tokens
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestADeadInstancesLeaseIsForfeited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t)
		h.add("team-a", limit.Limits{Quota: 1000, Period: limit.Yearly, Version: 1}, 70)
		time.Sleep(time.Minute)
		h.expectReport(housekeeping.Report{Counters: 1, Reclaimed: 1})
		state, _, _, err := h.store.Load(t.Context(), "team-a")
		if err != nil || state.PeriodSpent != 70 || len(state.Slots) != 1 || !state.Slots[0].Gone || state.Slots[0].Leased != 0 {
			t.Errorf("got %d spent, slots %+v, %v; want the 70 leased tokens spent and a tombstone", state.PeriodSpent, state.Slots, err)
		}
	})
}

// Its slot is still there.
func TestACounterWhoseInstanceDiedIdleIsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t)
		h.add("team-a", minute.Limits, 0)
		time.Sleep(time.Hour)
		h.expectReport(housekeeping.Report{Counters: 1, Reclaimed: 1})
		h.expectReport(housekeeping.Report{Counters: 1}) // kept, because a late write may still arrive
		time.Sleep(time.Hour + time.Second)
		h.expectReport(housekeeping.Report{Counters: 1, Reclaimed: 1, CountersDeleted: 1})
	})
}

func TestCountersWithAQuotaOrDebtAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t)
		quota := counter.Terms{Limits: limit.Limits{Quota: 1000, Period: limit.Yearly, Version: 1}}
		c := h.newCounter()
		h.spend(c, "quota", quota, 25)
		h.reserve(c, "debt", minute, 25).Settle([]int64{300 * 600}) // ten hours' worth
		time.Sleep(30 * time.Second)                                // until the instance has reported and is idle
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		h.expectReport(housekeeping.Report{Counters: 2, Reclaimed: 2}) // the slots become tombstones
		time.Sleep(3 * time.Hour)
		h.expectReport(housekeeping.Report{Counters: 2, Reclaimed: 2}) // and the tombstones are dropped
		time.Sleep(5 * time.Hour)
		h.expectReport(housekeeping.Report{Counters: 2, CountersDeleted: 1}) // its debt is paid
	})
}

// record writes to the ledger what a process counts of team-a in a minute and its day.
func (h *fixture) record(process string, at time.Time, calls int64) {
	h.Helper()
	minute := ledger.Row{Key: ledger.Key{Subscription: "team-a", Span: ledger.Minute, Start: at.Unix() / 60}, Process: process, Revision: 1, Totals: ledger.Totals{Calls: calls}}
	day := minute
	day.Span, day.Start = ledger.Day, ledger.Day.Floor(at).Unix()/60
	for _, row := range []ledger.Row{minute, day} {
		if _, err := h.ledger.Apply(h.Context(), []ledger.Change{{Row: row}}); err != nil {
			h.Fatal(err)
		}
	}
}

// Two processes' rows of a minute become one, which becomes part of an hour a week later. Their
// rows of the day become one when the day is over.
func TestUsageIsRolledUpAndDaysAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t)
		began := time.Now()
		h.record("P1", began, 3)
		h.record("P2", began, 4)
		h.expectReport(housekeeping.Report{Subscriptions: 1})
		time.Sleep(62 * time.Minute)
		h.expectReport(housekeeping.Report{Subscriptions: 1, RowsRolledUp: 2})
		h.expectReport(housekeeping.Report{Subscriptions: 1})
		time.Sleep(24 * time.Hour)
		h.expectReport(housekeeping.Report{Subscriptions: 1, RowsRolledUp: 2, DaysClosed: 1})
		h.expectReport(housekeeping.Report{Subscriptions: 1})
		time.Sleep(8 * 24 * time.Hour)
		h.expectReport(housekeeping.Report{Subscriptions: 1, RowsRolledUp: 1})
		series, err := ledger.Reader{Store: h.ledger}.Subscription(t.Context(), "team-a", began, time.Now(), ledger.Hour)
		if err != nil || len(series.Items) != 1 || series.Items[0].Calls != 7 {
			t.Errorf("the hours: got %+v, %v; want one with 7 calls", series.Items, err)
		}
		time.Sleep(60 * 24 * time.Hour)
		h.expectReport(housekeeping.Report{Subscriptions: 1, RowsDeleted: 1})
		h.expectReport(housekeeping.Report{})
	})
}

// Either the whole ledger is down, or the rows of one subscription can't be written.
func TestHousekeepingFailsIfUsageCantBeRolledUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t)
		h.ledgerErr = errors.New("the ledger is down")
		if got, err := h.newHousekeeper().Run(t.Context()); err == nil || !strings.Contains(h.log.String(), "the ledger is down") {
			t.Errorf("Run: got %+v, %v, log %s; want an error, and its cause in the log", got, err, h.log.String())
		}
		h.ledgerErr = nil
		h.record("P1", time.Now(), 3)
		time.Sleep(62 * time.Minute)
		keeper := h.config()
		keeper.Ledger = unwritable{h.ledger}
		got, err := housekeeping.New(keeper).Run(t.Context())
		if err == nil || got.Failed != 1 || !strings.Contains(h.log.String(), "team-a") {
			t.Errorf("Run: got %+v, %v, log %s; want one failure that names team-a", got, err, h.log.String())
		}
		h.expectReport(housekeeping.Report{Subscriptions: 1, RowsRolledUp: 1})
	})
}

// unwritable is a ledger that can only be read.
type unwritable struct{ *ledgermem.Store }

// Apply implements ledger.Store.
func (unwritable) Apply(context.Context, []ledger.Change) ([]ledger.Version, error) {
	return nil, errors.New("read-only")
}

func TestOwnersOfResponsesThatAreNoLongerKeptAreDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t)
		for i, ago := range []time.Duration{0, stored.Retention - time.Hour, stored.Retention + time.Hour, 400 * 24 * time.Hour} {
			if err := h.stored.Put(t.Context(), stored.Response{ID: fmt.Sprint("resp_", i), Subscription: "acme", Created: time.Now().Add(-ago)}); err != nil {
				t.Fatal(err)
			}
		}
		h.expectReport(housekeeping.Report{OwnersDeleted: 2})
		if _, err := h.stored.Get(t.Context(), "resp_1", time.Now()); err != nil {
			t.Errorf("a response that is still kept: got error %v, want none", err)
		}
		h.storedErr = errors.New("the table is gone")
		if _, err := h.newHousekeeper().Run(t.Context()); !errors.Is(err, h.storedErr) || !strings.Contains(h.log.String(), "the table is gone") {
			t.Errorf("Run: got %v, log %s; want the cause in both", err, h.log.String())
		}
	})
}

// slowListStore is a store whose list comes only when the run is out of time.
type slowListStore struct{ *memstore.Store }

func (e slowListStore) List(ctx context.Context) iter.Seq2[counter.Entry, error] {
	return func(yield func(counter.Entry, error) bool) {
		for stored := range e.Store.List(ctx) {
			<-ctx.Done() // the page has been read by then
			if !yield(stored, nil) {
				return
			}
		}
	}
}

func (e slowListStore) Load(ctx context.Context, key string) (lease.Row, counter.Version, time.Time, error) {
	if ctx.Err() != nil {
		return lease.Row{}, "", time.Time{}, ctx.Err()
	}
	return e.Store.Load(ctx, key)
}

// Counters that it didn't reach don't count as failed, and owners of expired responses are
// still deleted.
func TestARunThatRunsOutOfTimeStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t)
		c := h.newCounter()
		for i := range 20 {
			h.spend(c, strconv.Itoa(i), minute, 25)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := h.stored.Put(t.Context(), stored.Response{ID: "resp_1", Subscription: "acme", Created: time.Now().Add(-400 * 24 * time.Hour)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		config := h.config()
		config.Counters = slowListStore{h.store}
		config.Counter = counter.New(counter.Config{Store: slowListStore{h.store}, Log: slog.New(slog.DiscardHandler)})
		got, err := housekeeping.New(config).Run(t.Context())
		if want := (housekeeping.Report{OwnersDeleted: 1}); got != want || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run: got %+v, %v; want %+v and DeadlineExceeded", got, err, want)
		}
		if lines := strings.Count(h.log.String(), "\n"); lines != 1 {
			t.Errorf("log: got %d lines, want 1: %s", lines, h.log.String())
		}
	})
}

// Callers that come back hours later still have it.
func TestACounterWithUnusedBurstIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t)
		burst := counter.Terms{Limits: limit.Limits{PerMinute: 300, Burst: 600, Version: 1}}
		c := h.newCounter()
		h.spend(c, "team-a", burst, 25)
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(2 * time.Hour)
			if _, err := h.newHousekeeper().Run(t.Context()); err != nil {
				t.Error(err)
			}
		}
		h.spend(h.newCounter(), "team-a", burst, 900)
	})
}

func TestTheNextRunRetriesWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t)
		h.add("team-a", minute.Limits, 25)
		time.Sleep(time.Minute)
		h.writesFail = true
		if got, err := h.newHousekeeper().Run(t.Context()); got.Failed != 1 || err == nil || !strings.Contains(h.log.String(), "team-a") {
			t.Errorf("Run: got %+v, %v, log %s; want a failure that names team-a", got, err, h.log.String())
		}
		h.writesFail = false
		h.expectReport(housekeeping.Report{Counters: 1, Reclaimed: 1})
	})
}

// envelope is the body that the Functions host POSTs when a timer fires.
const envelope = `{"Data":{"timer":{"ScheduleStatus":null,"IsPastDue":false}},"Metadata":{"sys":{"MethodName":"housekeeping"}}}`

func TestOnlyTheHostsOwnRequestStartsARun(t *testing.T) {
	h := newFixture(t)
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	for name, test := range map[string]struct {
		method, path string
		proxied      bool
		broken       error
		status       int
	}{
		"the host":           {"POST", "/housekeeping", false, nil, 200},
		"through its proxy":  {"POST", "/housekeeping", true, nil, 404},
		"another method":     {"GET", "/housekeeping", false, nil, 404},
		"another path":       {"POST", "/housekeeping/", false, nil, 404},
		"the ledger is down": {"POST", "/housekeeping", false, errors.New("secret down"), 500},
	} {
		h.ledgerErr = test.broken
		r := httptest.NewRequestWithContext(context.Background(), test.method, test.path, strings.NewReader(envelope))
		if test.proxied {
			r.Header.Set("X-Forwarded-Host", "tollgate.example")
		}
		w := httptest.NewRecorder()
		h.newHousekeeper().Middleware(next).ServeHTTP(w, r)
		if w.Code != test.status {
			t.Errorf("%s: got %d, want %d", name, w.Code, test.status)
		}
		if w.Code == http.StatusNotFound {
			continue
		}
		var object map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &object); err != nil || w.Header().Get("Content-Type") != "application/json" || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: got answer %q, %v; want a JSON object without the cause", name, w.Body, err)
		}
	}
}
