// Package appinsights sends telemetry to Application Insights.
//
// It makes items with the contracts of microsoft/ApplicationInsights-Go, but sends them
// itself: that library's channel has no metric namespaces, Entra tokens, timeouts,
// bounded queue or count of lost items. A [Client] packs each batch into gzipped payloads
// and queues them up to a size; one goroutine sends them, retries, and finds the items
// that the service rejects.
//
// Start reading at [Client.Send] and sender.handleFailure.
package appinsights
