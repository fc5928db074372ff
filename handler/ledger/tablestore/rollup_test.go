package tablestore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"tollgate/handler/azure/azuretest"
	"tollgate/handler/ledger"
	"tollgate/handler/ledger/tablestore"
	"tollgate/handler/local/azurite"
)

// A lossy store loses some answers, and applies some requests late or twice.
type lossy struct {
	ledger.Store
	mu      sync.Mutex
	delayed []func()       // requests to make later
	late    sync.WaitGroup // delayed requests in progress
}

var errLost = errors.New("no answer")

// Apply implements ledger.Store.
func (l *lossy) Apply(ctx context.Context, changes []ledger.Change) ([]ledger.Version, error) {
	l.makeDelayed(func() bool { return mathrand.IntN(delay) == 0 })
	later := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.delayed = append(l.delayed, func() { _, _ = l.Store.Apply(context.WithoutCancel(ctx), changes) })
	}
	switch mathrand.IntN(8) {
	case 0:
		later()
		return nil, errLost
	case 1:
		_, _ = l.Store.Apply(ctx, changes)
		return nil, errLost
	case 2:
		later()
	}
	return l.Store.Apply(ctx, changes)
}

// delay is the number of requests after which a delayed one is made, on average.
const delay = 40

// makeDelayed starts those delayed requests for which now returns true.
func (l *lossy) makeDelayed(now func() bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delayed = slices.DeleteFunc(l.delayed, func(request func()) bool {
		made := now()
		if made {
			l.late.Go(request)
		}
		return made
	})
}

// An observer records what processes have sent and what is known to be stored.
type observer struct {
	mu           sync.Mutex
	sent, stored map[string]ledger.Taken // by row key
}

func (l *observer) note(in map[string]ledger.Taken, row ledger.Row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if row.Revision > in[row.RowKey()].Revision {
		in[row.RowKey()] = ledger.Taken{Revision: row.Revision, Totals: row.Totals}
	}
}

func (l *observer) calls(in map[string]ledger.Taken) (calls int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, taken := range in {
		calls += taken.Calls
	}
	return calls
}

// write counts calls in minutes of yesterday, as a process does, and writes their rows. It
// ignores failures, but reads a row again after one.
func (l *observer) write(ctx context.Context, s ledger.Store, process string, yesterday time.Time) {
	rows := make(map[int]ledger.Row)
	for range 60 {
		nth := mathrand.IntN(12)
		row, there := rows[nth]
		if !there {
			row = ledger.Row{Key: ledger.Key{Subscription: "team-a", Model: fmt.Sprintf("m%d", nth%2), Span: ledger.Minute, Start: yesterday.Unix()/60 + int64(600+nth/2)}, Process: process}
		}
		row.Revision++
		row.Calls++
		l.note(l.sent, row)
		versions, err := s.Apply(ctx, []ledger.Change{{Row: row}})
		if err == nil {
			l.note(l.stored, row)
			row.Version = versions[0]
		} else { // read what is stored
			row.Version = ""
			for stored := range s.Rows(ctx, row.Partition(), row.RowKey(), row.RowKey()+"!") {
				row.Version = stored.Version
				l.note(l.stored, stored)
			}
		}
		rows[nth] = row
	}
}

// Processes write rows of yesterday over a lossy network, while two housekeepers, whose runs
// are cut off, roll them up and close the day. A reader must see no less than was stored and
// no more than was sent. In the end, minutes and the closed day must agree.
func TestRollUpInTableStorageChangesNoSum(t *testing.T) {
	service := azuretest.Open(t, azurite.Shared(t))
	plain := tablestore.New(service, "usage"+rand.Text())
	network := &lossy{Store: plain}
	yesterday := ledger.Day.Floor(time.Now().Add(-ledger.RollUpAfter)).Add(-24 * time.Hour)
	known := &observer{sent: make(map[string]ledger.Taken), stored: make(map[string]ledger.Taken)}
	read := func() (calls int64) {
		t.Helper()
		series, err := ledger.Reader{Store: plain}.Subscription(t.Context(), "team-a", yesterday, yesterday.Add(24*time.Hour), ledger.Minute)
		if err != nil {
			t.Error(err)
		}
		for _, u := range series.Items {
			calls += u.Calls
		}
		return calls
	}
	upkeep := func(ctx context.Context, s ledger.Store) (ledger.Report, error) {
		return ledger.Upkeep{Store: s, Retention: ledger.DefaultRetention, Log: slog.New(slog.DiscardHandler)}.Run(ctx)
	}

	var writers, others sync.WaitGroup
	for _, process := range []string{"P1", "P2", "P3"} {
		writers.Go(func() { known.write(t.Context(), network, process, yesterday) })
	}
	ctx, stop := context.WithCancel(t.Context())
	for range 2 {
		others.Go(func() {
			for ctx.Err() == nil {
				cut, cancel := context.WithTimeout(ctx, time.Duration(50+mathrand.IntN(600))*time.Millisecond)
				_, _ = upkeep(cut, network)
				cancel()
			}
		})
	}
	reads := 0
	others.Go(func() {
		for ; ctx.Err() == nil; reads++ {
			least := known.calls(known.stored)
			if got, most := read(), known.calls(known.sent); got < least || got > most {
				t.Errorf("a reader: got %d calls, want %d to %d", got, least, most)
			}
		}
	})
	writers.Wait()
	stop()
	others.Wait()
	network.makeDelayed(func() bool { return true })
	network.late.Wait()

	before := read()
	var rolledUp int64
	for range 3 { // the first does the rest and marks the day as closed
		report, err := upkeep(t.Context(), plain)
		if err != nil {
			t.Fatal(err)
		}
		rolledUp = report.RolledUp
	}
	if rolledUp != 0 {
		t.Errorf("the third run without writers: got %d rows rolled up, want none", rolledUp)
	}
	days, err := ledger.Reader{Store: plain}.Days(t.Context(), yesterday, yesterday.Add(time.Hour), ledger.Day)
	if err != nil {
		t.Fatal(err)
	}
	var closed int64
	for _, u := range days.Items {
		closed += u.Calls
	}
	if after := read(); after != before || closed != before || before == 0 || before > known.calls(known.sent) {
		t.Errorf("got %d calls before the last run, %d after, and %d in the closed day; want the same, more than 0 and at most the %d sent", before, after, closed, known.calls(known.sent))
	}
	t.Logf("%d calls sent, %d in the ledger, read %d times meanwhile", known.calls(known.sent), before, reads)
}
