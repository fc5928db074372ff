package main

import (
	"encoding/json"
	"errors"
	"testing"

	"tollgate/handler/alert"
	"tollgate/handler/ledger"
	"tollgate/handler/limit"
	"tollgate/handler/local/azurite"
	"tollgate/handler/manage"
)

func TestTheDemoSpendsItsBudgetAsDocumented(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it starts the demo")
	}
	t.Parallel()
	opening.Lock()
	s, err := startMoney(t.Context())
	opening.Unlock()
	if errors.Is(err, azurite.ErrNotInstalled) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	if err := s.spendBudget(t.Context()); err != nil {
		t.Errorf("the demo of money: got %v, want no difference", err)
	}
}

// documented returns a story without a difference from docs/money.md: two calls of each
// model, of which the third reaches the alert's percent and the fourth the budget.
func documented() *story {
	s := &story{alerted: 3, alert: alert.Alert{Percent: alertAt, Limit: "research/budget", Used: json.RawMessage(`"0.0245"`)}}
	r := spenders[0]
	m := spenders[1]
	for i, cost := range []int64{10_000_000, 4_500_000, 10_000_000, 5_500_000} {
		s.calls = append(s.calls, purchase{spender: []spender{r, m}[i%2], status: 200, cost: cost})
	}
	s.calls = append(s.calls, purchase{spender: r, status: 403, code: "cost_quota_exceeded", reason: "Budget is exceeded. It is renewed in 1 day."})
	part := func(calls, refused int64, cost limit.Money) manage.Part {
		return manage.Part{Used: ledger.Counts{Calls: calls, Refused: refused, Cost: cost}}
	}
	s.report = manage.Report{Total: part(4, 1, 30_000_000), Groups: []manage.GroupPart{{Group: "research", Part: part(4, 1, 30_000_000)}},
		Models: []manage.ModelPart{{Model: r.model, Part: part(2, 1, 20_000_000)}, {Model: m.model, Part: part(2, 0, 10_000_000)}}}
	return s
}

func TestCheckOfMoneyReportsDifferences(t *testing.T) {
	if err := documented().check(); err != nil {
		t.Errorf("for the demo's calls got %v, want no difference", err)
	}
	for name, spoil := range map[string]func(*story){
		"no refusal":          func(s *story) { s.calls = s.calls[:4] },
		"no calls":            func(s *story) { s.calls = nil },
		"another status":      func(s *story) { s.calls[4].status = 429 },
		"another code":        func(s *story) { s.calls[4].code = "token_quota_exceeded" },
		"another message":     func(s *story) { s.calls[4].reason = "No." },
		"refused too early":   func(s *story) { s.calls = append(s.calls[:3], s.calls[4]) },
		"refused too late":    func(s *story) { s.calls = append([]purchase{s.calls[0]}, s.calls...) },
		"a failed call":       func(s *story) { s.calls[1].status = 500 },
		"no alert":            func(s *story) { s.alerted, s.alert = 0, alert.Alert{} },
		"another percent":     func(s *story) { s.alert.Percent = 100 },
		"another limit":       func(s *story) { s.alert.Limit = "research/other" },
		"alerted too early":   func(s *story) { s.alert.Used = json.RawMessage(`"0.023"`) },
		"alerted of too much": func(s *story) { s.alert.Used = json.RawMessage(`"0.0246"`) },
		"a billionth more":    func(s *story) { s.report.Total.Used.Cost++ },
		"of a model":          func(s *story) { s.report.Models[1].Used.Cost++ },
		"of a group":          func(s *story) { s.report.Groups[0].Used.Cost++ },
		"no group":            func(s *story) { s.report.Groups = nil },
		"a model is missing":  func(s *story) { s.report.Models = s.report.Models[:1] },
		"a call is missing":   func(s *story) { s.report.Total.Used.Calls-- },
		"no refusal reported": func(s *story) { s.report.Total.Used.Refused-- },
		"a call unpriced":     func(s *story) { s.report.Total.Used.Unpriced++ },
	} {
		s := documented()
		if spoil(s); s.check() == nil {
			t.Errorf("%s: got no difference, want one", name)
		}
	}
}
