package counter_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"

	"tollgate/handler/counter/countertest"
	"tollgate/handler/limit"
)

// TestCloseServesACallThatWaitsForItsGrant: the write that grants it
// tokens isn't the instance's last, or they would go back before it has them.
func TestCloseServesACallThatWaitsForItsGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var writes atomic.Int64
		store, link := linked(func(operation string) countertest.Fate {
			<-gate
			if operation == "swap" && writes.Add(1) > 10 {
				panic("it writes without end")
			}
			return countertest.Fine
		})
		c := instance(link)
		decided := make(chan limit.Verdict, 1)
		go func() {
			r, d, err := c.One(t.Context(), "key", minute, limit.Ask{Amount: 25})
			if err != nil {
				t.Error(err)
			} else {
				r.Settle(25)
			}
			decided <- d.Verdict
		}()
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- c.Close(t.Context()) }()
		synctest.Wait()
		close(gate)
		if v, err := <-decided, <-closed; v != limit.Granted || err != nil {
			t.Errorf("got the call decided %v and Close %v, want Granted and no error", v, err)
		}
		if s := written(t, store); s.Spent != 25 || len(s.Slots) != 1 || s.Slots[0].Leased != 0 {
			t.Errorf("the counter: got %+v after %d writes, want 25 spent and one slot with nothing leased", s, writes.Load())
		}
	})
}
