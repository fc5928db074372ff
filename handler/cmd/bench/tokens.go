package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/tiktoken-go/tokenizer"

	"tollgate/handler/tokens"
	"tollgate/handler/tokens/reference"
)

// counters are what counting is compared between: ours; tiktoken-go as it comes,
// with the same vocabulary; and the fastest other one for Go, with its own.
var counters = []struct{ name, figure string }{
	{name: "tollgate"}, {"tiktoken-go, same vocabulary", "vs_stock"}, {"tiktoken-go/tokenizer, cl100k_base", "vs_tokenizer"},
}

// benchTokens compares counting tokens. Every round measures all counters on all
// texts in turn; the figures are the medians of the rounds' ratios.
func benchTokens(ctx context.Context, args []string) error {
	if len(args) > 0 {
		return errors.New("tokens takes no arguments")
	}
	texts, err := countedTexts(ctx)
	if err != nil {
		return err
	}
	rounds, err := compareCounters(ctx, texts)
	if err != nil {
		return err
	}
	loads, err := loadEach(ctx)
	if err != nil {
		return err
	}
	for i, text := range texts {
		fmt.Printf("%s, %d KB:\n", text.name, len(text.text)/1000)
		for j, counter := range counters {
			fmt.Printf("  %-36s %7.1f MB/s\n", counter.name, medianOf(rounds, func(r speeds) float64 { return r[i][j] }))
		}
	}
	fmt.Println()
	for j, counter := range counters[1:] {
		for i, text := range texts {
			fmt.Printf("figure %s_%s %.1f\n", text.name, counter.figure, medianOf(rounds, func(r speeds) float64 { return r[i][0] / r[i][j+1] }))
		}
	}
	fmt.Printf("figure worst_doubling %.2f\n", worstDoubling())
	fmt.Printf("figure mib_one_letter_ms %.1f\n", oneLetter())
	for i, t := range loadedTables {
		fmt.Printf("figure load_ms%s %.1f\n", t.suffix, medianOf(loads[i], func(l loaded) float64 { return l.Milliseconds }))
		fmt.Printf("figure load_mb%s %.1f\n", t.suffix, medianOf(loads[i], func(l loaded) float64 { return l.Megabytes }))
	}
	fmt.Printf("figure allocs_per_count %.2f\n", allocationsPerCount(texts))
	return nil
}

// speeds are one round's, in MB/s, by text and counter.
type speeds [][]float64

const (
	// countingRounds is how many rounds there are, if they don't take too long.
	countingRounds = 15
	countingTime   = 35 * time.Second
	// ownPasses is how often the fastest counter counts in a round. Between two
	// counts of one text it counts the others, as callers' prompts differ.
	ownPasses = 10
)

