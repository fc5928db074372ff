package app

import (
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/asynctest"
)

func TestRecordsAreWrittenTogetherAfterTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out asynctest.Buffer
		log := slog.New(newBufferedLog(&out))
		for round := range 3 {
			before, at := len(out.String()), time.Now()
			log.Info("a", "round", round)
			time.Sleep(logDelay - time.Nanosecond)
			log.Info("b", "round", round)
			synctest.Wait()
			if len(out.String()) != before {
				t.Errorf("before the delay got %q, want nothing new", out.String())
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			lines := strings.Split(out.String()[before:], "\n")
			if len(lines) != 3 || !strings.Contains(lines[0], `"msg":"a"`) || !strings.Contains(lines[1], `"msg":"b"`) {
				t.Fatalf("got lines %q, want one with a and one with b", lines)
			}
			var first struct{ Time time.Time }
			if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || !first.Time.Equal(at) {
				t.Errorf("got time %v (error %v), want %v, when it was logged", first.Time, err, at)
			}
		}
	})
}

func TestAFullBatchIsWrittenAtOnceInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out asynctest.Buffer
		held := newBufferedLog(&out)
		var writers sync.WaitGroup
		const each = logBatch
		for w := range 4 {
			log := slog.New(held).With("writer", w).WithGroup("of")
			writers.Go(func() {
				for i := range each {
					log.Info("line", "number", i)
				}
			})
		}
		writers.Wait()
		if early := strings.Count(out.String(), "\n"); early < 3*logBatch {
			t.Errorf("got %d records before Flush, want at least %d", early, 3*logBatch)
		}
		held.Flush()
		var next [4]int
		for line := range strings.Lines(out.String()) {
			var got struct {
				Writer int
				Of     struct{ Number int }
			}
			if err := json.Unmarshal([]byte(line), &got); err != nil || got.Of.Number != next[got.Writer] {
				t.Fatalf("got %q (error %v), want line %d of its writer", line, err, next[got.Writer])
			}
			next[got.Writer]++
		}
		if next != [4]int{each, each, each, each} {
			t.Errorf("got %v lines of the four writers, want %d each", next, each)
		}
	})
}
