// Package appinsights sends telemetry to Application Insights through
// microsoft/ApplicationInsights-Go. That library envelopes, batches and packs;
// it never sees the network: its HTTP client hands every batch to a bounded
// queue here and calls it accepted. So none of its goroutines lives longer
// than a moment, whatever the service does, and what it lacks is done here:
// the metric's namespace, Entra tokens, time limits, every form of
// Retry-After, partial acceptance, and a count of what was lost.
package appinsights
