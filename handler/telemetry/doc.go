// Package telemetry turns finished calls into metrics and request items.
//
// A [Reporter] adds up calls and passes the sums to a [Sink] once an interval: token
// metrics with the names and dimensions of APIM's llm-emit-token-metric, metrics of the
// limits and the counters, and a sample of single calls. Reporting a call never waits for
// the network and never fails, and memory is bounded. No decision depends on telemetry,
// and lost token metrics can be sent again from the ledger.
//
// Start reading at [Reporter.Report].
package telemetry
