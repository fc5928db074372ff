package manage_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pb33f/jsonschema/v6"

	"tollgate/handler/limit"
	"tollgate/handler/manage"
	"tollgate/handler/subscription"
)

const schemaPath = "../../docs/limits.schema.json"

// limitsSchema compiles a definition of docs/limits.schema.json.
func limitsSchema(t *testing.T, definition string) *jsonschema.Schema {
	t.Helper()
	file, err := os.Open(schemaPath)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	document, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("limits.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("limits.schema.json#/$defs/" + definition)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// validate returns the error of a document that a schema doesn't allow.
func validate(t *testing.T, schema *jsonschema.Schema, text string) error {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(document)
}

// TestTheSchemaAllowsWhatTheAPIWrites, of tiers, groups and subscriptions with every field set.
func TestTheSchemaAllowsWhatTheAPIWrites(t *testing.T) {
	f := newFixture(t)
	every := subscription.Limit{Name: "every", Unit: limit.Tokens, Weights: &subscription.Weights{Prompt: new(int64(1)), Cached: new(int64(2)), CacheWrite: new(int64(3)), Completion: new(int64(4)), Reasoning: new(int64(0))},
		PerMinute: 10, Burst: 5, Quota: 1000, Period: limit.Weekly, CounterKey: "{subscription}/{group} {client-ip}-{model}:{header:X-Team}", Models: []string{"a b", "c"}, Shadow: true, AlertAt: []int{1, 100}}
	money := subscription.Limit{Name: "money", Unit: limit.Cost, PerMinute: 1, Burst: 1e15, Quota: 12.5e9, Period: limit.Yearly}
	body, err := json.Marshal(subscription.Rules{Limits: []subscription.Limit{every, money, {Name: "tokens", Unit: limit.Tokens, PerMinute: 100}}, Reserve: subscription.ReserveFull, MaxCompletionTokens: 3, MaxWait: 2e9,
		MaxConcurrent: new(int64(0)), Shadow: true, OnStoreDown: limit.Degrade, StoredContent: subscription.StoredAllow, Models: []string{"c"}})
	if err != nil {
		t.Fatal(err)
	}
	limits, err := json.Marshal([]subscription.Limit{every, money})
	if err != nil {
		t.Fatal(err)
	}
	f.must("PUT", "/tiers/full", string(body))
	f.must("PUT", "/tiers/empty", `{}`)
	f.must("PUT", "/groups/org", `{}`)
	f.must("PUT", "/groups/lab", `{"name":"Lab","parent":"org","suspended":true,"limits":`+string(limits)+`}`)
	f.must("PUT", "/subscriptions/b", `{"name":"B","tier":"full","group":"lab","suspended":true,"overrides":{"maxWait":"3s","limits":[{"name":"money","quota":"13.5","until":"2099-01-01T00:00:00Z","period":"Monthly","alertAt":[50]},{"name":"tokens","perMinute":200}]}}`)
	for path, definition := range map[string]string{"/tiers": "tier", "/groups": "group", "/subscriptions": "subscription"} {
		schema := limitsSchema(t, definition)
		var list struct{ Items []json.RawMessage }
		if f.must("GET", path, "").decode(t, &list); len(list.Items) < 2 {
			t.Errorf("%s: got %d items, want 2 or more", path, len(list.Items))
		}
		for _, item := range list.Items {
			if err := validate(t, schema, string(item)); err != nil {
				t.Errorf("%s: got %v for %s, want it valid", definition, err, item)
			}
		}
	}
	for definition, text := range map[string]string{
		"tier":         `{"tokensPerMinute":5,"burstTokens":0,"tokenQuota":9,"tokenQuotaPeriod":"Daily","counterKey":"{client-ip}","limits":[{"name":"calls","unit":"calls","perMinute":5}]}`,
		"subscription": `{"tier":"gold","overrides":{"tokensPerMinute":5}}`,
	} {
		if err := validate(t, limitsSchema(t, definition), text); err != nil {
			t.Errorf("the short form: got %v for %s, want it valid", err, text)
		}
	}
}

// TestTheSchemaRefusesWhatTheAPIRefuses, except for faults that a schema can't express.
func TestTheSchemaRefusesWhatTheAPIRefuses(t *testing.T) {
	f := newFixture(t)
	limits := func(all string) string { return `{"limits":[` + all + `]}` }
	refused := func(definition, path, body string) {
		t.Helper()
		if err := validate(t, limitsSchema(t, definition), body); err == nil {
			t.Errorf("%s: got %s valid by the schema, want it refused", definition, body)
		}
		if a := f.do("PUT", path, body); a.status != 422 {
			t.Errorf("%s: got %d %s for %s, want 422", definition, a.status, a.text, body)
		}
	}
	for _, limit := range []string{
		`{"name":"a","perMinute":1}`, `{"unit":"calls","perMinute":1}`, `{"name":"a","unit":"calls"}`, `{"name":"a b","unit":"calls","perMinute":1}`, `{"name":"a","unit":"token","perMinute":1}`,
		`{"name":"a","unit":"calls","perMinute":1.5}`, `{"name":"a","unit":"calls","perMinute":"1"}`, `{"name":"a","unit":"cost","perMinute":1}`, `{"name":"a","unit":"cost","perMinute":"1."}`, `{"name":"a","unit":"cost","perMinute":"0.1234567891"}`,
		`{"name":"a","unit":"calls","perMinute":-1}`, `{"name":"a","unit":"calls","perMinute":1000000000000001}`, `{"name":"a","unit":"calls","quota":1}`, `{"name":"a","unit":"calls","perMinute":1,"period":"Daily"}`,
		`{"name":"a","unit":"calls","quota":1,"period":"Fortnightly"}`, `{"name":"a","unit":"calls","quota":1,"period":"Daily","burst":1}`, `{"name":"a","unit":"calls","perMinute":1,"weights":{"prompt":1}}`,
		`{"name":"a","unit":"tokens","perMinute":1,"weights":{"promt":1}}`, `{"name":"a","unit":"tokens","perMinute":1,"weights":{"prompt":1000001}}`, `{"name":"a","unit":"calls","perMinute":1,"counterKey":"{user}"}`,
		`{"name":"a","unit":"calls","perMinute":1,"counterKey":"all"}`, `{"name":"a","unit":"calls","perMinute":1,"counterKey":"{model"}`, `{"name":"a","unit":"calls","perMinute":1,"models":["x","x"]}`, `{"name":"a","unit":"calls","perMinute":1,"alertAt":[50]}`,
		`{"name":"a","unit":"calls","quota":1,"period":"Daily","alertAt":[101]}`, `{"name":"a","unit":"calls","perMinute":1,"colour":1}`,
	} {
		refused("tier", "/tiers/x", limits(limit))
		refused("group", "/groups/x", limits(limit))
	}
	for _, body := range []string{`{"tokensPerMinute":1,"limits":[{"name":"Tokens","unit":"tokens","perMinute":1}]}`, `{"reserve":"all"}`, `{"colour":1}`, `{"maxConcurrent":10001}`, `{"id":"A B"}`,
		limits(strings.Repeat(`{"name":"a","unit":"calls","perMinute":1},`, 8) + `{"name":"b","unit":"calls","perMinute":1}`)} {
		refused("tier", "/tiers/x", body)
	}
	for _, body := range []string{`{"parent":"A B"}`, `{"tokensPerMinute":1}`, `{"suspended":"yes"}`} {
		refused("group", "/groups/x", body)
	}
	for _, body := range []string{`{}`, `{"tier":"gold","overrides":{"limits":[{"perMinute":1}]}}`, `{"tier":"gold","overrides":{"limits":[{"name":"tokens","unit":"calls"}]}}`,
		`{"tier":"gold","overrides":{"limits":[{"name":"tokens","until":"tomorrow"}]}}`, `{"tier":"gold","overrides":{"tokensPerMinute":1,"limits":[{"name":"tokens"}]}}`, `{"tier":"gold","group":"A B"}`} {
		refused("subscription", "/subscriptions/x", body)
	}
}

// TestTheDescriptionHasTheSchemasDefinitions, word for word.
func TestTheDescriptionHasTheSchemasDefinitions(t *testing.T) {
	text, err := os.ReadFile(schemaPath)
	if err != nil {
		t.Fatal(err)
	}
	upper := func(match []byte) []byte {
		return append([]byte("#/components/schemas/"), append(bytes.ToUpper(match[8:9]), match[9:]...)...)
	}
	text = regexp.MustCompile(`#/\$defs/\w+`).ReplaceAllFunc(text, upper)
	var schema struct {
		Definitions map[string]any `json:"$defs"`
	}
	var description struct {
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(manage.OpenAPI, &description); err != nil {
		t.Fatal(err)
	}
	for name, want := range schema.Definitions {
		if diff := cmp.Diff(want, description.Components.Schemas[strings.ToUpper(name[:1])+name[1:]]); diff != "" {
			t.Errorf("%s in openapi.json: got another definition than in docs/limits.schema.json (-want +got):\n%s", name, diff)
		}
	}
}
