// Package insights is a local Application Insights: it accepts telemetry over the
// ingestion protocol, checks every item against the protocol's schema, and keeps the
// valid ones. Tests and "make run" send to it instead of Azure.
//
// Start reading at [Collector].
package insights

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// maxBody is the size limit of a request after decompression, in bytes.
const maxBody = 16 << 20

// maxItem is the size limit of an item, in bytes.
const maxItem = 64 << 10

// A Collector accepts telemetry. The zero value is ready to use.
type Collector struct {
	// Token, if set, is the bearer token that v2.1/track requires; v2/track then
	// accepts nothing, as with disableLocalAuth.
	Token string
	// Answer, if set, may answer a request in the Collector's place, to simulate a failing
	// service. It reports whether it did. items are the valid items of the request, which
	// haven't been kept.
	Answer func(w http.ResponseWriter, r *http.Request, items []Item) bool
	// Arrived, if set, is called with every item that is kept.
	Arrived func(Item)
	// Refused, if set, is called with the fault of every invalid item.
	Refused func(string)

	mu     sync.Mutex
	items  []Item
	faults []string
}

// ConnectionString returns the connection string of a collector at an address,
// host:port.
func ConnectionString(address string) string {
	return "InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint=http://" + address + "/"
}

// Items returns the items kept so far.
func (c *Collector) Items() []Item {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Item(nil), c.items...)
}

// Faults returns the faults of items that broke the schema.
func (c *Collector) Faults() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.faults...)
}

// Sum returns the sum of a metric over all items, and the number of values in it. With
// dimensions, pairs of name and value, it counts only items that have all of them.
func (c *Collector) Sum(metric string, dimensions ...string) (sum float64, count int) {
	for _, item := range c.Items() {
		if item.Metric == nil || item.Metric.Name != metric || !item.has(dimensions) {
			continue
		}
		sum, count = sum+item.Metric.Value, count+item.Metric.Count
	}
	return sum, count
}

// has reports whether the item has all dimensions, pairs of name and value.
func (i *Item) has(dimensions []string) bool {
	for n := 0; n+1 < len(dimensions); n += 2 {
		if i.Properties[dimensions[n]] != dimensions[n+1] {
			return false
		}
	}
	return true
}

// ServeHTTP serves POST /v2/track and POST /v2.1/track.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	local, entra := r.URL.Path == "/v2/track", r.URL.Path == "/v2.1/track"
	switch {
	case !local && !entra:
		http.NotFound(w, r)
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	case c.Token != "" && local: // as the service does with disableLocalAuth
		w.WriteHeader(http.StatusBadRequest)
		return
	case entra && r.Header.Get("Authorization") == "", c.Token != "" && r.Header.Get("Authorization") != "Bearer "+c.Token:
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	lines, err := unpack(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.collect(w, r, lines)
}

// unpack reads the request's items, one a line.
func unpack(r *http.Request) ([][]byte, error) {
	if kind := r.Header.Get("Content-Type"); kind != "application/x-json-stream" {
		return nil, fmt.Errorf("Content-Type is %q, not application/x-json-stream", kind)
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return nil, fmt.Errorf("the body is not gzip: %w", err)
		}
		body = unzipped
	}
	plain, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("the body is incomplete: %w", err)
	}
	if len(plain) > maxBody {
		return nil, fmt.Errorf("the body is larger than %d bytes", maxBody)
	}
	var lines [][]byte
	for line := range bytes.SplitSeq(plain, []byte{'\n'}) {
		if len(bytes.TrimSpace(line)) > 0 {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// A fault is an item that is not accepted.
type fault struct {
	Index      int    `json:"index"`
	StatusCode int    `json:"statusCode"`
	Message    string `json:"message"`
}

// collect checks the items, keeps the valid ones and answers.
func (c *Collector) collect(w http.ResponseWriter, r *http.Request, lines [][]byte) {
	faults := []fault{}
	var good []Item
	for i, line := range lines {
		item, err := Read(line)
		if err != nil {
			faults = append(faults, fault{i, http.StatusBadRequest, err.Error()})
			continue
		}
		good = append(good, item)
	}
	c.recordFaults(faults)
	if c.Answer != nil && c.Answer(w, r, good) {
		return
	}
	c.Keep(good)
	status := http.StatusOK
	switch {
	case len(good) == 0 && len(faults) > 0:
		status = http.StatusBadRequest
	case len(faults) > 0:
		status = http.StatusPartialContent
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct { // the client may have left
		Received int     `json:"itemsReceived"`
		Accepted int     `json:"itemsAccepted"`
		Errors   []fault `json:"errors"`
	}{len(lines), len(good), faults})
}

func (c *Collector) recordFaults(faults []fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range faults {
		c.faults = append(c.faults, f.Message)
		if c.Refused != nil {
			c.Refused(f.Message)
		}
	}
}

// Keep keeps items, for an Answer that accepts some.
func (c *Collector) Keep(items []Item) {
	c.mu.Lock()
	c.items = append(c.items, items...)
	c.mu.Unlock()
	if c.Arrived != nil {
		for _, item := range items {
			c.Arrived(item)
		}
	}
}
