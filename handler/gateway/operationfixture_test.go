package gateway_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/handler/gateway"
	"tollgate/handler/limit"
	"tollgate/handler/local/fakemodel"
	"tollgate/handler/secret"
	"tollgate/handler/shape"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/telemetry"
	"tollgate/handler/upstream"
)

// body returns the sample's body with more fields.
func (s sample) body(more string) string {
	return `{"model":"` + s.model + `",` + s.required + more + s.fields + `}`
}

// modes are the fields of a plain call and, where the operation streams, a streamed one.
func (s sample) modes() map[string]string {
	if s.operation.Follow == nil {
		return map[string]string{"plain": ""}
	}
	return map[string]string{"plain": "", "streamed": `"stream":true,`}
}

// eachSample runs a test for each operation, plain and streamed.
func eachSample(t *testing.T, run func(t *testing.T, s sample, mode string)) {
	for _, s := range samples {
		for name, mode := range s.modes() {
			t.Run(s.operation.Name+", "+name, func(t *testing.T) {
				t.Parallel()
				run(t, s, mode)
			})
		}
	}
}

// An operationFixture is a gateway in front of the fake model, for one sample.
type operationFixture struct {
	*fixture
	sample
	endpoint *fakemodel.Endpoint
	reports  chan telemetry.Call    // of the operation's calls
	asked    atomic.Pointer[string] // the last body that the endpoint was sent
	billed   int64                  // by calls before
	begun    chan struct{}          // gets a value when the endpoint begins to work
}

// startOperation starts a gateway for a sample. Its fake model behaves as fakemodel.Behaviour.With says. change
// may change the gateway's configuration.
func startOperation(t *testing.T, s sample, limits subscriptiontest.Limits, behaviour string, change ...func(*gateway.Config)) *operationFixture {
	t.Helper()
	st := &operationFixture{sample: s, endpoint: &fakemodel.Endpoint{}, reports: make(chan telemetry.Call, 100), begun: make(chan struct{}, 100)}
	var err error
	if st.endpoint.Behaviour, err = (fakemodel.Behaviour{Bill: true, Completion: 12}).With(behaviour); err != nil {
		t.Fatal(err)
	}
	if limits.TokenQuota == 0 {
		limits.TokenQuota, limits.TokenQuotaPeriod = 1_000_000, limit.Yearly
	}
	at := upstream.Endpoint{Shape: s.at, Key: secret.New(fakemodel.Key), URL: serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		text := string(body)
		st.asked.Store(&text)
		r.Body = io.NopCloser(strings.NewReader(text))
		st.begun <- struct{}{}
		st.endpoint.ServeHTTP(w, r)
	})}
	if s.at == shape.Deployments {
		at.Deployment = s.model
	}
	st.fixture = start(t, limits, nil, func(c *gateway.Config) {
		c.Upstream, c.Models, c.Telemetry = newUpstream(t, upstream.Timeouts{KeepAlive: -1}, at), []string{s.model, "another"}, st
		c.SettleTimeout, c.TokensPerSecond = 5*time.Second, map[string]int64{"": 1_000_000} // the fake model takes no time
		c.Log = slog.New(slog.DiscardHandler)
		for _, f := range change {
			f(c)
		}
	})
	return st
}

// Report implements gateway.Telemetry.
func (s *operationFixture) Report(c telemetry.Call) {
	if c.Operation == s.operation.ID {
		s.reports <- c
	}
}

// do makes a call, which may be left by ctx, and returns the whole answer. err says that
// the answer broke off.
func (s *operationFixture) do(ctx context.Context, t *testing.T, path, body string, headers ...string) (status int, header http.Header, answer string, err error) {
	t.Helper()
	request := s.newRequest(ctx, t, http.MethodPost, path, strings.NewReader(body))
	headers = append(headers, s.headers...)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, string(text), err
}

// call makes a call by the operation's first path.
func (s *operationFixture) call(t *testing.T, more string) (status int, header http.Header, answer string, err error) {
	t.Helper()
	return s.do(t.Context(), t, s.path(), s.body(more))
}

func (s *operationFixture) path() string {
	return strings.ReplaceAll(s.operation.Routes[0].Path, "{name}", s.model)
}

// wantCharge compares what the next reported call was charged with what its endpoint
// billed, and returns the report.
func (s *operationFixture) wantCharge(t *testing.T, exactly bool) telemetry.Call {
	t.Helper()
	reported, charged := <-s.reports, int64(0)
	if reported.Usage != nil {
		charged = reported.Usage.Total()
	}
	if billed := s.endpoint.Billed() - s.billed; charged < billed || exactly && charged != billed {
		t.Errorf("got %d tokens charged, want the %d billed (exactly: %t)", charged, billed, exactly)
	}
	s.billed = s.endpoint.Billed()
	return reported
}

// wantProblem checks one of the gateway's own errors in the operation's form.
func (s *operationFixture) wantProblem(t *testing.T, what string, got int, answer string, want int, code string) {
	t.Helper()
	var body struct {
		Type       string
		StatusCode int
		Message    string
		Error      struct{ Type, Message, Code string }
	}
	if err := json.Unmarshal([]byte(answer), &body); err != nil || got != want || body.Error.Code != code || body.Error.Message == "" || body.Error.Type == "" ||
		body.Message != body.Error.Message || body.StatusCode != want || (body.Type == "error") != (s.operation.Routes[0].Shape == shape.Anthropic) {
		t.Errorf("%s: got %d %s, want %d %s in the form of %s", what, got, answer, want, code, s.operation.Name)
	}
}

// wrongBodies are bodies that two readers could understand differently, or that nobody
// can.
func (s sample) wrongBodies() map[string]string {
	bodies := map[string]string{
		"nothing": "", "no JSON": "hello", "an array": "[]", "no prompt": `{"model":"` + s.model + `"}`, "bad UTF-8": strings.Replace(s.body(""), "time", "\xff", 1),
		"text after the body": s.body("") + "x", "a key twice": s.body(`"model":"` + s.model + `",`), "a key in another case": s.body(`"Model":"` + s.model + `",`),
		"an unknown key twice": s.body(`"x":1,"X":2,`), "a model of the wrong type": strings.Replace(s.body(""), `"`+s.model+`"`, "7", 1),
		"a prompt of the wrong type": `{"model":"` + s.model + `",` + s.required + `"` + s.prompt + `":7}`, "deep nesting": s.body(`"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + ","),
	}
	if s.cap != "" && s.required == "" {
		for _, wrong := range []string{"-1", "1.5", `"9"`, "1e3", "{}"} {
			bodies["a cap of "+wrong] = s.body(`"` + s.cap + `":` + wrong + ",")
		}
	}
	if s.operation.Follow != nil {
		bodies["a stream of the wrong type"] = s.body(`"stream":"yes",`)
	}
	return bodies
}
