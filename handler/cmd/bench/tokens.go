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

// counters lists the compared implementations: ours, tiktoken-go with the same vocabulary,
// and the fastest other one for Go, with its own.
var counters = []struct{ name, figure string }{
	{name: "tollgate"}, {"tiktoken-go, same vocabulary", "vs_stock"}, {"tiktoken-go/tokenizer, cl100k_base", "vs_tokenizer"},
}

// benchTokens compares implementations of counting. Every round measures all of them on all
// texts; the figures are the medians of the rounds' ratios.
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

// speeds holds one round's speeds in MB/s, by text and counter.
type speeds [][]float64

const (
	// countingRounds is the most rounds to run.
	countingRounds = 15
	countingTime   = 35 * time.Second
	// ownPasses is the number of passes of the fastest counter in a round. Each pass counts
	// every text, since callers' prompts differ too.
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
	for _, text := range texts { // also warms up
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

// medianOf returns the median of value over all.
func medianOf[T any](all []T, value func(T) float64) float64 {
	values := make([]float64, len(all))
	for i, one := range all {
		values[i] = value(one)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// countedModels has one model for each encoding.
var countedModels = []string{"DeepSeek-R1", "gpt-4", "gpt-4o"}

// worstDoubling returns the largest ratio of the steps for twice a text to the steps for the
// text, from 32 KiB to 1 MiB, for texts without any split, in every encoding.
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

// randomBytes returns random bytes as text.
func randomBytes() string {
	text, state := make([]byte, 8<<10), uint32(1)
	for i := range text {
		state = state*1664525 + 1013904223
		text[i] = byte(state >> 24)
	}
	return string([]rune(string(text)))[:8<<10]
}

// oneLetter returns the milliseconds that 1 MiB of one letter takes in the slowest encoding.
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

// loadedTables lists the vocabularies whose loading is timed, by model, with the suffix of
// their figures' names.
var loadedTables = []struct{ model, suffix string }{{"DeepSeek-R1", ""}, {"gpt-4o", "_o200k"}, {"gpt-4", "_cl100k"}}

// A loaded is the cost of loading one model's vocabulary.
type loaded struct{ Milliseconds, Megabytes float64 }

// loadEach loads each of loadedTables 11 times, alternating, each time in a new process.
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

// loadTables is a part: it loads the vocabulary of the model in its argument and prints the
// cost.
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

// allocationsPerCount returns the number of allocations of a count once its buffers have
// grown.
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
