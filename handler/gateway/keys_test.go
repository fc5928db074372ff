package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
)

// send makes a chat completion call with exactly these headers, pairs of name and
// value, in this order; a name may be there several times.
func (b *fixture) send(t *testing.T, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	request := b.newRequest(t.Context(), t, http.MethodPost, path, strings.NewReader(demo), "Api-Key", "")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	return fetch(t, request)
}

func TestValuesThatAreNotKeysAreIgnored(t *testing.T) {
	b := start(t, subscriptiontest.Limits{}, answering(1))
	mistyped := b.key[:len(b.key)-1] + "-" // its checksum doesn't match
	places := []string{"Api-Key", "Ocp-Apim-Subscription-Key", "X-Api-Key", "Authorization"}
	value := func(place, key string) string {
		if place == "Authorization" {
			return "Bearer " + key
		}
		return key
	}
	for _, real := range places {
		for _, other := range places {
			for _, dummy := range []string{"DUMMY", "unused", "sk-1234", mistyped, "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln", " "} {
				for _, headers := range [][]string{{real, value(real, b.key), other, value(other, dummy)}, {other, value(other, dummy), real, value(real, b.key)}} {
					if response, body := b.send(t, demoPath, headers...); response.StatusCode != 200 {
						t.Errorf("the key in %s beside %q in %s: got %d %s, want 200", real, dummy, other, response.StatusCode, body)
					}
				}
			}
		}
		if response, body := b.send(t, "/v1/chat/completions?Subscription-Key="+b.key, real, value(real, "dummy")); response.StatusCode != 200 {
			t.Errorf("the key in the query beside a dummy in %s: got %d %s, want 200", real, response.StatusCode, body)
		}
	}
	if response, body := b.send(t, "/v1/chat/completions", "Authorization", "Basic "+b.key, "Api-Key", b.key); response.StatusCode != 200 {
		t.Errorf("the key beside another scheme: got %d %s, want 200", response.StatusCode, body)
	}
}

func TestTwoDifferentKeysAreRefused(t *testing.T) {
	b := start(t, subscriptiontest.Limits{}, answering(1))
	other := subscription.NewKey()
	for name, test := range map[string]struct {
		query   string
		headers []string
	}{
		"two headers":          {"", []string{"Api-Key", b.key, "Ocp-Apim-Subscription-Key", other}},
		"the other way around": {"", []string{"Api-Key", other, "Authorization", "Bearer " + b.key}},
		"one header twice":     {"", []string{"X-Api-Key", b.key, "X-Api-Key", other}},
		"header and query":     {"?subscription-key=" + other, []string{"Api-Key", b.key}},
		"the query twice":      {"?subscription-key=" + other + "&subscription-key=" + b.key, nil},
		"a dummy beside":       {"", []string{"Api-Key", b.key, "X-Api-Key", "dummy", "Authorization", "Bearer " + other}},
	} {
		response, body := b.send(t, "/v1/chat/completions"+test.query, test.headers...)
		if response.StatusCode != 401 || !strings.Contains(body, "Two different keys were sent") || strings.Contains(body, "tg_") {
			t.Errorf("%s: got %d %s, want a 401 that says so and shows no key", name, response.StatusCode, body)
		}
	}
	if n := b.calls.Load(); n != 0 {
		t.Errorf("got %d calls that reached the model, want none", n)
	}
}

func TestAKeyInTheQueryIsNeitherLoggedNorPassedOn(t *testing.T) {
	var asked string
	b := start(t, subscriptiontest.Limits{}, func(w http.ResponseWriter, r *http.Request) {
		var dump strings.Builder
		_ = r.Write(&dump)
		asked = dump.String()
		answering(1)(w, r)
	})
	response, body := b.send(t, "/openai/deployments/DeepSeek-R1/chat/completions?api-version=2024-10-21&subscription-key="+b.key, "Api-Key", "dummy")
	if response.StatusCode != 200 {
		t.Fatalf("got %d %s, want 200", response.StatusCode, body)
	}
	b.send(t, "/nowhere?subscription-key="+b.key)
	b.send(t, "/v1/chat/completions?subscription-key="+b.key[:30])
	for what, text := range map[string]string{"the request to the model": asked, "the log": b.logged(), "the answer": body} {
		if strings.Contains(text, b.key[:30]) || text == "" {
			t.Errorf("%s: got %q, want text without the key", what, text)
		}
	}
}
