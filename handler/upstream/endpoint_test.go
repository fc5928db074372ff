package upstream_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"tollgate/handler/secret"
	"tollgate/handler/shape"
	"tollgate/handler/upstream"
)

func TestNewReportsEveryFault(t *testing.T) {
	_, err := upstream.New([]upstream.Endpoint{
		{Name: "a b", URL: "http://example.com", Shape: "chat", Weight: -1},
		{Name: "b", URL: "https://example.com", Shape: shape.Deployments, Key: secret.New("two words")},
		{Name: "c", URL: "https://example.com", Shape: shape.OpenAI, APIVersion: "v1", Key: secret.New("k")},
		{Name: "d", URL: "https://example.com", Shape: shape.Models, Deployment: "x", Models: map[string]upstream.Model{"m": {Name: ""}}, Key: secret.New("k")},
		{Name: "e", URL: "https://example.com", Shape: shape.Models, Key: secret.New("k")},
		{Name: "e", URL: "https://example.com", Shape: shape.Models, Key: secret.New("k")},
	}, upstream.Timeouts{})
	if err == nil {
		t.Fatal("New with faulty endpoints: got no error, want one")
	}
	for _, want := range []string{
		`"a b": name must be`, `"a b": url is not https`, `"a b": shape must be`, `"a b": weight is negative`, `"a b": credential is missing`,
		`"b": deployment is missing`, `"b": credential contains spaces`,
		`"c": apiVersion is not part`,
		`"d": deployment can't be combined with models`, `"d": models has an empty name`,
		`"e": name is used twice`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got faults:\n%v\nwant one with %q", err, want)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 11 {
		t.Errorf("got %d faults, want 11:\n%v", n, err)
	}
	if strings.Contains(err.Error(), "two words") {
		t.Error("got a key in the error, want none")
	}
	if _, err := upstream.New(nil, upstream.Timeouts{}); err == nil {
		t.Error("New with an empty list: got no error, want one")
	}
}

func TestAFaultyURLIsRefused(t *testing.T) {
	for url, want := range map[string]string{
		"https://name.services.ai.azure.com":                  "",
		"https://name.services.ai.azure.com/":                 "",
		"https://proxy.example.com/foundry":                   "",
		"http://127.0.0.1:8090":                               "",
		"http://[::1]:8090":                                   "",
		"http://localhost:8090":                               "",
		"http://localhost.example.com":                        "is not https",
		"http://10.0.0.1":                                     "is not https",
		"ftp://example.com":                                   "is not a URL",
		"name.services.ai.azure.com":                          "is not a URL",
		"https://":                                            "is not a URL",
		"":                                                    "is not a URL",
		"https://exa mple.com":                                "is not a URL",
		"https://user:pass@example.com":                       "more than a host and a path",
		"https://example.com?x=1":                             "more than a host and a path",
		"https://example.com?":                                "more than a host and a path",
		"https://example.com#":                                "more than a host and a path",
		"https://name.services.ai.azure.com/models":           "ends in /models",
		"https://name.openai.azure.com/openai/v1/":            "ends in /openai/v1",
		"https://name.services.ai.azure.com/chat/completions": "ends in /chat/completions",
	} {
		_, err := upstream.New([]upstream.Endpoint{{Name: "x", URL: url, Shape: shape.Models, Key: secret.New("k")}}, upstream.Timeouts{})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", url, err, want)
		}
	}
}

func TestEachShapeHasItsOwnPathAndModel(t *testing.T) {
	named := map[string]upstream.Model{"m": {Name: "my own/name", Family: "gpt-4o"}}
	for name, c := range map[string]struct {
		endpoint upstream.Endpoint
		path     string
		target   upstream.Target
	}{
		"models":                  {upstream.Endpoint{Shape: shape.Models}, "/models/chat/completions?api-version=2024-05-01-preview", upstream.Target{Model: "m", Answers: upstream.Model{Name: "m"}}},
		"models, renamed":         {upstream.Endpoint{Shape: shape.Models, Deployment: "d", APIVersion: "v&1"}, "/models/chat/completions?api-version=v%261", upstream.Target{Model: "d", Answers: upstream.Model{Name: "d"}}},
		"openai":                  {upstream.Endpoint{Shape: shape.OpenAI}, "/openai/v1/chat/completions", upstream.Target{Model: "m", Answers: upstream.Model{Name: "m"}, StreamOptions: true}},
		"openai, renamed by list": {upstream.Endpoint{Shape: shape.OpenAI, Models: named}, "/openai/v1/chat/completions", upstream.Target{Model: "my own/name", Answers: upstream.Model{Name: "my own/name", Family: "gpt-4o"}, StreamOptions: true}},
		"deployments":             {upstream.Endpoint{Shape: shape.Deployments, Deployment: "d"}, "/openai/deployments/d/chat/completions?api-version=2024-10-21", upstream.Target{Answers: upstream.Model{Name: "d"}, StreamOptions: true}},
		"deployments, by list":    {upstream.Endpoint{Shape: shape.Deployments, Models: named}, "/openai/deployments/my%20own%2Fname/chat/completions?api-version=2024-10-21", upstream.Target{Answers: upstream.Model{Name: "my own/name", Family: "gpt-4o"}, StreamOptions: true}},
		"deployments, old":        {upstream.Endpoint{Shape: shape.Deployments, Deployment: "d", APIVersion: "2024-08-01-preview", Family: "o3"}, "/openai/deployments/d/chat/completions?api-version=2024-08-01-preview", upstream.Target{Answers: upstream.Model{Name: "d", Family: "o3"}}},
		"deployments, the first that takes options": {upstream.Endpoint{Shape: shape.Deployments, Deployment: "d", APIVersion: "2024-09-01-preview"}, "/openai/deployments/d/chat/completions?api-version=2024-09-01-preview", upstream.Target{Answers: upstream.Model{Name: "d"}, StreamOptions: true}},
	} {
		t.Run(name, func(t *testing.T) {
			var path string
			c.endpoint.URL = serve(t, func(w http.ResponseWriter, r *http.Request) { path = r.RequestURI }) + "/"
			c.endpoint.Name, c.target.Endpoint = "e", "e"
			c.endpoint.Token = func(context.Context) (string, error) { return "t", nil }
			var asked upstream.Target
			call := upstream.Call{Selection: upstream.Selection{Model: "m", Path: chatPath}, Request: upstream.Request{Body: func(target upstream.Target) [][]byte {
				asked = target
				return nil
			}}}
			response, err := newClient(t, upstream.Timeouts{}, c.endpoint).Send(t.Context(), call)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Close()
			if path != c.path || asked != c.target || response.Target != c.target {
				t.Errorf("got a call to %s, a body for %+v and an answer of %+v, want %s and twice %+v", path, asked, response.Target, c.path, c.target)
			}
		})
	}
}

func TestEndpointsWithoutANameAreNamedByTheirIndex(t *testing.T) {
	got := upstream.Names([]upstream.Endpoint{{}, {Name: "zone"}, {}})
	if want := []string{"upstream-1", "zone", "upstream-3"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
