package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"tollgate/handler/local/fakemodel"
)

// The targets by name.
const (
	direct        = "direct"  // the model itself
	proxied       = "proxy"   // the standard library's proxy
	proxiedAgain  = "proxy-2" // the same again: the two must have equal results
	full          = "full"    // the gateway, reserving prompt and completion
	byPrompt      = "prompt"  // the gateway, reserving the prompt
	severalLimits = "limits"  // the gateway, reserving prompt and completion in four limits
)

// gateways are the targets that are the gateway.
var gateways = []string{full, byPrompt, severalLimits}

// A cell is one kind of measurement, made with every target in every round.
type cell struct {
	name    string
	call    call
	callers int
	of      []string
}

var cells = []cell{
	{"one", plain, 1, []string{direct, proxied, proxiedAgain, full, byPrompt, severalLimits}},
	{"sixteen", plain, 16, []string{proxied, proxiedAgain, full, byPrompt, severalLimits}},
	{"frames", stream, 8, []string{proxied, proxiedAgain, full, byPrompt, severalLimits}},
	{"first", briefStream, 1, []string{direct, proxied, proxiedAgain, full, byPrompt, severalLimits}},
}

// A round holds one round's measurements by cell and target.
type round map[string]map[string]measured

const (
	// noise is the largest accepted difference from 1 of the equal proxies' ratio.
	noise = 0.05
	// tries is the number of runs to try if the proxies' added p50 differs by more than noise.
	tries = 3
	// warmCalls are made of each kind before anything is measured.
	warmCalls = 50
)

// benchProxy compares the gateway with the standard library's reverse proxy.
func benchProxy(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("proxy", flag.ContinueOnError)
	rounds := flags.Int("rounds", 25, "the number of rounds; each measures everything in random order")
	each := flags.Duration("each", 350*time.Millisecond, "how long each measurement lasts: the shorter, the more equal is the machine's other load for all targets")
	where := flags.String("store", "azurite", "where the counters are: azurite or memory")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *rounds < restarts {
		return fmt.Errorf("-rounds is %d: use at least %d, one for each restart of the processes", *rounds, restarts)
	}
	s, err := openComparison(ctx, *where)
	if err != nil {
		return err
	}
	defer s.close()
	for try := 1; ; try++ {
		results, cost, err := s.run(ctx, *rounds, *each)
		if err != nil {
			return err
		}
		control := addedP50.control(results)
		if noisy(control) && try < tries {
			fmt.Printf("The two equal proxies differ: aa_control is %.3f. Trying again.\n", control)
			continue
		}
		show(slices.Concat(results...))
		s.print(results, control, cost)
		if noisy(control) {
			return fmt.Errorf("two equal proxies differed in each of %d runs (aa_control %.3f, not 0.95 to 1.05): the machine is too busy to measure", tries, control)
		}
		return nil
	}
}

// A comparison holds the processes that are compared, and what they cost at rest.
type comparison struct {
	binary    string // the gateway
	store     *store
	targets   map[string]*target
	processes []*process
	starts    struct {
		one, all []time.Duration // from a gateway's start to its first answers: with DeepSeek-R1 alone, with countedModels
	}
	idle int64 // a gateway's memory before any load, in bytes
	size int64 // of its binary, in bytes
}

func openComparison(ctx context.Context, where string) (*comparison, error) {
	binary, err := buildGateway(ctx)
	if err != nil {
		return nil, err
	}
	file, err := os.Stat(binary)
	if err != nil {
		return nil, err
	}
	store, err := openStore(ctx, where)
	return &comparison{binary: binary, store: store, size: file.Size()}, err
}

// restarts is the number of times that a run starts all processes anew: one of two equal
// processes may be faster for as long as it lives.
const restarts = 5

// A cost holds the table operations of calls.
type cost struct {
	operations int64 // all but counted, including those that the gateway makes by itself
	counted    int64 // on the counters of calls with several limits
	calls      int   // with one limit
	several    int   // calls with several limits
}

// run measures rounds and returns their results by restart.
func (s *comparison) run(ctx context.Context, rounds int, each time.Duration) (results [][]round, all cost, err error) {
	for i := range restarts {
		s.stop()
		if err := s.start(ctx); err != nil {
			return nil, all, err
		}
		operations, counted := s.store.operations.Load(), s.store.counted.Load()
		made, err := s.measure(ctx, rounds*(i+1)/restarts-rounds*i/restarts, each)
		if err != nil {
			return nil, all, err
		}
		all.operations += s.store.operations.Load() - operations
		all.counted += s.store.counted.Load() - counted
		all.add(made)
		results = append(results, made)
	}
	return results, all, nil
}

// add adds the calls that the gateway answered.
func (c *cost) add(rounds []round) {
	for _, r := range rounds {
		for _, targets := range r {
			c.calls += len(targets[full].samples) + len(targets[byPrompt].samples)
			c.several += len(targets[severalLimits].samples)
		}
	}
}

