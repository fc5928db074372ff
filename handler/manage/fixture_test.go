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
	"tollgate/handler/ledger"
	ledgermem "tollgate/handler/ledger/memstore"
	"tollgate/handler/manage"
	auditmem "tollgate/handler/manage/memstore"
	pricemem "tollgate/handler/price/memstore"
	"tollgate/handler/secret"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
	"tollgate/handler/subscription/subscriptiontest"
)

const operatorKey = "canary-operator-key-0123456789abcdef"

// apiValidator checks answers against the API's own description.
var apiValidator = sync.OnceValue(func() validator.Validator {
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

// A fixture is an API with the tier gold and the subscription team-a.
type fixture struct {
	t         *testing.T
	config    manage.Config // of api
	api       *manage.API
	store     *memstore.Store
	audit     *auditmem.Store
	prices    *pricemem.Store
	counters  *fakeCounters
	ledger    *ledgermem.Store
	ledgerErr error // that reading the ledger returns
	pepper    subscription.Pepper
	log       bytes.Buffer
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	pepper := subscriptiontest.Pepper(t)
	f := &fixture{t: t, store: memstore.New(), audit: &auditmem.Store{}, prices: new(pricemem.Store), counters: &fakeCounters{}, pepper: pepper}
	f.ledger = ledgermem.New(func(string) (bool, error) { return false, f.ledgerErr })
	f.config = manage.Config{Store: f.store, Pepper: &pepper, Audit: f.audit, Prices: f.prices, Counters: f.counters, Ledger: ledger.Reader{Store: f.ledger},
		Auth: manage.OperatorKey(secret.New(operatorKey)), Log: slog.New(slog.NewJSONHandler(&f.log, nil)),
		Checks: []manage.Check{{Name: "tables", Run: func(context.Context) (string, error) { return "readable", nil }},
			{Name: "upstream", Run: func(context.Context) (string, error) { return "", errors.New("unreachable: check the address") }}}}
	f.api = manage.New(f.config)
	f.must("PUT", "/tiers/gold", `{"tokensPerMinute":300}`)
	f.must("PUT", "/subscriptions/team-a", `{"tier":"gold","name":"Team A"}`)
	return f
}

// fakeCounters holds counters that a test sets.
type fakeCounters struct {
	entries  []counter.Entry
	problems map[string]error // by counter key
	failure  error
}

func (l *fakeCounters) List(context.Context) iter.Seq2[counter.Entry, error] {
	return func(yield func(counter.Entry, error) bool) {
		for _, c := range l.entries {
			if !yield(c, l.problems[c.Key]) {
				return
			}
		}
		if l.failure != nil {
			yield(counter.Entry{}, l.failure)
		}
	}
}

// A response is an answer that has been read.
type response struct {
	status int
	header http.Header
	text   string
}

// decode decodes the answer's JSON.
func (a response) decode(t *testing.T, value any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.text), value); err != nil {
		t.Fatalf("got %v in %s, want JSON", err, a.text)
	}
}

// do makes a request and checks the answer against the API's description. headers are
// pairs of name and value.
func (f *fixture) do(method, path, body string, headers ...string) response {
	f.t.Helper()
	make := func() *http.Request {
		request := httptest.NewRequestWithContext(f.t.Context(), method, "/manage"+path, strings.NewReader(body))
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
	f.api.ServeHTTP(recorder, make())
	result := recorder.Result()
	text, err := io.ReadAll(result.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	a := response{result.StatusCode, result.Header, string(text)}
	if a.status != http.StatusMethodNotAllowed && path != "/nowhere" && !strings.Contains(a.text, "no_such_path") {
		if method == http.MethodHead {
			text = nil // as a server does
		}
		result.Body = io.NopCloser(bytes.NewReader(text))
		if valid, faults := apiValidator().ValidateHttpResponse(make(), result); !valid {
			for _, fault := range faults {
				f.t.Errorf("%s %s: got %d %s, want an answer that the description allows: %s %s", method, path, a.status, a.text, fault.Message, fault.Reason)
			}
		}
	}
	return a
}

// must makes a request that must match the description and succeed.
func (f *fixture) must(method, path, body string, headers ...string) response {
	f.t.Helper()
	request := httptest.NewRequestWithContext(f.t.Context(), method, "/manage"+path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+operatorKey)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	if valid, faults := apiValidator().ValidateHttpRequest(request); !valid {
		for _, fault := range faults {
			f.t.Errorf("%s %s: got the request %s, want one that the description allows: %s %s", method, path, body, fault.Message, fault.Reason)
		}
	}
	a := f.do(method, path, body, headers...)
	if a.status >= 300 {
		f.t.Fatalf("%s %s: got %d %s, want success", method, path, a.status, a.text)
	}
	return a
}

// expectProblem makes a request that must get a problem with this status and code that
// contains each of parts.
func (f *fixture) expectProblem(status int, code string, method, path, body string, headers []string, parts ...string) manage.Problem {
	f.t.Helper()
	a := f.do(method, path, body, headers...)
	var p manage.Problem
	a.decode(f.t, &p)
	if a.status != status || p.Status != status || p.Code != code || a.header.Get("Content-Type") != "application/problem+json" {
		f.t.Errorf("%s %s %s: got %d %s, want %d %s", method, path, body, a.status, a.text, status, code)
	}
	for _, part := range parts {
		if !strings.Contains(a.text, part) {
			f.t.Errorf("%s %s %s: got %s, want it to contain %q", method, path, body, a.text, part)
		}
	}
	return p
}

// events returns the audit, oldest first, as "action target outcome".
func (f *fixture) events() (all []string) {
	f.t.Helper()
	var list struct{ Items []manage.Event }
	f.must("GET", "/audit?limit=1000", "").decode(f.t, &list)
	for _, e := range list.Items {
		all = append([]string{fmt.Sprintf("%s %s %s", e.Action, e.Target, e.Outcome)}, all...)
	}
	return all
}
