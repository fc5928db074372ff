package fakemodel_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tollgate/handler/local/fakemodel"
)

// A reply is an answer to a call: its status, its body, and its fields if it is JSON.
type reply struct {
	status int
	header http.Header
	text   string
	fields map[string]any
}

// call calls the endpoint as clients of its API do.
func call(t *testing.T, e *fakemodel.Endpoint, method, path, body string, headers ...string) reply {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if strings.HasPrefix(path, "/anthropic/") {
		r.Header.Set("X-Api-Key", fakemodel.Key)
		r.Header.Set("Anthropic-Version", "2023-06-01")
	} else {
		r.Header.Set("Authorization", "Bearer "+fakemodel.Key)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	got := reply{status: w.Code, header: w.Header(), text: w.Body.String()}
	_ = json.Unmarshal(w.Body.Bytes(), &got.fields) // a stream is no JSON
	return got
}

// at returns the value at a path of field names and indexes, or nil.
func at(value any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			fields, _ := value.(map[string]any)
			value = fields[step]
		case int:
			list, _ := value.([]any)
			if step >= len(list) {
				return nil
			}
			value = list[step]
		}
	}
	return value
}

// number returns the number at a path; -1 if there is none.
func number(value any, path ...any) int64 {
	if n, ok := at(value, path...).(float64); ok {
		return int64(n)
	}
	return -1
}

// An event is one event of a stream.
type event struct {
	name, data string
	fields     map[string]any
}

// events returns a stream's events. It fails the test if one isn't of the form that all
// operations have: a name or none, one line of data, and a blank line.
func events(t *testing.T, stream string) (all []event) {
	t.Helper()
	for text := range strings.SplitSeq(strings.TrimSuffix(stream, "\n\n"), "\n\n") {
		var e event
		lines := strings.Split(text, "\n")
		if name, ok := strings.CutPrefix(lines[0], "event: "); ok {
			e.name, lines = name, lines[1:]
		}
		data, ok := strings.CutPrefix(lines[0], "data: ")
		if len(lines) != 1 || !ok {
			t.Fatalf("got the event %q, want a line of data", text)
		}
		e.data = data
		if data != "[DONE]" {
			if err := json.Unmarshal([]byte(data), &e.fields); err != nil {
				t.Fatalf("got error %v for %s, want JSON", err, data)
			}
		}
		if e.name != "" && e.fields["type"] != e.name {
			t.Errorf("got the event %q with type %v, want the same", e.name, e.fields["type"])
		}
		all = append(all, e)
	}
	return all
}

// order returns the names of events in their order, each run of the same name once.
func order(all []event) string {
	var names []string
	for _, e := range all {
		if n := len(names); n == 0 || names[n-1] != e.name {
			names = append(names, e.name)
		}
	}
	return strings.Join(names, " ")
}

// last returns the last event of a name; it is empty if there is none.
func last(all []event, name string) (found event) {
	for _, e := range all {
		if e.name == name {
			found = e
		}
	}
	return found
}

// billed returns what a call adds to the endpoint's bill.
func billed(e *fakemodel.Endpoint, call func()) int64 {
	before := e.Billed()
	call()
	return e.Billed() - before
}