func compareCounters(ctx context.Context, texts []countedText) (rounds []speeds, err error) {
	ours := tokens.ForModel("DeepSeek-R1")
	stock, err := reference.DeepSeek()
	if err != nil {
		return nil, err
	}
	rival, err := tokenizer.Get(tokenizer.Cl100kBase)
	if err != nil {
		return nil, err
	}
	count := []func(string){
		func(text string) { ours.Count(text) },
		func(text string) { stock.Count(text) },
		func(text string) { _, _ = rival.Count(text) },
	}
	for _, text := range texts { // and warms up
		if got, want := ours.Count(text.text), stock.Count(text.text); got != want {
			return nil, fmt.Errorf("%s has %d tokens by tiktoken-go, and %d here", text.name, want, got)
		}
		count[2](text.text)
	}
	for began := time.Now(); len(rounds) < countingRounds && time.Since(began) < countingTime; {
		round := make(speeds, len(texts))
		for i := range round {
			round[i] = make([]float64, len(counters))
		}
		for j := range counters {
			passes := 1
			if j == 0 {
				passes = ownPasses
			}
			took := make([][]time.Duration, len(texts))
			for range passes {
				for i, text := range texts {
					at := time.Now()
					count[j](text.text)
					took[i] = append(took[i], time.Since(at))
				}
			}
			for i, text := range texts {
				round[i][j] = float64(len(text.text)) / 1e6 / medianOf(took[i], time.Duration.Seconds)
			}
		}
		rounds = append(rounds, round)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return rounds, nil
}

// medianOf is the median of what value makes of each.
func medianOf[T any](all []T, value func(T) float64) float64 {
	values := make([]float64, len(all))
	for i, one := range all {
		values[i] = value(one)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// countedModels stand for the encodings there are.
var countedModels = []string{"DeepSeek-R1", "gpt-4", "gpt-4o"}

// worstDoubling is the most that twice the text takes of the steps for once,
// from 32 KiB to 1 MiB, of texts that are one run throughout, in every encoding.
func worstDoubling() (worst float64) {
	for _, model := range countedModels {
		e := tokens.ForModel(model)
		for _, unit := range []string{"a", " ", "_", "=", "\n", "世", "\u0301", "ab", randomBytes()} {
			before := 0
			for bytes := 32 << 10; bytes <= 1<<20; bytes *= 2 {
				steps := e.Steps(strings.Repeat(unit, bytes/len(unit)))
				if before > 0 {
					worst = max(worst, float64(steps)/float64(before))
				}
				before = steps
			}
		}
	}
	return worst
}

// randomBytes is bytes without order, as text.
func randomBytes() string {
	text, state := make([]byte, 8<<10), uint32(1)
	for i := range text {
		state = state*1664525 + 1013904223
		text[i] = byte(state >> 24)
	}
	return string([]rune(string(text)))[:8<<10]
}

// oneLetter is how many milliseconds 1 MiB of one letter takes in the slowest encoding.
func oneLetter() (slowest float64) {
	text := strings.Repeat("a", 1<<20)
	for _, model := range countedModels {
		e := tokens.ForModel(model)
		e.Load()
		var took []time.Duration
		for range 5 {
			at := time.Now()
			e.Count(text)
			took = append(took, time.Since(at))
		}
		slowest = max(slowest, 1000*medianOf(took, time.Duration.Seconds))
	}
	return slowest
}

// loadedTables are the tables whose loading is timed, each by a model that is
// counted with them, with what its figures' names end in.
var loadedTables = []struct{ model, suffix string }{{"DeepSeek-R1", ""}, {"gpt-4o", "_o200k"}, {"gpt-4", "_cl100k"}}

// loaded is what loading one model's tables took.
type loaded struct{ Milliseconds, Megabytes float64 }

// loadEach loads each of loadedTables 11 times, in turn, each time in a process
// of its own.
func loadEach(ctx context.Context) (all [][]loaded, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	all = make([][]loaded, len(loadedTables))
	for range 11 {
		for i, t := range loadedTables {
			output, err := exec.CommandContext(ctx, program, "part-tables", t.model).Output()
			if err != nil {
				return nil, err
			}
			var one loaded
			if err := json.Unmarshal(output, &one); err != nil {
				return nil, err
			}
			all[i] = append(all[i], one)
		}
	}
	return all, nil
}

// loadTables is a part: it loads the tables of the model that its argument names
// and prints what that took.
func loadTables(args []string) error {
	if len(args) != 1 {
		return errors.New("part-tables takes the name of a model")
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, at := heap(), time.Now()
	e := tokens.ForModel(args[0])
	e.Load()
	took := time.Since(at)
	grown := float64(heap()) - float64(before)
	runtime.KeepAlive(e)
	return json.NewEncoder(os.Stdout).Encode(loaded{1000 * took.Seconds(), grown / 1e6})
}

// allocationsPerCount is how many allocations a count makes once it is warm.
func allocationsPerCount(texts []countedText) float64 {
	e := tokens.ForModel("DeepSeek-R1")
	allocations := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.Mallocs
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which may empty the pool of buffers
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))  // each processor has a pool
	for _, text := range texts {
		e.Count(text.text)
	}
	const counts = 50
	before := allocations()
	for range counts {
		for _, text := range texts {
			e.Count(text.text)
		}
	}
	return float64(allocations()-before) / float64(counts*len(texts))
}
