package jsonscan

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Comparing every pair of keys would take minutes.
func TestDistinctTakesLinearTime(t *testing.T) {
	var members strings.Builder
	for i := range 1 << 19 {
		fmt.Fprintf(&members, `,"key%d":0`, i)
	}
	s := New([]byte(`{`+members.String()[1:]+`}`), Options{Distinct: true})
	walked := make(chan error, 1)
	go func() { walked <- s.Skip() }()
	select {
	case err := <-walked:
		if err != nil {
			t.Errorf("got %v, want no error", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("got no end after 30 s for half a million keys, want one within 1 s")
	}
}

func TestWalkingAllocatesNothing(t *testing.T) {
	text := []byte(`{"a":[{"b":"` + strings.Repeat(`text \n `, 100) + `"},1.5e3,true,null],"c":{"d":{}}}`)
	for name, options := range map[string]Options{"any keys": {}, "lax": {Lax: true}} {
		got := testing.AllocsPerRun(100, func() {
			s := New(text, options)
			if err := s.Object(func(key []byte) error {
				if string(key) == "c" {
					return s.Object(func([]byte) error { return s.Skip() })
				}
				_, err := s.Value()
				return err
			}); err != nil {
				t.Fatal(err)
			}
		})
		if got != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, got)
		}
	}
}

func BenchmarkSkip(b *testing.B) {
	long := []byte(`"` + strings.Repeat(`words and \"more\" words, `, 4<<20/25) + `"`)
	for name, text := range map[string][]byte{"4MB-text": long, "many": []byte(`[` + strings.Repeat(`{"role":"user","n":[1,2.5,null]},`, 1000) + `0]`)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				s := New(text, Options{})
				if err := s.Skip(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
