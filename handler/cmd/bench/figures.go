package main

import (
	"math"
	"slices"
)

// A figure is the ratio of a target's value to the mean of others' values, with the goal
// for the gateway's ratio to the two proxies.
type figure struct {
	name    string
	goal    float64
	atLeast bool // the goal is a minimum
	cell    string
	of      func(measured) float64
	added   bool // compare the differences from the model's own value
}

// addedP50 is the figure whose control decides whether a run is valid: it must be near 1.
var addedP50 = figure{name: "added_p50_vs_proxy", goal: 1.5, cell: "one", of: measured.p50, added: true}

// The goals of p50 and p99 must be met; the others are aims.
var figures = []figure{
	addedP50,
	{name: "p99_vs_proxy", goal: 1.5, cell: "one", of: measured.p99},
	{name: "cpu_vs_proxy", goal: 1.5, cell: "sixteen", of: measured.cpuEach},
	{name: "rps16_vs_proxy", goal: 0.85, atLeast: true, cell: "sixteen", of: measured.rate},
	{name: "stream_frames_vs_proxy", goal: 0.95, atLeast: true, cell: "frames", of: measured.frames},
	{name: "stream_cpu_vs_proxy", goal: 1.5, cell: "frames", of: measured.cpuEach},
	{name: "stream_ttfb_vs_proxy", goal: 1.2, cell: "first", of: measured.ttfb, added: true},
}

// ratio returns the target's value over the mean of the others' in one round.
func (f figure) ratio(r round, target string, others ...string) float64 {
	values := r[f.cell]
	base := 0.0
	if f.added {
		base = f.of(values[direct])
	}
	mean := 0.0
	for _, other := range others {
		mean += (f.of(values[other]) - base) / float64(len(others))
	}
	return (f.of(values[target]) - base) / mean
}

// overRestarts returns the median, minimum and maximum of the restarts' medians.
func overRestarts(results [][]round, of func(round) float64) (median, least, most float64) {
	values := make([]float64, len(results))
	for i, rounds := range results {
		values[i] = medianOf(rounds, of)
	}
	return medianOf(values, func(v float64) float64 { return v }), slices.Min(values), slices.Max(values)
}

// control returns the ratio of the two equal proxies, which only the machine's noise makes
// different from 1.
func (f figure) control(results [][]round) float64 {
	ratio, _, _ := overRestarts(results, func(r round) float64 { return f.ratio(r, proxiedAgain, proxied) })
	return ratio
}

// noisy reports whether a control differs from 1 by more than noise.
func noisy(control float64) bool { return math.Abs(control-1) > noise }

// met returns "met" or "MISSED" for a value, or "unsure" if the equal proxies differed by
// more than noise.
func (f figure) met(value, control float64) string {
	switch {
	case noisy(control):
		return "unsure"
	case value == f.goal, (value > f.goal) == f.atLeast:
		return "met"
	}
	return "MISSED"
}
