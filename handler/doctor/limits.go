package doctor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// checkLimits reports limits that can never refuse a call and limits that are the same as faults,
// and groups without limits and overrides that have ended as notes.
func checkLimits(ctx context.Context, directory subscription.Store) (string, error) {
	l, err := list(ctx, directory)
	if err != nil {
		return "", err
	}
	var wrong, notes []string
	for _, t := range l.tiers {
		wrong = append(wrong, ineffective("tier "+t.ID, t.Limits, t.Models)...)
	}
	for _, g := range l.groups {
		wrong = append(wrong, ineffective("group "+g.ID, g.Limits, nil)...)
		if len(g.Limits) == 0 {
			notes = append(notes, fmt.Sprintf("group %s has no limits", g.ID))
		}
	}
	now := time.Now()
	for _, s := range l.subs {
		for _, o := range s.Overrides.Limits {
			if !o.Until.IsZero() && !now.Before(o.Until) {
				notes = append(notes, fmt.Sprintf("subscription %s's override of %s ended at %s", s.ID, o.Name, o.Until.UTC().Format(time.RFC3339)))
			}
		}
	}
	if wrong != nil {
		return "", errors.New(firstFew(wrong))
	}
	if notes != nil {
		return firstFew(notes), nil
	}
	return "every limit has an effect, and no two are the same", nil
}

// ineffective lists limits of a tier or group that can never refuse a call. served are the models
// that its calls may name; empty: all.
func ineffective(owner string, limits []subscription.Limit, served []string) (found []string) {
	for i, l := range limits {
		if len(served) > 0 && len(l.Models) > 0 && !slices.ContainsFunc(l.Models, func(model string) bool { return slices.Contains(served, model) }) {
			found = append(found, fmt.Sprintf("limit %s of %s has no effect: it is for models that the tier's calls may not name: correct its models, or remove it", l.Name, owner))
		}
		for j, other := range limits {
			switch {
			case i == j || !sameCounting(l, other):
			case sameAmounts(l, other):
				if j < i {
					found = append(found, fmt.Sprintf("limits %s and %s of %s are the same: remove one", other.Name, l.Name, owner))
				}
			case !other.Shadow && covers(other, l) && within(other, l):
				found = append(found, fmt.Sprintf("limit %s of %s has no effect, because %s is always reached first: lower it, or remove it", l.Name, owner, other.Name))
			}
		}
	}
	return found
}

// sameCounting reports whether two limits count the same of the calls that both apply to,
// by the same key.
func sameCounting(a, b subscription.Limit) bool {
	return a.Measure() == b.Measure() && a.CounterKey == b.CounterKey
}

// sameAmounts reports whether two limits of the same counting differ at most by name and
// alerts.
func sameAmounts(a, b subscription.Limit) bool {
	return a.Windows(0) == b.Windows(0) && a.Shadow == b.Shadow && reflect.DeepEqual(a.Models, b.Models)
}

// covers reports whether every call that b applies to is charged to a.
func covers(a, b subscription.Limit) bool {
	if len(a.Models) == 0 {
		return true
	}
	return len(b.Models) > 0 && !slices.ContainsFunc(b.Models, func(model string) bool { return !slices.Contains(a.Models, model) })
}

// within reports whether a lets pass no more than b allows in each window of b.
func within(a, b subscription.Limit) bool {
	minute := b.PerMinute == 0 || a.PerMinute > 0 && a.PerMinute <= b.PerMinute && a.PerMinute+a.Burst <= b.PerMinute+b.Burst
	quota := b.Quota == 0 || a.Quota > 0 && a.Quota <= b.Quota && (a.Period == b.Period || contains(a.Period, b.Period))
	return minute && quota
}

// contains reports whether each window of a shorter period lies within one window of a longer
// one.
func contains(longer, shorter limit.Period) bool {
	order := []limit.Period{limit.Hourly, limit.Daily, limit.Monthly, limit.Yearly}
	if shorter == limit.Weekly {
		return false
	}
	if longer == limit.Weekly {
		return shorter == limit.Hourly || shorter == limit.Daily
	}
	return slices.Index(order, shorter) < slices.Index(order, longer)
}
