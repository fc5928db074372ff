// Package alert tells operators when a counter has used a percent of its quota that the
// limit names (alertAt): in the log, as an event in Application Insights, and by a webhook.
// Package counter raises each alert at one instance only, once for each counter, period and
// percent. A Notifier writes it to the log at once, and posts it to the webhook from a
// queue, with retries.
//
// Start reading at [Notifier.Notify].
package alert

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
	"tollgate/handler/subscription"
	"tollgate/handler/telemetry"
)

// An Alert says that a percent of a counter's quota is used. Its JSON is the body of the
// webhook's request. Amounts are JSON numbers in the limit's unit, or quoted decimals if
// they are money.
type Alert struct {
	// ID is made from the counter, the period and the percent, so an alert that is sent
	// again has the same ID.
	ID string `json:"id"`
	// At is when the alert was raised.
	At time.Time `json:"at"`
	// Percent is the percent of the limit's alertAt that was reached. Used may be more.
	Percent int `json:"percent"`
	// Limit is the limit's full name: a group's begins with the group's id and a slash.
	Limit string     `json:"limit"`
	Unit  limit.Unit `json:"unit"`
	Owner Owner      `json:"owner"`
	// Counter is the counter's key. It holds headers' values as hashes only.
	Counter string          `json:"counter"`
	Used    json.RawMessage `json:"used"`
	Quota   json.RawMessage `json:"quota"`
	Period  limit.Period    `json:"period"`
	// ResetAt is when the period ends.
	ResetAt time.Time `json:"resetAt"`

	amountUsed, amountOfQuota int64 // Used and Quota as numbers
}

// An Owner is the subscription, tier or group that the counter belongs to: exactly one of
// the three is set.
type Owner struct {
	Subscription string `json:"subscription,omitempty"`
	Tier         string `json:"tier,omitempty"`
	Group        string `json:"group,omitempty"`
}

// alertOf describes a counter's alert.
func alertOf(a counter.Alert, now time.Time) Alert {
	of, s := subscription.CounterNameOf(a.Key), a.Standing
	name, unit := of.LimitName()
	if of.Group != "" {
		name = of.Group + "/" + name
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%d", a.Key, s.QuotaStartedAt.Unix(), a.Percent))
	return Alert{ID: hex.EncodeToString(sum[:16]), At: now.UTC(), Percent: a.Percent,
		Limit: name, Unit: unit, Owner: Owner(of.Owner), Counter: a.Key,
		Used: limit.Amount{N: s.QuotaUsed, Unit: unit}.JSON(), Quota: limit.Amount{N: s.Quota, Unit: unit}.JSON(),
		Period: s.Period, ResetAt: s.QuotaResetAt.UTC(), amountUsed: s.QuotaUsed, amountOfQuota: s.Quota}
}

// attrs returns the attributes of the alert's log line.
func (a *Alert) attrs() []slog.Attr {
	return []slog.Attr{slog.String("id", a.ID), slog.Int("percent", a.Percent), slog.String("limit", a.Limit), slog.String("unit", string(a.Unit)),
		slog.Any("owner", a.Owner), slog.String("counter", a.Counter), slog.Any("used", a.Used), slog.Any("quota", a.Quota),
		slog.String("period", string(a.Period)), slog.Time("reset_at", a.ResetAt)}
}

// event returns the alert's event for Application Insights.
func (a *Alert) event() telemetry.Event {
	return telemetry.Event{Name: telemetry.LimitThreshold, At: a.At,
		Properties: map[string]string{"Alert ID": a.ID, "Limit": a.Limit, "Unit": string(a.Unit), "Counter": a.Counter,
			"Subscription ID": a.Owner.Subscription, "Product ID": a.Owner.Tier, "Group ID": a.Owner.Group,
			"Quota Period": string(a.Period), "Reset At": a.ResetAt.Format(time.RFC3339)},
		Measurements: map[string]float64{"Percent": float64(a.Percent),
			telemetry.QuotaUsed: telemetry.Amount(a.Unit, a.amountUsed), telemetry.QuotaLimit: telemetry.Amount(a.Unit, a.amountOfQuota)}}
}
