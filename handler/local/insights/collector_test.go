package insights_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tollgate/handler/local/insights"
)

const metric = `{"ver":1,"name":"Microsoft.ApplicationInsights.0123456789abcdef0123456789abcdef.Metric","time":"2026-07-01T12:00:00.5Z","sampleRate":100,"seq":"","iKey":"01234567-89ab-cdef-0123-456789abcdef",` +
	`"tags":{"ai.cloud.role":"gate"},"data":{"baseType":"MetricData","baseData":{"ver":2,"metrics":[{"ns":"llm","name":"Total Tokens","kind":"Aggregation","value":467,"count":2,"min":209,"max":258}],"properties":{"API ID":"models"}}}}`

const request = `{"ver":1,"name":"Microsoft.ApplicationInsights.Request","time":"2026-07-01T12:00:00Z","sampleRate":50,"iKey":"01234567-89ab-cdef-0123-456789abcdef",` +
	`"tags":{"ai.operation.id":"abababababababababababababababab"},"data":{"baseType":"RequestData","baseData":{"ver":2,"id":"cccccccccccccccc","name":"POST /x","duration":"0.00:00:01.5000000","responseCode":"200","success":true,"measurements":{"Total Tokens":258}}}}`

const event = `{"ver":1,"name":"Microsoft.ApplicationInsights.Event","time":"2026-07-01T12:00:00Z","sampleRate":100,"iKey":"01234567-89ab-cdef-0123-456789abcdef",` +
	`"tags":{},"data":{"baseType":"EventData","baseData":{"ver":2,"name":"Limit Threshold","properties":{"Limit":"calls"},"measurements":{"Percent":80}}}}`

// post sends lines as the SDKs do, and returns the answer.
func post(t *testing.T, c *insights.Collector, path string, lines ...string) (int, string) {
	t.Helper()
	var body bytes.Buffer
	zipped := gzip.NewWriter(&body)
	_, _ = io.WriteString(zipped, strings.Join(lines, "\n"))
	_ = zipped.Close()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, &body)
	r.Header.Set("Content-Type", "application/x-json-stream")
	r.Header.Set("Content-Encoding", "gzip")
	r.Header.Set("Authorization", "Bearer right")
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

func TestValidItemsAreKeptAndOthersReported(t *testing.T) {
	var c insights.Collector
	if status, body := post(t, &c, "/v2/track", metric, request); status != 200 || body != `{"itemsReceived":2,"itemsAccepted":2,"errors":[]}` {
		t.Fatalf("got %d %s, want 200 with 2 items received and accepted", status, body)
	}
	if sum, count := c.Sum("Total Tokens", "API ID", "models"); sum != 467 || count != 2 || len(c.Items()) != 2 {
		t.Errorf("got a sum of %v of %d values and items %v, want 467 of 2 and 2 items", sum, count, c.Items())
	}
	if sum, _ := c.Sum("Total Tokens", "API ID", "openai"); sum != 0 {
		t.Errorf("got sum %v for another API, want 0", sum)
	}
	status, body := post(t, &c, "/v2/track", metric, strings.Replace(metric, `"ns":"llm",`, "", 1))
	if status != 206 || !strings.Contains(body, `"itemsAccepted":1`) || !strings.Contains(body, `"index":1,"statusCode":400`) || len(c.Faults()) != 1 {
		t.Errorf("got %d %s and faults %v, want 206 with 1 item accepted and the item 1 refused with 400", status, body, c.Faults())
	}
	if status, _ := post(t, &c, "/v2/track", "{}"); status != 400 {
		t.Errorf("with only invalid items: got %d, want 400", status)
	}
}

func TestEveryRuleOfTheSchemaIsChecked(t *testing.T) {
	for name, change := range map[string][3]string{
		"version":          {metric, `"ver":1`, `"ver":2`},
		"name":             {metric, `.Metric"`, `.Metrics"`},
		"time":             {metric, `12:00:00.5Z`, `12:00:00+01:00`},
		"sample rate":      {request, `"sampleRate":50`, `"sampleRate":0`},
		"key":              {metric, `01234567-89ab`, `0123456-789ab`},
		"base type":        {metric, `"MetricData"`, `"RequestData"`},
		"tag":              {metric, `"ai.cloud.role"`, `"cloud.role"`},
		"unknown field":    {metric, `"seq"`, `"sequence"`},
		"unknown in point": {metric, `"ns":"llm"`, `"namespace":"llm"`},
		"base version":     {metric, `"ver":2`, `"ver":1,"x":1`},
		"two points":       {metric, `"metrics":[`, `"metrics":[{"ns":"llm","name":"x","kind":"Measurement","value":1},`},
		"no namespace":     {metric, `"ns":"llm"`, `"ns":""`},
		"kind as a number": {metric, `"kind":"Aggregation"`, `"kind":1`},
		"kind":             {metric, `"kind":"Aggregation"`, `"kind":"Sum"`},
		"no count":         {metric, `"count":2`, `"count":0`},
		"impossible sum":   {metric, `"value":467`, `"value":600`},
		"dimensions":       {metric, `"API ID":"models"`, `"1":"","2":"","3":"","4":"","5":"","6":"","7":"","8":"","9":"","10":"","11":""`},
		"long property":    {metric, `"models"`, `"` + strings.Repeat("x", 8193) + `"`},
		"duration":         {request, `0.00:00:01.5000000`, `1.5s`},
		"span":             {request, `cccccccccccccccc`, `cccc`},
		"trace":            {request, `abababababababababababababababab`, ``},
		"event's name":     {event, `"Limit Threshold"`, `""`},
		"two in a line":    {request, `}}}}`, `}}}}{}`},
		"size":             {metric, `"models"`, `"` + strings.Repeat("x", 65<<10) + `"`},
	} {
		line := strings.Replace(change[0], change[1], change[2], 1)
		if line == change[0] {
			t.Fatalf("%s: got the line unchanged, want a change to test", name)
		}
		if _, err := insights.Read([]byte(line)); err == nil {
			t.Errorf("%s: got no error for %s, want one", name, line)
		}
	}
}

func TestCredentialsAreChecked(t *testing.T) {
	c := insights.Collector{Token: "right"}
	for path, want := range map[string]int{"/v2/track": 400, "/v2.1/track": 200, "/v3/track": 404} {
		if status, _ := post(t, &c, path, metric); status != want {
			t.Errorf("%s: got %d, want %d", path, status, want)
		}
	}
	c.Token = "another"
	if status, _ := post(t, &c, "/v2.1/track", metric); status != 401 {
		t.Errorf("with a wrong token: got %d, want 401", status)
	}
}

func TestAnItemIsPrintedInOneLine(t *testing.T) {
	for line, want := range map[string]string{
		metric:  `metric      llm/Total Tokens 467 of 2, 209 to 258 {API ID=models}`,
		request: `request     POST /x 200 1.5s [Total Tokens=258] {}`,
		event:   `event       Limit Threshold [Percent=80] {Limit=calls}`,
	} {
		item, err := insights.Read([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if got := item.String(); !strings.HasSuffix(got, want) {
			t.Errorf("got %q, want a line that ends with %q", got, want)
		}
	}
}
