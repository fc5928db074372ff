package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tollgate/handler/manage"
)

// client asks the operators' API: a deployed gateway's, or this program's own
// over the tables. So each command is written once, and every change has its
// row in the audit.
type client struct {
	base  string // below which the paths are
	http  *http.Client
	token func(context.Context) (string, error)
	where string // for errors
}

// request is what is asked.
type request struct {
	method, path string
	query        url.Values
	body         any  // nil: none
	fresh        bool // it must not exist
	there        bool // it must exist
}

// do makes a request and decodes the answer into a value, which may be nil. A
// refusal is a *manage.Problem.
func (c *client) do(ctx context.Context, r request, into any) error {
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	address := c.base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	asked, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return err
	}
	token, err := c.token(ctx)
	if err != nil {
		return err
	}
	asked.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		asked.Header.Set("Content-Type", "application/json")
	}
	if r.fresh {
		asked.Header.Set("If-None-Match", "*")
	}
	if r.there {
		asked.Header.Set("If-Match", "*")
	}
	response, err := c.http.Do(asked)
	if err != nil {
		return fmt.Errorf("%s can't be reached: %w", c.where, cause(err))
	}
	defer response.Body.Close()
	return c.read(response, into)
}

// largestAnswer bounds what is read, in bytes: a history of many counters.
const largestAnswer = 64 << 20

func (c *client) read(response *http.Response, into any) error {
	text, err := io.ReadAll(io.LimitReader(response.Body, largestAnswer))
	if err != nil {
		return fmt.Errorf("%s broke off its answer: %w", c.where, err)
	}
	if response.StatusCode >= http.StatusMultipleChoices { // no redirect is the API's
		var p manage.Problem
		if strings.HasPrefix(response.Header.Get("Content-Type"), "application/problem+json") && json.Unmarshal(text, &p) == nil && p.Code != "" {
			return &p
		}
		return fmt.Errorf("%s answered %s: is /manage on there? MANAGE_ISSUER and MANAGE_AUDIENCE, or MANAGE_KEY, turn it on", c.where, response.Status)
	}
	if response.StatusCode == http.StatusNoContent {
		return nil
	}
	if into == nil {
		into = new(json.RawMessage) // of which nothing is needed, but that it is the API's
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s answered with what isn't its API's JSON: is it a Tollgate?", c.where)
	}
	return nil
}

// cause is a transport's error without the address, which the caller names.
func cause(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

// all reads every page of a list, and says how far it is.
func all[T any](ctx context.Context, a *app, c *client, path string, query url.Values) ([]T, error) {
	var items []T
	query = clone(query)
	query.Set("limit", "1000")
	defer a.progress("")
	for {
		var page struct {
			Items []T
			Next  string
		}
		if err := c.do(ctx, request{method: http.MethodGet, path: path, query: query}, &page); err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		if page.Next == "" {
			return items, nil
		}
		a.progress("%s read", number(int64(len(items))))
		query.Set("after", page.Next)
	}
}

func clone(query url.Values) url.Values {
	copied := make(url.Values, len(query)+1)
	for name, values := range query {
		copied[name] = values
	}
	return copied
}

// set puts into a query what is not empty.
func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

// inside is a transport that has a handler of this process answer.
type inside struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (t inside) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := &recorder{header: make(http.Header), status: http.StatusOK}
	t.handler.ServeHTTP(w, r)
	return &http.Response{StatusCode: w.status, Status: http.StatusText(w.status), Header: w.header, Body: io.NopCloser(&w.body), Request: r}, nil
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) WriteHeader(status int)      { w.status = status }
func (w *recorder) Write(p []byte) (int, error) { return w.body.Write(p) }

// answerTime bounds one answer of a deployed gateway: below Azure's front end's
// own limit.
const answerTime = 2 * time.Minute
