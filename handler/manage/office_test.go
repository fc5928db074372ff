package manage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"tollgate/handler/counter"
	"tollgate/handler/counter/usage"
	"tollgate/handler/manage"
	auditmem "tollgate/handler/manage/memstore"
	"tollgate/handler/secret"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
)

const operatorKey = "canary-operator-key-0123456789abcdef"

// described is the API's own description, by which every answer in these tests
// is checked.
var described = sync.OnceValue(func() validator.Validator {
	document, err := libopenapi.NewDocument(manage.OpenAPI)
	if err != nil {
		panic(err)
	}
	v, errs := validator.NewValidator(document)
	if err := errors.Join(errs...); err != nil {
		panic(err)
	}
	return v
})

// office is an API with the tier gold and the subscription team-a.
type office struct {
	t      *testing.T
	api    *manage.API
	store  *memstore.Store
	audit  *auditmem.Store
	used   *ledger
	pepper subscription.Pepper
	log    bytes.Buffer
}

func newOffice(t *testing.T) *office {
	t.Helper()
	pepper, err := subscription.NewPepper("0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	o := &office{t: t, store: memstore.New(), audit: &auditmem.Store{}, used: &ledger{}, pepper: pepper}
	o.api = manage.New(manage.Config{Store: o.store, Pepper: &pepper, Audit: o.audit, Usage: o.used,
		Auth: manage.OperatorKey(secret.New(operatorKey)), Log: slog.New(slog.NewJSONHandler(&o.log, nil)),
		Checks: []manage.Check{{Name: "sky", Run: func(context.Context) (string, error) { return "blue", nil }},
			{Name: "ground", Run: func(context.Context) (string, error) { return "", errors.New("wet: wait") }}}})
	o.must("PUT", "/tiers/gold", `{"tokensPerMinute":300}`)
	o.must("PUT", "/subscriptions/team-a", `{"tier":"gold","name":"Team A"}`)
	return o
}

// ledger is counters and a history that a test writes itself.
type ledger struct {
	counters []counter.Stored
	broken   map[string]error // by counter key
	rows     []usage.Row
	asked    usage.Query
	fault    error
}

func (l *ledger) Stored(context.Context) iter.Seq2[counter.Stored, error] {
	return func(yield func(counter.Stored, error) bool) {
		for _, c := range l.counters {
			if !yield(c, l.broken[c.Key]) {
				return
			}
		}
		if l.fault != nil {
			yield(counter.Stored{}, l.fault)
		}
	}
}

func (l *ledger) Rows(_ context.Context, q usage.Query) iter.Seq2[usage.Row, error] {
	l.asked = q
	return func(yield func(usage.Row, error) bool) {
		for _, row := range l.rows {
			if !yield(row, nil) {
				return
			}
		}
		if l.fault != nil {
			yield(usage.Row{}, l.fault)
		}
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
}

func (a answer) into(t *testing.T, value any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.text), value); err != nil {
		t.Fatalf("%v in %s", err, a.text)
	}
}

// ask makes a request; headers are pairs of name and value. The answer must be
// as the API's description has it.
func (o *office) ask(method, path, body string, headers ...string) answer {
	o.t.Helper()
	make := func() *http.Request {
		request := httptest.NewRequestWithContext(o.t.Context(), method, "/manage"+path, strings.NewReader(body))
		request.Header.Set("Authorization", "Bearer "+operatorKey)
		if body != "" {
			request.Header.Set("Content-Type", "application/json")
		}
		for i := 0; i < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
		}
		return request
	}
	recorder := httptest.NewRecorder()
	o.api.ServeHTTP(recorder, make())
	result := recorder.Result()
	text, err := io.ReadAll(result.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	a := answer{result.StatusCode, result.Header, string(text)}
	if a.status != http.StatusMethodNotAllowed && path != "/nowhere" && !strings.Contains(a.text, "no_such_path") {
		if method == http.MethodHead {
			text = nil // as the server has it
		}
		result.Body = io.NopCloser(bytes.NewReader(text))
		if valid, faults := described().ValidateHttpResponse(make(), result); !valid {
			for _, fault := range faults {
				o.t.Errorf("%s %s is answered with %d %s, which the description doesn't allow: %s %s", method, path, a.status, a.text, fault.Message, fault.Reason)
			}
		}
	}
	return a
}

// must makes a request that goes well, and is as the description has it.
func (o *office) must(method, path, body string, headers ...string) answer {
	o.t.Helper()
	request := httptest.NewRequestWithContext(o.t.Context(), method, "/manage"+path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+operatorKey)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	if valid, faults := described().ValidateHttpRequest(request); !valid {
		for _, fault := range faults {
			o.t.Errorf("%s %s %s is not what the description allows: %s %s", method, path, body, fault.Message, fault.Reason)
		}
	}
	a := o.ask(method, path, body, headers...)
	if a.status >= 300 {
		o.t.Fatalf("%s %s: %d %s", method, path, a.status, a.text)
	}
	return a
}

// fails makes a request that is answered with a problem of a code, which says
// each of parts.
func (o *office) fails(status int, code string, method, path, body string, headers []string, parts ...string) manage.Problem {
	o.t.Helper()
	a := o.ask(method, path, body, headers...)
	var p manage.Problem
	a.into(o.t, &p)
	if a.status != status || p.Status != status || p.Code != code || a.header.Get("Content-Type") != "application/problem+json" {
		o.t.Errorf("%s %s %s: %d %s, want %d %s", method, path, body, a.status, a.text, status, code)
	}
	for _, part := range parts {
		if !strings.Contains(a.text, part) {
			o.t.Errorf("%s %s %s: %s does not say %q", method, path, body, a.text, part)
		}
	}
	return p
}

// events is the audit, oldest first, as action target outcome.
func (o *office) events() (all []string) {
	o.t.Helper()
	var list struct{ Items []manage.Event }
	o.must("GET", "/audit?limit=1000", "").into(o.t, &list)
	for _, e := range list.Items {
		all = append([]string{fmt.Sprintf("%s %s %s", e.Action, e.Target, e.Outcome)}, all...)
	}
	return all
}
