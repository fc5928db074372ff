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
	"strconv"
	"strings"
	"time"

	"tollgate/handler/manage"
)

// A client calls the operators' API: a deployed gateway's, or this process's own on top
// of the tables. Commands work the same with both, and every change is audited.
type client struct {
	base   string // prefix of all paths
	http   *http.Client
	token  func(context.Context) (string, error)
	server string // what errors call the server
}

// A request is one call of the operators' API.
type request struct {
	method, path string
	query        url.Values
	body         any   // nil: none
	mustNotExist bool  // the resource must not exist
	mustExist    bool  // the resource must exist
	version      int64 // the resource must have this version; 0: any
}

// do makes a request and decodes the answer, unless into is nil. If the API
// refuses the request, the error is a *manage.Problem.
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
	httpRequest, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return err
	}
	token, err := c.token(ctx)
	if err != nil {
		return err
	}
	httpRequest.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		httpRequest.Header.Set("Content-Type", "application/json")
	}
	if r.mustNotExist {
		httpRequest.Header.Set("If-None-Match", "*")
	}
	if r.mustExist {
		httpRequest.Header.Set("If-Match", "*")
	}
	if r.version != 0 {
		httpRequest.Header.Set("If-Match", fmt.Sprintf("%q", strconv.FormatInt(r.version, 10)))
	}
	response, err := c.http.Do(httpRequest)
	if err != nil {
		return fmt.Errorf("%s can't be reached: %w", c.server, cause(err))
	}
	defer response.Body.Close()
	return c.read(response, into)
}

// maxAnswer is the largest answer, in bytes: enough for a long history of many subscriptions.
const maxAnswer = 64 << 20

// read decodes an answer, or returns its error.
func (c *client) read(response *http.Response, into any) error {
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s broke off its answer: %w", c.server, err)
	}
	if response.StatusCode >= http.StatusMultipleChoices { // the API never redirects
		var p manage.Problem
		if strings.HasPrefix(response.Header.Get("Content-Type"), "application/problem+json") && json.Unmarshal(text, &p) == nil && p.Code != "" {
			return &p
		}
		return fmt.Errorf("%s answered %s: is /manage turned on there? Set MANAGE_ISSUER and MANAGE_AUDIENCE, or MANAGE_KEY, to turn it on", c.server, response.Status)
	}
	if response.StatusCode == http.StatusNoContent {
		return nil
	}
	if into == nil {
		into = new(json.RawMessage) // only to check that the answer is JSON
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s answered with something other than the API's JSON: is it a Tollgate gateway?", c.server)
	}
	return nil
}

// cause returns a transport's error without the URL, since the caller names the server.
func cause(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

// readPages reads every page of a list and shows its progress.
func readPages[T any](ctx context.Context, a *app, c *client, path string, query url.Values) ([]T, error) {
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

// readList reads every page of a list. If the list is empty, it prints a note: none if query
// has no filter, otherwise noMatch.
func readList[T any](ctx context.Context, a *app, path string, query url.Values, none, noMatch string) ([]T, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	items, err := readPages[T](ctx, a, c, path, query)
	if err == nil && len(items) == 0 {
		a.note("%s", ifElse(len(query) == 0, none, noMatch))
	}
	return items, err
}

func clone(query url.Values) url.Values {
	copied := make(url.Values, len(query)+1)
	for name, values := range query {
		copied[name] = values
	}
	return copied
}

// set sets a query parameter unless its value is empty.
func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

// A localTransport passes requests to a handler in this process.
type localTransport struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (t localTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := &recorder{header: make(http.Header), status: http.StatusOK}
	t.handler.ServeHTTP(w, r)
	return &http.Response{StatusCode: w.status, Status: http.StatusText(w.status), Header: w.header, Body: io.NopCloser(&w.body), Request: r}, nil
}

// A recorder records an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) WriteHeader(status int)      { w.status = status }
func (w *recorder) Write(p []byte) (int, error) { return w.body.Write(p) }

// answerTimeout bounds a request to a deployed gateway. It is below the limit of Azure's
// front end.
const answerTimeout = 2 * time.Minute
