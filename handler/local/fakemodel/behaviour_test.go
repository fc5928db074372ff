package fakemodel_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/local/fakemodel"
)

const plain = `{"messages":[{"role":"user","content":"x"}]}`
const streamed = `{"stream":true,"messages":[{"role":"user","content":"x"}]}`

func TestTheHeaderChoosesAnError(t *testing.T) {
	var e fakemodel.Endpoint
	for behaviour, status := range map[string]int{"status=408": 408, "status=422": 422, "status=500": 500, "status=200": 400, "nonsense": 400, "pace=x": 400} {
		if got, body := ask(t, &e, "/openai/v1/chat/completions", plain, fakemodel.Header, behaviour); got != status {
			t.Errorf("%s: got %d %s, want %d", behaviour, got, body, status)
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/models/chat/completions", strings.NewReader(plain))
	r.Header.Set("Api-Key", fakemodel.Key)
	r.Header.Set(fakemodel.Header, "status=429, retry-after=1500ms")
	e.ServeHTTP(w, r)
	if w.Code != 429 || w.Header().Get("Retry-After") != "2" || w.Header().Get("Retry-After-Ms") != "1500" {
		t.Errorf("got %d with headers %v, want 429 with Retry-After 2 and Retry-After-Ms 1500", w.Code, w.Header())
	}
}

func TestWithoutTheHeaderTheEndpointsBehaviourApplies(t *testing.T) {
	e := fakemodel.Endpoint{Behaviour: fakemodel.Behaviour{Completion: 500, NoUsage: true}}
	_, body := ask(t, &e, "/openai/v1/chat/completions", plain)
	if strings.Count(body, " so")+strings.Count(body, "well")+2 != 500 || strings.Contains(body, "usage") {
		t.Errorf("got %s, want an answer of 500 tokens without usage", body)
	}
	if _, body := ask(t, &e, "/openai/v1/chat/completions", streamed, fakemodel.Header, "completion=3"); strings.Count(body, "data: ") != 3+3 || strings.Contains(body, "usage") {
		t.Errorf("got %s, want 6 events without usage", body)
	}
}

func TestFirstTokenAndPaceDelayTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e fakemodel.Endpoint
		began := time.Now()
		_, body := ask(t, &e, "/openai/v1/chat/completions", streamed, fakemodel.Header, "first-token=2m,pace=1s,completion=4")
		if events := strings.Count(body, "data: "); time.Since(began) != 2*time.Minute+time.Duration(events-1)*time.Second {
			t.Errorf("got %d events in %s, want 2m before the first and 1s between events", events, time.Since(began))
		}
	})
}

func TestCutAfterDropsTheConnectionWithinAnAnswer(t *testing.T) {
	server := httptest.NewServer(&fakemodel.Endpoint{Behaviour: fakemodel.Behaviour{CutAfter: 3}})
	defer server.Close()
	for name, body := range map[string]string{"plain": plain, "streamed": streamed} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/openai/v1/chat/completions", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Api-Key", fakemodel.Key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(response.Body)
		response.Body.Close()
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: got error %v after %s, want a broken connection", name, err, got)
		}
		if name == "streamed" && strings.Count(string(got), "\n\n") != 3 {
			t.Errorf("got %s, want 3 whole events and a part of the fourth", got)
		}
	}
}

func TestTheExtraParametersHeaderDecidesAboutUnknownFields(t *testing.T) {
	var e fakemodel.Endpoint
	const extra = `{"user":"u","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"x"}]}`
	for header, want := range map[string]string{"": `"loc":["body","user"]`, "error": `"loc":["body","stream_options"]`, "drop": `"finish_reason":"stop"`, "pass-through": `"choices":[],`} {
		status, body := ask(t, &e, "/models/chat/completions", extra, "Extra-Parameters", header)
		if !strings.Contains(body, want) || (status == 200) != (header == "drop" || header == "pass-through") {
			t.Errorf("extra-parameters %q: got %d %s, want %q, and 200 for drop and pass-through only", header, status, body, want)
		}
	}
}
