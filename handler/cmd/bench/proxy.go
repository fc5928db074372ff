package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"tollgate/handler/r1sim"
	"tollgate/handler/subscription"
)

// The targets by name.
const (
	direct   = "direct"  // the model itself
	proxied  = "proxy"   // the standard library's proxy
	again    = "proxy-2" // another one: the two must come out alike
	full     = "full"    // the gateway, reserving prompt and completion
	byPrompt = "prompt"  // the gateway, reserving the prompt
)

// cell is one kind of measurement, made of every target in every round.
type cell struct {
	name    string
	call    call
	callers int
	of      []string
}

var cells = []cell{
	{"one", plain, 1, []string{direct, proxied, again, full, byPrompt}},
	{"sixteen", plain, 16, []string{proxied, again, full, byPrompt}},
	{"frames", stream, 8, []string{proxied, again, full, byPrompt}},
	{"first", shortly, 1, []string{direct, proxied, again, full, byPrompt}},
}

// round is what one round measured, by cell and target.
type round map[string]map[string]measured

// figure is a ratio of the gateway to the proxy, with what it is to be.
type figure struct {
	name    string
	goal    float64
	atLeast bool // the goal is a least, not a most
	of      func(r round, gateway string) float64
}

var figures = []figure{
	{"added_p50_vs_proxy", 1.5, false, func(r round, g string) float64 {
		one := r["one"]
		return (one[g].p50() - one[direct].p50()) / (one[proxied].p50() - one[direct].p50())
	}},
	{"p99_vs_proxy", 1.5, false, func(r round, g string) float64 { return r["one"][g].p99() / r["one"][proxied].p99() }},
	{"cpu_vs_proxy", 1.7, false, func(r round, g string) float64 { return r["sixteen"][g].cpuEach() / r["sixteen"][proxied].cpuEach() }},
	{"rps16_vs_proxy", 0.75, true, func(r round, g string) float64 { return r["sixteen"][g].rate() / r["sixteen"][proxied].rate() }},
	{"stream_frames_vs_proxy", 0.8, true, func(r round, g string) float64 { return r["frames"][g].frames() / r["frames"][proxied].frames() }},
	{"stream_ttfb_vs_proxy", 1.5, false, func(r round, g string) float64 {
		first := r["first"]
		return (first[g].ttfb() - first[direct].ttfb()) / (first[proxied].ttfb() - first[direct].ttfb())
	}},
}

// controls compare the two equal proxies: what they differ by is the noise.
var controls = []func(r round) float64{
	func(r round) float64 { return r["one"][again].p50() / r["one"][proxied].p50() },
	func(r round) float64 { return r["sixteen"][again].rate() / r["sixteen"][proxied].rate() },
	func(r round) float64 { return r["frames"][again].frames() / r["frames"][proxied].frames() },
	func(r round) float64 { return r["first"][again].ttfb() / r["first"][proxied].ttfb() },
}

const (
	// noise is how far from 1 the control may be.
	noise = 0.05
	// tries is how often a run is made whose control is beyond that.
	tries = 3
	// warmCalls are made of each kind before anything is measured.
	warmCalls = 50
)

// benchProxy compares the gateway with the standard library's reverse proxy.
func benchProxy(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("proxy", flag.ContinueOnError)
	rounds := flags.Int("rounds", 21, "how often each is measured, in random order")
	each := flags.Duration("each", 430*time.Millisecond, "for how long at a time: the briefer, the more alike is what else the machine does")
	where := flags.String("store", "azurite", "where the counters are: azurite or memory")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s, err := openStage(ctx, *where)
	if err != nil {
		return err
	}
	defer s.close()
	for try := 1; ; try++ {
		results, perCall, err := s.play(ctx, *rounds, *each)
		if err != nil {
			return err
		}
		control := controlOf(results)
		if math.Abs(control-1) > noise && try < tries {
			fmt.Printf("Two equal proxies differ: aa_control is %.3f. Once more.\n", control)
			continue
		}
		show(results)
		s.print(results, control, perCall)
		if math.Abs(control-1) > noise {
			return fmt.Errorf("two equal proxies differed in each of %d runs (aa_control %.3f, not 0.95 to 1.05): the machine is too busy to measure", tries, control)
		}
		return nil
	}
}

