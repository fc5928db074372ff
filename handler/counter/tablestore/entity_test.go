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

// FuzzEntity decodes rows that anyone may have edited. Each gives ErrEdited or ErrNewer, or is
// unchanged when it is encoded and decoded again.
func FuzzEntity(f *testing.F) {
	now := time.Date(2026, 1, 31, 23, 59, 30, 0, time.UTC)
	stored := lease.New(limit.Limits{PerMinute: 300, Burst: 20, Quota: 10_000, Period: "Monthly", Version: 7}, now, "epoch")
	row, err := encode("team-a", stored)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(row)
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"Format":"9","Format@odata.type":"Edm.Int64"}`))
	f.Add([]byte(`{"PartitionKey":1,"Slots":"a:1","Spent":"-1","Spent@odata.type":"Edm.Int64"}`))
	f.Fuzz(func(t *testing.T, row []byte) {
		stored, err := decode(row)
		if errors.Is(err, counter.ErrEdited) || errors.Is(err, counter.ErrNewer) {
			return
		}
		if err != nil {
			t.Fatalf("decode %s: got %v, want ErrEdited, ErrNewer or none", row, err)
		}
		_ = stored.Plausible(now) // it must not panic
		written, err := encode("team-a", stored)
		if err != nil {
			t.Fatalf("encode %+v: got %v, want no error", stored, err)
		}
		again, err := decode(written)
		if err != nil || !reflect.DeepEqual(again, stored) {
			t.Fatalf("%+v encoded and decoded: got %+v, %v; want it unchanged", stored, again, err)
		}
	})
}
