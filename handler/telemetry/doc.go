// Package telemetry turns finished calls into metrics and request items.
//
// A Reporter adds up calls and passes the sums to a Sink once an interval: token
// metrics with the names and dimensions of APIM's llm-emit-token-metric, metrics of
// the limits and the counters, and a sample of single calls. Report never blocks and
// never fails, and memory is bounded. Nothing is decided by telemetry: metrics that
// are lost can be sent again from the usage tables. Start reading at Reporter.Report.
package telemetry
