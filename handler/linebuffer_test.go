package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLinesAreWrittenTogetherAndSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out record
		b := newLineBuffer(&out)
		for round := range 3 {
			before := len(out.String())
			fmt.Fprintln(b, "a", round)
			time.Sleep(logDelay - time.Nanosecond)
			fmt.Fprintln(b, "b", round)
			synctest.Wait()
			if len(out.String()) != before {
				t.Errorf("written at once: %q", out.String())
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			if want := fmt.Sprintf("a %d\nb %d\n", round, round); out.String()[before:] != want {
				t.Errorf("got %q, want %q", out.String()[before:], want)
			}
		}
	})
}

func TestManyLinesAreWrittenBeforeTheirTimeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out record
		b := newLineBuffer(&out)
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for i := range 1000 {
					fmt.Fprintf(b, "%d %d %s\n", w, i, strings.Repeat("x", 50))
				}
			})
		}
		writers.Wait()
		if len(out.String()) < 3*logBatch {
			t.Errorf("%d bytes were written early", len(out.String()))
		}
		b.Flush()
		next := make(map[string]int)
		for line := range strings.Lines(out.String()) {
			var w string
			var i int
			if n, _ := fmt.Sscan(line, &w, &i); n != 2 || i != next[w] {
				t.Fatalf("%q came where line %d of %s was due", line, next[w], w)
			}
			next[w]++
		}
		if len(next) != 4 || next["0"]+next["1"]+next["2"]+next["3"] != 4000 {
			t.Errorf("lines %v", next)
		}
	})
}
