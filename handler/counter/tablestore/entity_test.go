package tablestore

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// FuzzEntity reads rows that anyone may have edited: each gives an error that
// callers know, or is unchanged when it is written and read again.
func FuzzEntity(f *testing.F) {
	now := time.Date(2026, 1, 31, 23, 59, 30, 0, time.UTC)
	state := lease.New(limit.Limits{PerMinute: 300, Burst: 20, Quota: 10_000, Period: "Monthly", Version: 7}, now, "epoch")
	row, err := encode("team-a", state)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(row)
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"Format":"9","Format@odata.type":"Edm.Int64"}`))
	f.Add([]byte(`{"PartitionKey":1,"Slots":"a:1","Spent":"-1","Spent@odata.type":"Edm.Int64"}`))
	f.Fuzz(func(t *testing.T, row []byte) {
		state, err := decode(row)
		if errors.Is(err, counter.ErrEdited) || errors.Is(err, counter.ErrNewer) {
			return
		}
		if err != nil {
			t.Fatalf("%s: got %v, want an error that callers know", row, err)
		}
		_ = state.Plausible(now) // whatever it holds
		written, err := encode("team-a", state)
		if err != nil {
			t.Fatalf("writing %+v again: got %v, want no error", state, err)
		}
		again, err := decode(written)
		if err != nil || !reflect.DeepEqual(again, state) {
			t.Fatalf("%+v written and read again: got %+v, %v; want it unchanged", state, again, err)
		}
	})
}