// proxyStage is all that runs for the comparison.
type proxyStage struct {
	binary    string // the gateway
	store     *store
	targets   map[string]*target
	processes []*process
	starts    []time.Duration // of a gateway, until its first answer
	idle      int64           // a gateway's memory before any load, in bytes
}

func openStage(ctx context.Context, where string) (*proxyStage, error) {
	binary, err := buildGateway(ctx)
	if err != nil {
		return nil, err
	}
	store, err := openStore(ctx, where)
	return &proxyStage{binary: binary, store: store}, err
}

// casts is how often in a run all processes are started anew: of two that are
// alike one may be faster for as long as it lives.
const casts = 3

// play makes rounds with several casts. perCall is how many operations of the
// store a call took.
func (s *proxyStage) play(ctx context.Context, rounds int, each time.Duration) (results []round, perCall float64, err error) {
	var operations int64
	calls := 0
	for i := range casts {
		s.strike()
		if err := s.cast(ctx); err != nil {
			return nil, 0, err
		}
		before := s.store.operations.Load()
		made, asked, err := s.measure(ctx, rounds*(i+1)/casts-rounds*i/casts, each)
		if err != nil {
			return nil, 0, err
		}
		operations += s.store.operations.Load() - before
		results, calls = append(results, made...), calls+asked
	}
	return results, float64(operations) / float64(calls), nil
}

// cast starts all processes.
func (s *proxyStage) cast(ctx context.Context) error {
	model, err := s.part("part-model")
	if err != nil {
		return err
	}
	proxy, e1 := s.part("part-proxy", model.url)
	other, e2 := s.part("part-proxy", model.url)
	if err := errors.Join(e1, e2); err != nil {
		return err
	}
	gateway, err := s.gateway(ctx, s.store.gatewaySettings(model.url))
	if err != nil {
		return err
	}
	s.targets = make(map[string]*target)
	for name, p := range map[string]*process{direct: model, proxied: proxy, again: other} {
		s.targets[name] = &target{name, p, r1sim.Key}
	}
	s.targets[full] = &target{full, gateway, s.store.keys[subscription.ReserveFull]}
	s.targets[byPrompt] = &target{byPrompt, gateway, s.store.keys[subscription.ReservePrompt]}
	return s.warm(ctx)
}

