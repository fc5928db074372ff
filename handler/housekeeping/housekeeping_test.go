package housekeeping_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	"tollgate/handler/counter/memstore"
	"tollgate/handler/counter/usage"
	"tollgate/handler/housekeeping"
	"tollgate/handler/limit"
)

// house is a store with its counters and their history.
type house struct {
	*testing.T
	store   *memstore.Store
	history *memstore.History
	broken  error // of the history
	log     bytes.Buffer
}

func newHouse(t *testing.T) *house {
	h := &house{T: t, store: memstore.New(nil)}
	h.history = memstore.NewHistory(func(string) (bool, error) { return false, h.broken })
	return h
}

func (h *house) counter() *counter.Counter {
	return counter.New(counter.Config{Store: h.store, History: h.history, Log: slog.New(slog.DiscardHandler)})
}

// keeper is a housekeeper in a process of its own.
func (h *house) keeper() *housekeeping.Housekeeper {
	return housekeeping.New(housekeeping.Config{Counters: h.store, Counter: h.counter(), History: h.history,
		Retention: 90 * 24 * time.Hour, Log: slog.New(slog.NewTextHandler(&h.log, nil))})
}

func (h *house) run(want housekeeping.Report) {
	h.Helper()
	if got, err := h.keeper().Run(h.Context()); got != want || err != nil {
		h.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func (h *house) rows() (rows []usage.Row) {
	h.Helper()
	for row, err := range h.history.Rows(h.Context(), usage.Query{}) {
		if err != nil {
			h.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

// spend has an instance make a call of a key.
func (h *house) spend(c *counter.Counter, key string, terms counter.Terms, tokens int64) {
	h.Helper()
	r, d, err := c.Reserve(h.Context(), key, terms, limit.Ask{Tokens: tokens})
	if err != nil || d.Verdict != limit.Granted {
		h.Fatalf("%s: %+v, %v", key, d, err)
	}
	r.Settle(limit.Usage{PromptTokens: tokens})
}

var minute = counter.Terms{Limits: limit.Limits{TokensPerMinute: 300, Version: 1}}

func TestAnIdleCountersLastMinuteReachesTheHistoryAndTheCounterGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		c := h.counter()
		began := limit.Minute(time.Now())
		h.spend(c, "team-a", minute, 25)
		time.Sleep(30 * time.Second) // the instance has reported, and gone idle
		h.run(housekeeping.Report{Counters: 1, Flushed: 1})
		if rows := h.rows(); len(rows) != 0 {
			t.Errorf("a running minute was closed: %+v", rows)
		}
		time.Sleep(time.Minute)
		h.run(housekeeping.Report{Counters: 1, Flushed: 1})
		want := limit.Closed{Minute: began, From: began, Usage: limit.Usage{PromptTokens: 25}, Requests: 1, Charged: 25}
		if rows := h.rows(); len(rows) != 1 || rows[0].Counter != "team-a" || rows[0].Closed != want {
			t.Errorf("history %+v, want %+v", rows, want)
		}
		h.run(housekeeping.Report{Counters: 1}) // it may still be asked about a late write
		time.Sleep(2 * time.Hour)
		h.run(housekeeping.Report{Counters: 1, Flushed: 1, CountersDeleted: 1})
		h.run(housekeeping.Report{})
		h.spend(c, "team-a", minute, 300) // and comes back whole
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestADeadInstancesLeaseIsForfeitedByHousekeeping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		state := limit.New(minute.Limits, time.Now(), "epoch")
		state.Slots = []limit.Slot{{ID: "12345678", Seq: 1, Window: state.Window, Leased: 70, Expiry: time.Now().Add(5 * time.Second).Unix()}}
		if _, _, err := h.store.Swap(t.Context(), "team-a", state, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		h.run(housekeeping.Report{Counters: 1, Flushed: 1})
		time.Sleep(time.Minute) // what it forfeited counts in the minute of the flush
		h.run(housekeeping.Report{Counters: 1, Flushed: 1})
		var charged, forfeited int64
		for _, row := range h.rows() {
			charged, forfeited = charged+row.Charged, forfeited+row.Forfeited
		}
		if charged != 70 || forfeited != 70 {
			t.Errorf("charged %d, forfeited %d; want 70 of each: %+v", charged, forfeited, h.rows())
		}
	})
}

// TestACounterWhoseInstanceDiedIdleGoes: its slot, which held nothing, used to
// be taken for dead by every run and by none for good.
func TestACounterWhoseInstanceDiedIdleGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		state := limit.New(minute.Limits, time.Now(), "epoch")
		state.Slots = []limit.Slot{{ID: "12345678", Seq: 1, Window: state.Window, Expiry: time.Now().Add(5 * time.Second).Unix()}}
		if _, _, err := h.store.Swap(t.Context(), "team-a", state, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		h.run(housekeeping.Report{Counters: 1, Flushed: 1})
		h.run(housekeeping.Report{Counters: 1}) // it may still be asked about a late write
		time.Sleep(time.Hour + time.Second)
		h.run(housekeeping.Report{Counters: 1, Flushed: 1, CountersDeleted: 1})
	})
}

func TestCountersThatSaySomethingStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		quota := counter.Terms{Limits: limit.Limits{Quota: 1000, Period: limit.Yearly, Version: 1}}
		c := h.counter()
		h.spend(c, "quota", quota, 25)
		r, _, err := c.Reserve(t.Context(), "debt", minute, limit.Ask{Tokens: 25})
		if err != nil {
			t.Fatal(err)
		}
		r.Settle(limit.Usage{PromptTokens: 300 * 600}) // ten hours' worth
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		h.run(housekeeping.Report{Counters: 2, Flushed: 2})
		time.Sleep(3 * time.Hour)
		h.run(housekeeping.Report{Counters: 2})
		time.Sleep(5 * time.Hour)
		h.run(housekeeping.Report{Counters: 2, CountersDeleted: 1}) // the debt is paid
	})
}

func TestRowsPastRetentionGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		now := limit.Minute(time.Now())
		for _, ago := range []int64{0, 89 * 24 * 60, 91 * 24 * 60, 400 * 24 * 60} {
			if err := h.history.PutClosed(t.Context(), "team-a", "epoch", limit.Closed{Minute: now - ago}); err != nil {
				t.Fatal(err)
			}
		}
		h.run(housekeeping.Report{RowsDeleted: 2})
		if rows := h.rows(); len(rows) != 2 {
			t.Errorf("left: %+v", rows)
		}
	})
}

// endless are counters that a run never comes to the end of.
type endless struct{ *memstore.Store }

func (e endless) List(ctx context.Context) iter.Seq2[counter.Entry, error] {
	return func(yield func(counter.Entry, error) bool) {
		for stored := range e.Store.List(ctx) {
			<-ctx.Done() // the page was read before
			if !yield(stored, nil) {
				return
			}
		}
	}
}

func (e endless) Load(ctx context.Context, key string) (limit.State, counter.Version, time.Time, error) {
	if ctx.Err() != nil {
		return limit.State{}, "", time.Time{}, ctx.Err()
	}
	return e.Store.Load(ctx, key)
}

// hurried is a history that does nothing out of time.
type hurried struct{ *memstore.History }

func (h hurried) DeleteBefore(ctx context.Context, minute time.Time) (int, error) {
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	return h.History.DeleteBefore(ctx, minute)
}

// TestARunThatIsOutOfTimeStops: what it had not come to used to count as failed, a
// line in the log for each, and no row of the history was deleted, ever.
func TestARunThatIsOutOfTimeStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		c := h.counter()
		for i := range 20 {
			h.spend(c, strconv.Itoa(i), minute, 25)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		old := limit.Closed{Minute: limit.Minute(time.Now().Add(-91 * 24 * time.Hour))}
		if err := h.history.PutClosed(t.Context(), "team-a", "epoch", old); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		keeper := h.keeper()
		keeper.Counters, keeper.History = endless{h.store}, hurried{h.history}
		keeper.Counter = counter.New(counter.Config{Store: endless{h.store}, History: h.history, Log: slog.New(slog.DiscardHandler)})
		got, err := keeper.Run(t.Context())
		if want := (housekeeping.Report{RowsDeleted: 1}); got != want || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
		if lines := strings.Count(h.log.String(), "\n"); lines != 1 {
			t.Errorf("%d lines: %s", lines, h.log.String())
		}
	})
}

// TestWhatIsCarriedOverStays: a caller that came back after hours used to find no
// more than a minute's tokens, for the counter had been deleted.
func TestWhatIsCarriedOverStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		burst := counter.Terms{Limits: limit.Limits{TokensPerMinute: 300, Burst: 600, Version: 1}}
		c := h.counter()
		h.spend(c, "team-a", burst, 25)
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(2 * time.Hour)
			if _, err := h.keeper().Run(t.Context()); err != nil {
				t.Error(err)
			}
		}
		h.spend(h.counter(), "team-a", burst, 900)
	})
}

func TestWhatFailsIsLeftForTheNextRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		c := h.counter()
		h.broken = errors.New("down")
		h.spend(c, "team-a", minute, 25)
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got, err := h.keeper().Run(t.Context()); got.Failed != 1 || err == nil || !strings.Contains(h.log.String(), "team-a") {
			t.Errorf("%+v, %v: %s", got, err, h.log.String())
		}
		h.broken = nil
		h.run(housekeeping.Report{Counters: 1, Flushed: 1})
		if rows := h.rows(); len(rows) != 1 || rows[0].PromptTokens != 25 {
			t.Errorf("history %+v", rows)
		}
	})
}

// envelope is what the Functions host says of a timer that fired.
const envelope = `{"Data":{"timer":{"ScheduleStatus":null,"IsPastDue":false}},"Metadata":{"sys":{"MethodName":"housekeeping"}}}`

func TestOnlyTheHostStartsARun(t *testing.T) {
	h := newHouse(t)
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	for name, test := range map[string]struct {
		method, path string
		proxied      bool
		broken       error
		status       int
	}{
		"the host":               {"POST", "/housekeeping", false, nil, 200},
		"through its proxy":      {"POST", "/housekeeping", true, nil, 404},
		"another method":         {"GET", "/housekeeping", false, nil, 404},
		"another path":           {"POST", "/housekeeping/", false, nil, 404},
		"the history is missing": {"POST", "/housekeeping", false, errors.New("secret down"), 500},
	} {
		h.broken = test.broken
		r := httptest.NewRequestWithContext(context.Background(), test.method, test.path, strings.NewReader(envelope))
		if test.proxied {
			r.Header.Set("X-Forwarded-Host", "tollgate.example")
		}
		w := httptest.NewRecorder()
		h.keeper().Before(next).ServeHTTP(w, r)
		if w.Code != test.status {
			t.Errorf("%s: %d, want %d", name, w.Code, test.status)
		}
		if w.Code == http.StatusNotFound {
			continue
		}
		var object map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &object); err != nil || w.Header().Get("Content-Type") != "application/json" || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: the host can't read %q: %v", name, w.Body, err)
		}
	}
}
