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

// Telemetry is told of every call once it is answered. Report must not wait.
type Telemetry interface{ Report(telemetry.Call) }

// report tells of a call that is over, and took so long for its caller: the log in one line, and telemetry.
// Neither is told a key, a prompt or a completion.
func (g *Gateway) report(c *call, took time.Duration) {
	g.compare(c)
	g.log(c, took)
	if g.Telemetry != nil {
		g.Telemetry.Report(g.finished(c, took))
	}
}

// log writes the call's one line.
func (g *Gateway) log(c *call, took time.Duration) {
	attrs := []slog.Attr{
		slog.String("request_id", c.requestID),
		slog.Int("status", c.status),
		slog.Float64("ms", float64(took.Microseconds())/1000),
	}
	level := slog.LevelInfo
	if c.grant != nil {
		attrs = append(attrs, slog.String("subscription", c.grant.Subscription.ID), slog.String("tier", c.grant.Tier.ID))
	}
	if c.request != nil {
		attrs = append(attrs, slog.String("model", g.modelOf(c)), slog.Bool("stream", c.request.Stream))
	}
	if estimate := c.estimate; estimate > 0 { // beside prompt_tokens it shows how well this model's are counted
		attrs = append(attrs, slog.Int64("prompt_estimate", estimate))
	}
	if c.settled {
		attrs = append(attrs, slog.Int64("prompt_tokens", c.usage.PromptTokens), slog.Int64("completion_tokens", c.usage.CompletionTokens))
	}
	if c.shadow != "" {
		attrs = append(attrs, slog.String("shadow", c.shadow))
	}
	if c.degraded {
		attrs = append(attrs, slog.Bool("degraded", true))
	}
	if c.outcome != "" {
		attrs = append(attrs, slog.String("outcome", c.outcome))
	}
	if c.cause != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("cause", c.cause.Error()))
	}
	if c.grant == nil {
		g.Strangers.Write(level, "call", c.outcome, attrs...)
		return
	}
	g.Log.LogAttrs(context.WithoutCancel(c.r.Context()), level, "call", attrs...)
}

// modelOf is the call's model where there is one of that name: what else stands
// there is the caller's text, and might be a prompt.
func (g *Gateway) modelOf(c *call) string {
	if slices.Contains(g.Models, c.model) {
		return c.model
	}
	return ""
}

// noRoute stands for a path that is nothing: callers can make any number up.
const noRoute = "(no route)"

// finished is the call as telemetry takes it.
func (g *Gateway) finished(c *call, took time.Duration) telemetry.Call {
	done := telemetry.Call{
		RequestID: c.requestID, TraceID: c.trace.id, SpanID: c.trace.span, ParentID: c.trace.parent,
		Started: c.started, Duration: took,
		Method: c.route.method, Route: c.route.pattern, Status: c.status, Outcome: c.outcome, Refused: c.refused,
		Shadowed: c.shadow, Degraded: c.degraded,
		API: string(c.route.shape), Operation: c.route.operation, Model: g.modelOf(c),
		ClientIP: g.Addresses.of(c.r), Header: c.r.Header, Estimate: c.estimate,
		Upstream: c.upstreamPart(),
	}
	if c.route.serve == nil {
		done.Method, done.Route = "ANY", noRoute
	}
	if c.grant != nil {
		done.Subscription, done.Tier = c.grant.Subscription.ID, c.grant.Tier.ID
	}
	if c.request != nil {
		done.Stream = c.request.Stream
	}
	if c.settled {
		done.Usage = &telemetry.Usage{PromptTokens: c.usage.PromptTokens, CompletionTokens: c.usage.CompletionTokens, Known: c.told}
	}
	if s := c.standing; s != (limit.Standing{}) {
		done.Standing = &telemetry.Standing{TokensPerMinute: s.TokensPerMinute, Remaining: s.Remaining,
			Quota: s.Quota, QuotaUsed: s.QuotaUsed, QuotaRemaining: s.QuotaRemaining, QuotaPeriod: string(s.Period)}
	}
	return done
}

// upstreamPart is how the model's endpoint did, nil if it was not asked.
func (c *call) upstreamPart() *telemetry.Upstream {
	if c.asked.IsZero() {
		return nil
	}
	part := &telemetry.Upstream{SpanID: c.trace.upstream, Started: c.asked, Duration: time.Since(c.asked), Failed: c.outcome != ""}
	if c.response != nil {
		part.Endpoint, part.Status, part.Latency = c.response.Target.Endpoint, 200, c.answered.Sub(c.asked)
	}
	if !c.wrote.IsZero() {
		part.FirstToken = c.wrote.Sub(c.asked)
	}
	if own, ok := errors.AsType[*upstream.StatusError](c.cause); ok {
		part.Endpoint, part.Status = own.Endpoint, own.Status
	}
	if failed, ok := errors.AsType[*upstream.Error](c.cause); ok {
		part.Endpoint = failed.Endpoint
	}
	return part
}
