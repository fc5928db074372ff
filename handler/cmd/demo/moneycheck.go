package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"tollgate/handler/limit"
)

// check returns every difference from docs/money.md.
func (s *story) check() error {
	if len(s.calls) == 0 || s.calls[len(s.calls)-1].status == http.StatusOK {
		return fmt.Errorf("got no refusal of %d calls, want one once %s is spent", len(s.calls), limit.FormatMoney(budget))
	}
	return errors.Join(s.checkCalls(), s.checkAlert(), s.checkReport())
}

// checkCalls checks that calls pass until the budget is spent, and that the next is refused.
func (s *story) checkCalls() error {
	var wrong []error
	passed := len(s.calls) - 1
	if before, after := s.spent(max(0, passed-1)), s.spent(passed); before >= budget || after < budget {
		wrong = append(wrong, fmt.Errorf("got a refusal after %s, and %s before the last call, want it once %s is spent, not later", limit.FormatMoney(after), limit.FormatMoney(before), limit.FormatMoney(budget)))
	}
	for i, c := range s.calls[:passed] {
		if c.status != http.StatusOK || c.cost <= 0 {
			wrong = append(wrong, fmt.Errorf("call %d: got %d at a cost of %s, want 200 at a cost", i+1, c.status, limit.FormatMoney(c.cost)))
		}
	}
	if last := s.calls[passed]; last.status != http.StatusForbidden || last.code != "cost_quota_exceeded" || !strings.HasPrefix(last.reason, "Budget is exceeded. It is renewed in ") {
		wrong = append(wrong, fmt.Errorf("the refusal: got %d %q: %q, want 403 cost_quota_exceeded, and when the budget is renewed", last.status, last.code, last.reason))
	}
	return errors.Join(wrong...)
}

// checkAlert checks that the webhook got the budget's alert once enough was spent, and
// before a call was refused.
func (s *story) checkAlert() error {
	var used limit.Money
	if s.alerted == 0 || s.alerted >= len(s.calls) || json.Unmarshal(s.alert.Used, &used) != nil {
		return fmt.Errorf("got the alert %+v after %d of %d calls, want one before the refusal", s.alert, s.alerted, len(s.calls))
	}
	if spent := s.spent(s.alerted); s.alert.Percent != alertAt || s.alert.Limit != "research/budget" || int64(used)*100 < budget*alertAt || int64(used) > spent {
		return fmt.Errorf("got the alert that %s is at %d%% with %s used of %s spent, want research/budget at %d%%", s.alert.Limit, s.alert.Percent, used, limit.FormatMoney(spent), alertAt)
	}
	return nil
}

// checkReport checks the report against the cost of the answers' usage, to a billionth of a
// dollar.
func (s *story) checkReport() error {
	var wrong []error
	expect := func(what string, got, want int64) {
		if got != want {
			wrong = append(wrong, fmt.Errorf("the report's %s: got %d, want %d", what, got, want))
		}
	}
	passed := len(s.calls) - 1
	total := s.report.Total.Used
	expect("calls", total.Calls, int64(passed))
	expect("refused calls", total.Refused, 1)
	expect("calls without a price", total.Unpriced, 0)
	expect("cost in billionths", int64(total.Cost), s.spent(passed))
	byModel := make(map[string]int64)
	for _, c := range s.calls[:passed] {
		byModel[c.model] += c.cost
	}
	expect("models", int64(len(s.report.Models)), int64(len(spenders)))
	for _, m := range s.report.Models {
		expect("cost of "+m.Model, int64(m.Used.Cost), byModel[m.Model])
	}
	expect("groups", int64(len(s.report.Groups)), 1)
	for _, g := range s.report.Groups {
		expect("cost of the group "+g.Group, int64(g.Used.Cost), map[string]int64{"research": s.spent(passed)}[g.Group])
	}
	return errors.Join(wrong...)
}
