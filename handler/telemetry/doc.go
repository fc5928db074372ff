// Package telemetry gathers what finished calls took and how they went, and
// hands it to a Sink once an interval: token metrics under the names and
// dimensions of APIM's llm-emit-token-metric, what the limits and counters
// did, and a sample of single calls. Reporting a call never blocks and never
// fails; what is kept is bounded. The counters' tables are the truth: what is
// lost here can be had from them again.
package telemetry
