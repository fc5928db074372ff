package gateway

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"tollgate/handler/limit"
	"tollgate/handler/telemetry"
	"tollgate/handler/upstream"
)

// Telemetry receives every call once it has been answered. Report must not block.
type Telemetry interface{ Report(telemetry.Call) }

// report writes an ended call to the log, in one line, to the ledger and to telemetry.
// took is the time that its caller waited. None gets a key, a prompt or a completion.
func (g *Gateway) report(c *call, took time.Duration) {
	g.sampleEstimate(c)
	g.log(c, took)
	g.record(c)
	if g.config.Telemetry != nil {
		g.config.Telemetry.Report(g.telemetryCall(c, took))
	}
}

// log writes the call's one line.
func (g *Gateway) log(c *call, took time.Duration) {
	attrs := append(make([]slog.Attr, 0, 16),
		slog.String("request_id", c.requestID),
		slog.Int("status", c.result.status),
		slog.Float64("ms", float64(took.Microseconds())/1000))
	level := slog.LevelInfo
	if c.grant != nil {
		attrs = append(attrs, slog.String("subscription", c.grant.Subscription.ID), slog.String("tier", c.grant.Tier.ID))
	}
	if c.route.operationID != "" {
		attrs = append(attrs, slog.String("operation", c.route.operationID))
	}
	if c.request != nil {
		attrs = append(attrs, slog.String("model", g.reportedModel(c)), slog.Bool("stream", c.request.Envelope().Stream))
	}
	if estimate := c.prompt.estimate; estimate > 0 { // compared with prompt_tokens it shows how well this model's prompts are counted
		attrs = append(attrs, slog.Int64("prompt_estimate", estimate))
	}
	if c.charge.settled {
		attrs = append(attrs, usageAttrs(c.charge.usage)...)
		if c.price.known {
			attrs = append(attrs, slog.String("cost", limit.FormatMoney(c.charge.usage.Cost)))
		}
	}
	if c.hold.shadowCode != "" {
		attrs = append(attrs, slog.String("shadow", c.hold.shadowCode))
	}
	if by := c.refusingLimits(); len(by) > 0 {
		attrs = append(attrs, slog.Any("limits", namesOf(by)))
	}
	if c.hold.degraded {
		attrs = append(attrs, slog.Bool("degraded", true))
	}
	if c.result.outcome != "" {
		attrs = append(attrs, slog.String("outcome", c.result.outcome))
	}
	if c.result.cause != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("cause", c.result.cause.Error()))
	}
	if c.grant == nil {
		g.config.Strangers.Write(level, "call", c.result.outcome, attrs...)
		return
	}
	log := g.config.Log.Handler()
	if !log.Enabled(context.Background(), level) {
		return
	}
	line := slog.NewRecord(time.Now(), level, "call", 0) // Logger.LogAttrs would also look up where in the code it is called
	line.AddAttrs(attrs...)
	_ = log.Handle(context.Background(), line) // a log that fails can't be reported anywhere
}

// usageAttrs returns what a log line says of a call's usage: the parts only where there
// are any.
func usageAttrs(u limit.Usage) []slog.Attr {
	attrs := []slog.Attr{slog.Int64("prompt_tokens", u.PromptTokens), slog.Int64("completion_tokens", u.CompletionTokens)}
	for _, part := range []struct {
		name   string
		tokens int64
	}{{"cached_tokens", u.CachedTokens}, {"cache_write_tokens", u.CacheWriteTokens}, {"reasoning_tokens", u.ReasoningTokens}} {
		if part.tokens > 0 {
			attrs = append(attrs, slog.Int64(part.name, part.tokens))
		}
	}
	return attrs
}

// reportedModel returns the call's model if it is one of Models, else empty: any other
// name is the caller's text, and might be a prompt.
func (g *Gateway) reportedModel(c *call) string {
	if slices.Contains(g.config.Models, c.model) {
		return c.model
	}
	return ""
}

// noRoute is reported in place of a path that has no route: callers can invent any
// number of them.
const noRoute = "(no route)"

// telemetryCall returns the call in telemetry's form.
func (g *Gateway) telemetryCall(c *call, took time.Duration) telemetry.Call {
	done := telemetry.Call{
		RequestID: c.requestID, TraceID: c.trace.id, SpanID: c.trace.span, ParentID: c.trace.parent,
		Started: c.started, Duration: took,
		Method: c.route.method, Route: c.route.pattern, Status: c.result.status, Outcome: c.result.outcome, Refused: c.result.refused,
		RefusedBy: c.refusingLimits(), Shadowed: c.hold.shadowCode, Degraded: c.hold.degraded,
		API: string(c.route.shape), Operation: c.route.operationID, Model: g.reportedModel(c),
		ClientIP: g.config.Addresses.clientOf(c.r), Header: c.r.Header, Estimate: c.prompt.estimate,
		Upstream: c.upstreamPart(),
	}
	if c.route.serve == nil {
		done.Method, done.Route = "ANY", noRoute
	}
	if c.grant != nil {
		done.Subscription, done.Tier, done.Group = c.grant.Subscription.ID, c.grant.Tier.ID, c.grant.Subscription.Group
	}
	if c.request != nil {
		done.Stream = c.request.Envelope().Stream
	}
	if c.charge.settled {
		done.Usage = &telemetry.Usage{Usage: c.charge.usage, Known: c.charge.fromUpstream, Priced: c.price.known, Currency: c.price.quote.Currency}
	}
	for i, s := range c.hold.standings {
		done.Standings = append(done.Standings, telemetry.Standing{Counter: c.hold.limits[i].counter(), PerMinute: s.PerMinute, Used: s.Used, Remaining: s.Remaining,
			Quota: s.Quota, QuotaUsed: s.QuotaUsed, QuotaRemaining: s.QuotaRemaining, QuotaPeriod: string(s.Period)})
	}
	return done
}

// refusingLimits returns the limits that refused the call, or would have but for shadow mode.
func (c *call) refusingLimits() []telemetry.Refusal {
	if len(c.result.refusedBy) > 0 {
		return c.result.refusedBy
	}
	return c.hold.shadowLimits
}

// upstreamPart returns what telemetry reports of the model's endpoint, nil if none was
// asked.
func (c *call) upstreamPart() *telemetry.Upstream {
	if c.upstream.sentAt.IsZero() {
		return nil
	}
	part := &telemetry.Upstream{SpanID: c.trace.upstream, Started: c.upstream.sentAt, Duration: time.Since(c.upstream.sentAt), Failed: c.result.outcome != ""}
	if c.upstream.response != nil {
		part.Endpoint, part.Status, part.Latency = c.upstream.response.Target.Endpoint, 200, c.upstream.answeredAt.Sub(c.upstream.sentAt)
	}
	if !c.upstream.firstTextAt.IsZero() {
		part.FirstToken = c.upstream.firstTextAt.Sub(c.upstream.sentAt)
	}
	if own, ok := errors.AsType[*upstream.StatusError](c.result.cause); ok {
		part.Endpoint, part.Status = own.Endpoint, own.Status
	}
	if failed, ok := errors.AsType[*upstream.Error](c.result.cause); ok {
		part.Endpoint = failed.Endpoint
	}
	return part
}
