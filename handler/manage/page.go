package manage

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A list is answered in pages.
const (
	usualPage   = 100
	largestPage = 1000
)

// page is a part of a list, and where the next one begins.
type page[T any] struct {
	Items []T `json:"items"`
	// Next is what after must be to go on; absent at the end.
	Next string `json:"next,omitempty"`
}

// query reads a request's query, and collects what is wrong with it.
type query struct {
	values url.Values
	known  []string
	faults []error
}

func (c *call) query() *query { return &query{values: c.URL.Query()} }

// text is a parameter that may be left out.
func (q *query) text(name string) string {
	q.known = append(q.known, name)
	return q.values.Get(name)
}

func (q *query) fault(name, problem, fix string) {
	q.faults = append(q.faults, fieldError(name, problem, fix))
}

// oneOf is a parameter with few values, the first where it is left out.
func (q *query) oneOf(name string, allowed ...string) string {
	value := q.text(name)
	if value == "" {
		return allowed[0]
	}
	if !slices.Contains(allowed, value) {
		q.fault(name, fmt.Sprintf("%q is unknown", value), "use "+strings.TrimPrefix(strings.Join(allowed, ", "), ", "))
	}
	return value
}

// limit is how many items a page has.
func (q *query) limit() int {
	text := q.text("limit")
	if text == "" {
		return usualPage
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > largestPage {
		q.fault("limit", fmt.Sprintf("%q is out of range", text), fmt.Sprintf("use 1 to %d", largestPage))
	}
	return n
}

// err is what is wrong, unknown parameters included: a misspelt filter would
// be none.
func (q *query) err() error {
	for name := range q.values {
		if !slices.Contains(q.known, name) {
			q.fault(name, "is an unknown parameter", "use "+strings.Join(q.known, ", "))
		}
	}
	return joined(q.faults)
}

// cut takes the page after an id from a list that is ordered by id.
func cut[T any](all []T, id func(T) string, after string, limit int) page[T] {
	from := len(all)
	for i, item := range all {
		if id(item) > after {
			from = i
			break
		}
	}
	to := min(from+limit, len(all))
	p := page[T]{Items: all[from:to:to]}
	if p.Items == nil {
		p.Items = []T{}
	}
	if to < len(all) {
		p.Next = id(all[to-1])
	}
	return p
}

// found says whether any of texts has the words searched for, in whatever case.
func found(search string, texts ...string) bool {
	if search == "" {
		return true
	}
	search = strings.ToLower(search)
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(strings.ToLower(text), search) })
}
