// Package appinsights sends telemetry to Application Insights.
//
// It makes items with the contracts of microsoft/ApplicationInsights-Go and sends them
// itself, because that library's channel has no metric namespaces, Entra tokens,
// timeouts, bounded queue or count of lost items. Client packs each batch into gzipped
// payloads, a queue holds them within a bound, and one goroutine sends them, retries,
// and finds the items that the service rejects. Start reading at Client.Send and
// sender.handleFailure.
package appinsights
