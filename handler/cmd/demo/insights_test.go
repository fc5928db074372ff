package main

import (
	"fmt"
	"slices"
	"testing"

	"tollgate/handler/asynctest"
	"tollgate/handler/local/insights"
)

// A reportedCall is a call as infra/queries/calls.kql lists it.
type reportedCall struct {
	status           string
	total, remaining float64
}

// checkLogs compares the telemetry with the article's ten calls. It waits until the last of
// them is reported, at the end of its interval.
func (s *setup) checkLogs(t *testing.T) {
	t.Helper()
	if s.insights == nil {
		t.Skip("telemetry goes to where " + connectionSetting + " says")
	}
	var seen []reportedCall
	asynctest.Eventually(t, "all calls are reported", func() error {
		if seen = calls(s.insights.Items()); len(seen) < 10 {
			return fmt.Errorf("got %d calls, want 10: %v", len(seen), seen)
		}
		return nil
	})
	want := []reportedCall{{"200", 258, 42}, {"200", 209, 0}}
	for range 8 {
		want = append(want, reportedCall{"429", 0, 0})
	}
	if !slices.Equal(seen, want) {
		t.Errorf("got calls %v, want %v", seen, want)
	}
	if tokens, n := s.insights.Sum("Total Tokens", "Subscription ID", "demo", "Client IP", "127.0.0.1", "API ID", "models"); tokens != 467 || n != 2 {
		t.Errorf("got Total Tokens %v of %d calls, want 467 of 2", tokens, n)
	}
	if refused, _ := s.insights.Sum("Refusals", "Reason", "token_limit_exceeded", "Subscription ID", "demo"); refused != 8 {
		t.Errorf("got %v refusals, want 8", refused)
	}
	if faults := s.insights.Faults(); faults != nil {
		t.Errorf("got schema faults %v, want none", faults)
	}
}

// calls returns the calls that the items report, by their time.
func calls(items []insights.Item) (seen []reportedCall) {
	slices.SortStableFunc(items, func(a, b insights.Item) int { return a.At.Compare(b.At) })
	for _, item := range items {
		if item.Request != nil {
			seen = append(seen, reportedCall{item.Request.ResponseCode, item.Request.Measurements["Total Tokens"], item.Request.Measurements["Remaining Tokens"]})
		}
	}
	return seen
}
