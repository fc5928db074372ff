package strangers_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/asynctest"
	"tollgate/handler/strangers"
)

// read counts the lines in a log and the lines left out of it.
func read(t *testing.T, log string) (lines int, leftOut map[string]int) {
	t.Helper()
	leftOut = make(map[string]int)
	for text := range strings.Lines(log) {
		var line struct {
			Msg, Of, Outcome string
			Lines            int
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		if line.Msg == "lines left out" {
			leftOut[line.Of+" "+line.Outcome] += line.Lines
		} else {
			lines++
		}
	}
	return lines, leftOut
}

func TestAFloodIsLoggedAsAFewLinesAndACount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text asynctest.Buffer
		log := strangers.New(slog.New(slog.NewJSONHandler(&text, nil)))
		const calls = 100_000
		for range calls {
			log.Write(slog.LevelInfo, "call", "invalid_api_key")
		}
		log.Write(slog.LevelInfo, "call", "route_not_found") // a kind of its own
		lines, leftOut := read(t, text.String())
		if lines != 11 || len(leftOut) != 0 {
			t.Errorf("at once: got %d lines and counts %v, want 10 of the flood, 1 of another kind, and no count yet", lines, leftOut)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, leftOut = read(t, text.String()); leftOut["call invalid_api_key"] != calls-10 || len(leftOut) != 1 {
			t.Errorf("after a minute: got counts %v, want %d", leftOut, calls-10)
		}
		for range 20 {
			log.Write(slog.LevelInfo, "call", "invalid_api_key")
		}
		log.Flush() // at the end of the process
		lines, leftOut = read(t, text.String())
		if lines+leftOut["call invalid_api_key"] != calls+21 {
			t.Errorf("got %d lines and %v left out, want all %d calls", lines, leftOut, calls+21)
		}
		before := len(text.String())
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(text.String()) != before {
			t.Errorf("after an hour without calls: got %s in the log, want nothing", text.String()[before:])
		}
	})
}
