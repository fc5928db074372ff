// Package insights is a local Application Insights: it takes telemetry by the
// ingestion protocol, holds every item to the protocol's schema, and keeps what
// arrives. Tests and make run send to it in place of Azure.
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

// MaxBody is the largest request taken, in bytes once unpacked.
const MaxBody = 16 << 20

// maxItem is the largest item, in bytes.
const maxItem = 64 << 10

// Collector takes telemetry. The zero value is ready to use.
type Collector struct {
	// Token, where set, is the bearer token that v2.1/track wants; then v2/track
	// takes nothing, as with disableLocalAuth.
	Token string
	// Answer, where set, may answer a request in the service's place, to play a
	// service in trouble: it says whether it did. The items are the request's,
	// not yet kept.
	Answer func(w http.ResponseWriter, r *http.Request, items []Item) bool
	// Arrived, where set, is told of every item that is kept.
	Arrived func(Item)
	// Refused, where set, is told of what is wrong with items that aren't.
	Refused func(string)

	mu     sync.Mutex
	items  []Item
	faults []string
}

// ConnectionString is what makes an application send to a collector that
// serves at an address, host and port.
func ConnectionString(address string) string {
	return "InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint=http://" + address + "/"
}

// Items are those that arrived so far.
func (c *Collector) Items() []Item {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Item(nil), c.items...)
}

// Faults are what was wrong with items that broke the schema.
func (c *Collector) Faults() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.faults...)
}

// Sum adds up the values of a metric over all items, and says how many values
// they stand for. Where dimensions are given, pairs of name and value, only
// items with all of them count.
func (c *Collector) Sum(metric string, dimensions ...string) (sum float64, count int) {
	for _, item := range c.Items() {
		if item.Metric == nil || item.Metric.Name != metric || !item.has(dimensions) {
			continue
		}
		sum, count = sum+item.Metric.Value, count+item.Metric.Count
	}
	return sum, count
}

func (i *Item) has(dimensions []string) bool {
	for n := 0; n+1 < len(dimensions); n += 2 {
		if i.Properties[dimensions[n]] != dimensions[n+1] {
			return false
		}
	}
	return true
}

// ServeHTTP takes POST /v2/track and POST /v2.1/track.
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
	c.take(w, r, lines)
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
	plain, err := io.ReadAll(io.LimitReader(body, MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("the body is not whole: %w", err)
	}
	if len(plain) > MaxBody {
		return nil, fmt.Errorf("the body is larger than %d bytes", MaxBody)
	}
	var lines [][]byte
	for line := range bytes.SplitSeq(plain, []byte{'\n'}) {
		if len(bytes.TrimSpace(line)) > 0 {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// fault is one item that is not taken.
type fault struct {
	Index      int    `json:"index"`
	StatusCode int    `json:"statusCode"`
	Message    string `json:"message"`
}

// take checks the items, keeps the good ones and answers.
func (c *Collector) take(w http.ResponseWriter, r *http.Request, lines [][]byte) {
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
	c.note(faults)
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
	_ = json.NewEncoder(w).Encode(struct { // whoever sent it may have left
		Received int     `json:"itemsReceived"`
		Accepted int     `json:"itemsAccepted"`
		Errors   []fault `json:"errors"`
	}{len(lines), len(good), faults})
}

func (c *Collector) note(faults []fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range faults {
		c.faults = append(c.faults, f.Message)
		if c.Refused != nil {
			c.Refused(f.Message)
		}
	}
}

// Keep takes items as arrived, for an Answer that takes some.
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
