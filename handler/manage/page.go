package manage

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Numbers of items on a page of a list.
const (
	defaultPageSize = 100
	maxPageSize     = 1000
)

// A page is one page of a list.
type page[T any] struct {
	Items []T `json:"items"`
	// Next is the value of the parameter after for the next page; absent on the last page.
	Next string `json:"next,omitempty"`
}

// A query reads a request's query parameters and collects their faults.
type query struct {
	values url.Values
	known  []string // names of the parameters read
	faults []error
}

func (c *call) query() *query { return &query{values: c.URL.Query()} }

// param returns an optional parameter.
func (q *query) param(name string) string {
	q.known = append(q.known, name)
	return q.values.Get(name)
}

// addFault adds a fault of a parameter.
func (q *query) addFault(name, problem, fix string) {
	q.faults = append(q.faults, fieldError(name, problem, fix))
}

// choice returns a parameter that must have one of the allowed values; the first is the default.
func (q *query) choice(name string, allowed ...string) string {
	value := q.param(name)
	if value == "" {
		return allowed[0]
	}
	if !slices.Contains(allowed, value) {
		q.addFault(name, fmt.Sprintf("%q is unknown", value), "use "+strings.TrimPrefix(strings.Join(allowed, ", "), ", "))
	}
	return value
}

// flag returns a parameter that is true or, by default, false.
func (q *query) flag(name string) bool { return q.choice(name, "false", "true") == "true" }

// pageSize returns the number of items per page.
func (q *query) pageSize() int {
	text := q.param("limit")
	if text == "" {
		return defaultPageSize
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPageSize {
		q.addFault("limit", fmt.Sprintf("%q is out of range", text), fmt.Sprintf("use 1 to %d", maxPageSize))
	}
	return n
}

// err returns all faults. Unknown parameters are faults, because a misspelt filter would
// otherwise be ignored.
func (q *query) err() error {
	for name := range q.values {
		if !slices.Contains(q.known, name) {
			q.addFault(name, "is an unknown parameter", "use "+strings.Join(q.known, ", "))
		}
	}
	return errors.Join(q.faults...)
}

// paginate returns the page that follows an id, of a list ordered by id.
func paginate[T any](all []T, id func(T) string, after string, limit int) page[T] {
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

// matches reports whether one of texts contains the search text, ignoring case.
func matches(search string, texts ...string) bool {
	if search == "" {
		return true
	}
	search = strings.ToLower(search)
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(strings.ToLower(text), search) })
}
