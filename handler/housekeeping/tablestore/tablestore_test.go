package tablestore_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/handler/azure/azuretest"
	"tollgate/handler/housekeeping"
	"tollgate/handler/housekeeping/tablestore"
	"tollgate/handler/local/azurite"
)

func TestOneOfManyInstancesGetsTheTurn(t *testing.T) {
	service := azuretest.Open(t, azurite.Shared(t))
	for round := range 2 { // in the first the table doesn't exist yet
		var all sync.WaitGroup
		var taken atomic.Int64
		release := make(chan func() error, 20)
		for range 20 {
			all.Go(func() {
				turns := tablestore.New(service, "turnsoftest")
				end, err := turns.Take(t.Context(), 0)
				switch {
				case err == nil:
					release <- func() error { return end(t.Context()) }
				case errors.Is(err, housekeeping.ErrTaken):
					taken.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if taken.Load() != 19 || len(release) != 1 {
			t.Fatalf("20 instances in round %d: got %d with the turn and %d with ErrTaken, want 1 and 19", round, len(release), taken.Load())
		}
		if err := (<-release)(); err != nil {
			t.Fatal(err)
		}
		if _, err := tablestore.New(service, "turnsoftest").Take(t.Context(), time.Hour); !errors.Is(err, housekeeping.ErrTaken) {
			t.Errorf("a turn within the pause: got %v, want %v", err, housekeeping.ErrTaken)
		}
	}
}