// warm makes the first calls, which are not measured.
func (s *proxyStage) warm(ctx context.Context) error {
	for _, t := range s.targets {
		for range warmCalls {
			for _, c := range []call{plain, shortly} {
				if _, err := t.do(ctx, c, make([]byte, 32<<10)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// strike stops all processes.
func (s *proxyStage) strike() {
	for _, p := range slices.Backward(s.processes) {
		p.stop()
	}
	s.processes = nil
}

func (s *proxyStage) part(name string, args ...string) (*process, error) {
	p, err := startPart(name, args...)
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return p, err
}

// starts is how many gateways are started at least to time that; the last stays.
const starts = 5

func (s *proxyStage) gateway(ctx context.Context, settings []string) (*process, error) {
	for {
		begun := time.Now()
		p, err := startGateway(s.binary, settings)
		if err != nil {
			return nil, err
		}
		t := &target{"gateway", p, s.store.keys[subscription.ReservePrompt]}
		if err := t.firstAnswer(ctx); err != nil {
			p.stop()
			return nil, err
		}
		if s.starts = append(s.starts, time.Since(begun)); len(s.starts) < starts {
			p.stop()
			continue
		}
		s.processes = append(s.processes, p)
		s.idle, err = p.resident()
		return p, err
	}
}

// firstAnswer calls until somebody listens, and wants a whole answer then.
func (t *target) firstAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for tick := time.Tick(time.Millisecond); ; {
		_, err := t.do(ctx, plain, make([]byte, 32<<10))
		if err == nil || !strings.Contains(err.Error(), "connection refused") {
			return err
		}
		select {
		case <-tick:
		case <-ctx.Done():
			return fmt.Errorf("the gateway never listened: %w", err)
		}
	}
}

func (s *proxyStage) close() {
	s.strike()
	s.store.close()
}

// measure makes rounds in which each cell is measured of each of its targets, in
// random order. calls is how many the gateway answered.
func (s *proxyStage) measure(ctx context.Context, rounds int, each time.Duration) (results []round, calls int, err error) {
	for range rounds {
		r := make(round)
		for _, i := range rand.Perm(len(cells)) {
			c := cells[i]
			r[c.name] = make(map[string]measured)
			for _, j := range rand.Perm(len(c.of)) {
				t := s.targets[c.of[j]]
				m, err := t.measure(ctx, c.call, c.callers, each)
				if err != nil {
					return nil, 0, err
				}
				r[c.name][t.name] = m
				if t.name == full || t.name == byPrompt {
					calls += len(m.samples)
				}
			}
		}
		results = append(results, r)
	}
	return results, calls, nil
}

// overRounds is the median of a measure's values over the rounds.
func overRounds(results []round, of func(round) float64) (median, least, most float64) {
	values := make([]float64, len(results))
	for i, r := range results {
		values[i] = of(r)
	}
	slices.Sort(values)
	return values[len(values)/2], values[0], values[len(values)-1]
}

// controlOf is the control that is farthest from 1.
func controlOf(results []round) (worst float64) {
	worst = 1
	for _, of := range controls {
		if m, _, _ := overRounds(results, of); math.Abs(m-1) > math.Abs(worst-1) {
			worst = m
		}
	}
	return worst
}

// show prints what was measured, medians over the rounds.
func show(results []round) {
	fmt.Printf("%-9s %12s %12s %14s %12s %14s %14s\n", "", "p50 µs", "p99 µs", "calls/s, 16", "CPU µs", "events/s", "first byte µs")
	for _, name := range []string{direct, proxied, again, full, byPrompt} {
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
			m, _, _ := overRounds(results, func(r round) float64 { return column.of(r[column.cell][name]) })
			fmt.Printf(" %*.0f", column.width, m)
		}
		fmt.Println()
	}
	fmt.Println()
}

// print gives each ratio for both ways of reserving, and the figures: of the
// two the worse.
func (s *proxyStage) print(results []round, control, perCall float64) {
	var lines []string
	for _, f := range figures {
		worst := math.NaN()
		fmt.Printf("%-24s", f.name)
		for _, gateway := range []string{full, byPrompt} {
			m, least, most := overRounds(results, func(r round) float64 { return f.of(r, gateway) })
			fmt.Printf("  %s %.2f (%.2f to %.2f)", gateway, m, least, most)
			if math.IsNaN(worst) || (m < worst) == f.atLeast {
				worst = m
			}
		}
		sign, met := "at most", worst <= f.goal
		if f.atLeast {
			sign, met = "at least", worst >= f.goal
		}
		fmt.Printf("  %s %.2f: %s\n", sign, f.goal, map[bool]string{true: "met", false: "MISSED"}[met])
		lines = append(lines, fmt.Sprintf("figure %s %.3f", f.name, worst))
	}
	slices.Sort(s.starts)
	lines = append(lines, fmt.Sprintf("figure aa_control %.3f", control), fmt.Sprintf("figure table_ops_per_call %.4f", perCall),
		fmt.Sprintf("figure exec_to_first_call_ms %.1f", s.starts[len(s.starts)/2].Seconds()*1000), fmt.Sprintf("figure rss_idle_mb %.1f", float64(s.idle)/(1<<20)))
	fmt.Printf("\n%s\n", strings.Join(lines, "\n"))
}