// start starts all processes.
func (s *comparison) start(ctx context.Context) error {
	model, err := s.part("part-model")
	if err != nil {
		return err
	}
	proxy, e1 := s.part("part-proxy", model.url)
	other, e2 := s.part("part-proxy", model.url)
	if err := errors.Join(e1, e2); err != nil {
		return err
	}
	gateway, err := s.gateway(ctx, model.url)
	if err != nil {
		return err
	}
	s.targets = make(map[string]*target)
	for name, p := range map[string]*process{direct: model, proxied: proxy, proxiedAgain: other} {
		s.targets[name] = &target{name, p, fakemodel.Key}
	}
	for _, name := range gateways {
		s.targets[name] = &target{name, gateway, s.store.keys[name]}
	}
	return s.warm(ctx)
}

// warm makes the first calls, unmeasured.
func (s *comparison) warm(ctx context.Context) error {
	for _, t := range s.targets {
		for range warmCalls {
			for _, c := range []call{plain, briefStream} {
				if _, err := t.do(ctx, c, make([]byte, 32<<10)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// stop stops all processes.
func (s *comparison) stop() {
	for _, p := range slices.Backward(s.processes) {
		p.stop()
	}
	s.processes = nil
}

func (s *comparison) part(name string, args ...string) (*process, error) {
	p, err := startPart(name, args...)
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return p, err
}

func (s *comparison) close() {
	s.stop()
	s.store.close()
}

// measure runs rounds that measure each cell with each of its targets, in random order.
func (s *comparison) measure(ctx context.Context, rounds int, each time.Duration) (results []round, err error) {
	for range rounds {
		r := make(round)
		for _, i := range rand.Perm(len(cells)) {
			c := cells[i]
			r[c.name] = make(map[string]measured)
			for _, j := range rand.Perm(len(c.of)) {
				t := s.targets[c.of[j]]
				m, err := t.measure(ctx, c.call, c.callers, each)
				if err != nil {
					return nil, err
				}
				r[c.name][t.name] = m
			}
		}
		results = append(results, r)
	}
	return results, nil
}

// show prints the medians over the rounds.
func show(results []round) {
	fmt.Printf("%-9s %12s %12s %14s %12s %14s %14s\n", "", "p50 µs", "p99 µs", "calls/s, 16", "CPU µs", "events/s", "first byte µs")
	for _, name := range []string{direct, proxied, proxiedAgain, full, byPrompt, severalLimits} {
		fmt.Printf("%-9s", name)
		for _, column := range []struct {
			cell  string
			width int
			of    func(measured) float64
		}{{"one", 12, measured.p50}, {"one", 12, measured.p99}, {"sixteen", 14, measured.rate}, {"sixteen", 12, measured.cpuEach},
			{"frames", 14, measured.frames}, {"first", 14, measured.ttfb}} {
			if _, there := results[0][column.cell][name]; !there {
				fmt.Printf(" %*s", column.width, "-")
				continue
			}
			m := medianOf(results, func(r round) float64 { return column.of(r[column.cell][name]) })
			fmt.Printf(" %*.0f", column.width, m)
		}
		fmt.Println()
	}
	fmt.Println()
}

// print prints each ratio for each of the gateways, with its range over the restarts and
// the same ratio of the two equal proxies. Then it prints the figures: each gateway's, and
// the worse one of the gateways with one limit, to which the goal applies.
func (s *comparison) print(results [][]round, control float64, cost cost) {
	var lines []string
	for _, f := range figures {
		worst := math.NaN()
		fmt.Printf("%-24s", f.name)
		var ways []string
		for _, gateway := range gateways {
			m, least, most := overRestarts(results, func(r round) float64 { return f.ratio(r, gateway, proxied, proxiedAgain) })
			fmt.Printf("  %s %.2f (%.2f to %.2f)", gateway, m, least, most)
			ways = append(ways, fmt.Sprintf("figure %s_%s %.3f", f.name, gateway, m))
			if gateway != severalLimits && (math.IsNaN(worst) || (m < worst) == f.atLeast) {
				worst = m
			}
		}
		equal, sign := f.control(results), "at most"
		if f.atLeast {
			sign = "at least"
		}
		fmt.Printf("  equal proxies %.2f  %s %.2f: %s\n", equal, sign, f.goal, f.met(worst, equal))
		lines = append(append(lines, fmt.Sprintf("figure %s %.3f", f.name, worst)), ways...)
	}
	lines = append(lines, fmt.Sprintf("figure aa_control %.3f", control), fmt.Sprintf("figure table_ops_per_call %.4f", float64(cost.operations)/float64(cost.calls)),
		fmt.Sprintf("figure counter_ops_per_call_limits %.4f", float64(cost.counted)/float64(cost.several)),
		fmt.Sprintf("figure exec_to_first_call_ms %.1f", milliseconds(s.starts.one)), fmt.Sprintf("figure exec_to_first_call_all_ms %.1f", milliseconds(s.starts.all)),
		fmt.Sprintf("figure rss_idle_mb %.1f", float64(s.idle)/(1<<20)), fmt.Sprintf("figure binary_mb %.1f", float64(s.size)/1e6))
	fmt.Printf("\n%s\n", strings.Join(lines, "\n"))
}

// milliseconds returns the median of durations, in milliseconds.
func milliseconds(all []time.Duration) float64 {
	return 1000 * medianOf(all, time.Duration.Seconds)
}
