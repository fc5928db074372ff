// Package appinsights sends telemetry to Application Insights. It makes items
// of microsoft/ApplicationInsights-Go's contracts and sends them itself,
// because that library's channel has no metric namespace, Entra tokens, time
// limits, bound on what waits, or count of what was lost.
package appinsights
