package main

import (
	"strings"
	"testing"
)

// TestALimitInCostWarnsOfModelsWithoutAPrice: of a tier, a group and a subscription, each
// only of models that its calls may name.
func TestALimitInCostWarnsOfModelsWithoutAPrice(t *testing.T) {
	m := newTerminal(t)
	m.environment["UPSTREAM_URL"], m.environment["UPSTREAM_API_KEY"], m.environment["MODELS"] = "https://x.services.ai.azure.com", "k", "plain,tiered"
	m.deploy()
	warned := func(args ...string) string {
		t.Helper()
		_, stderr, status := m.run(args...)
		if status != exitDone {
			t.Fatalf("tollgate %s: got status %d and %s, want %d", strings.Join(args, " "), status, stderr, exitDone)
		}
		return stderr
	}
	const budget, missing = "cost 10/month", "the limit in cost refuses calls of "
	steps := []struct {
		want bool
		args []string
	}{
		{false, []string{"tier", "set", "plain", "--create", "--limit", "calls 5/minute"}},
		{true, []string{"tier", "set", "gold", "--create", "--limit", budget}},
		{true, []string{"tier", "set", "gold", "--max-wait", "5s"}},
		{true, []string{"group", "create", "lab", "--limit", budget}},
		{true, []string{"group", "set", "lab", "--name", "Lab"}},
		{true, []string{"subscription", "create", "team-a", "--tier", "gold"}},
		{true, []string{"subscription", "set", "team-a", "--limit-override", "cost 20/month"}},
		{false, []string{"subscription", "create", "team-b", "--tier", "plain"}},
		{false, []string{"tier", "set", "other", "--create", "--limit", budget + " models other"}},
	}
	for _, s := range steps {
		if got := warned(s.args...); strings.Contains(got, missing) != s.want || s.want && !strings.Contains(got, "tollgate price set") {
			t.Errorf("%v: got %s, want a warning with the command that prices the model: %t", s.args, got, s.want)
		}
	}
	m.must("price", "currency", "EUR")
	for _, model := range []string{"plain", "tiered"} {
		m.must("price", "set", model, "--prompt", "1", "--completion", "2")
	}
	if got := warned("tier", "set", "gold", "--max-wait", "6s"); strings.Contains(got, "warning") {
		t.Errorf("with prices: got %s, want no warning", got)
	}
}
