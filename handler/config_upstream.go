package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"tollgate/handler/secret"
	"tollgate/handler/upstream"
	"tollgate/handler/upstream/credential"
)

// upstreams are the endpoints where the models answer: one, set by
// UPSTREAM_URL, UPSTREAM_SHAPE (models by default, openai or deployments),
// UPSTREAM_DEPLOYMENT (its own name for the model, by default the caller's),
// UPSTREAM_API_VERSION (by default the shape's) and UPSTREAM_API_KEY (without
// one the managed identity); or several, as the JSON of UPSTREAMS has them.
type upstreams []upstreamEndpoint

// upstreamEndpoint is an endpoint with what it takes calls by.
type upstreamEndpoint struct {
	upstream.Endpoint
	Credential upstreamCredential `json:"credential"`
	// Weight is the endpoint's: one of 0 is another thing than none.
	Weight *int `json:"weight"`
}

// upstreamCredential is one of three, or without any the app's own identity.
type upstreamCredential struct {
	// APIKey is the endpoint's key.
	APIKey secret.Text `json:"apiKey"`
	// Setting names the setting that holds the key: one that can be a reference
	// to Key Vault of its own.
	Setting string `json:"setting"`
	// ClientID picks a user-assigned identity, in place of AZURE_CLIENT_ID's.
	ClientID string `json:"clientId"`
}

// upstreams reads the endpoints.
func (s *settings) upstreams() (found upstreams) {
	setting := "UPSTREAMS"
	if text := s.text(setting, ""); text != "" {
		var sound bool
		found, sound = s.severalUpstreams(text)
		if s.text("UPSTREAM_URL", "") != "" {
			s.fault("UPSTREAM_URL", "stands beside UPSTREAMS", "list the endpoint there and leave UPSTREAM_URL out")
		}
		if !sound {
			return nil // which is said already
		}
	} else {
		setting = "UPSTREAM_URL"
		found = upstreams{{Endpoint: upstream.Endpoint{
			URL:        s.required(setting, "set it to the resource's address, https://<name>.services.ai.azure.com, or list several in UPSTREAMS"),
			Shape:      upstream.Shape(s.oneOf("UPSTREAM_SHAPE", "models", "openai", "deployments")),
			Deployment: s.text("UPSTREAM_DEPLOYMENT", ""),
			APIVersion: s.text("UPSTREAM_API_VERSION", ""),
			Key:        secret.New(s.text("UPSTREAM_API_KEY", "")),
		}}}
		if found[0].URL == "" {
			return found // which is said already
		}
	}
	for _, fault := range upstream.Validate(found.endpoints()) {
		s.faults = append(s.faults, fmt.Errorf("%s %w", setting, fault))
	}
	return found
}

// severalUpstreams reads the JSON of UPSTREAMS, and reports whether it is that.
func (s *settings) severalUpstreams(text string) (found upstreams, sound bool) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&found)
	if _, more := decoder.Token(); err == nil && !errors.Is(more, io.EOF) {
		err = errors.New("it goes on after its array")
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok { // which may quote a key
		err = fmt.Errorf("%s is of the wrong type", cmp.Or(strings.TrimPrefix(wrong.Field, "Endpoint."), "it")) // but for the struct's name
	}
	if err != nil {
		s.fault("UPSTREAMS", fmt.Sprintf("is not a JSON array of endpoints: %v", err),
			`write it as [{"url":"https://<name>.services.ai.azure.com","shape":"models"}]`)
		return nil, false
	}
	for i := range found {
		e := &found[i]
		e.Shape = cmp.Or(e.Shape, upstream.Models)
		s.weight(i, e)
		s.credential(i, e)
	}
	return found, true
}

// weight takes an endpoint's weight, which may be left out, but not be nothing.
func (s *settings) weight(i int, e *upstreamEndpoint) {
	if e.Weight == nil {
		return
	}
	if e.Endpoint.Weight = *e.Weight; *e.Weight == 0 {
		s.fault("UPSTREAMS", fmt.Sprintf("[%d].weight is 0", i), "use 1 or more, or leave out the endpoint that is to get no calls")
	}
}

// credential resolves what an endpoint takes calls by.
func (s *settings) credential(i int, e *upstreamEndpoint) {
	c, field := e.Credential, fmt.Sprintf("[%d].credential", i)
	given := 0
	for _, there := range []bool{!c.APIKey.Empty(), c.Setting != "", c.ClientID != ""} {
		if there {
			given++
		}
	}
	if given > 1 {
		s.fault("UPSTREAMS", field+" has more than one of apiKey, setting and clientId", "leave all but one out")
		return
	}
	if strings.HasPrefix(c.APIKey.Reveal(), unresolved) {
		s.fault("UPSTREAMS", field+".apiKey is a reference to Key Vault, which is resolved only where it is all of a setting", "give it a setting of its own, and name that in credential.setting")
	}
	e.Key = c.APIKey
	if c.Setting == "" {
		return
	}
	if e.Key = secret.New(s.text(c.Setting, "")); e.Key.Empty() {
		s.fault("UPSTREAMS", fmt.Sprintf("%s names the setting %q, which is empty or missing", field, c.Setting), "set that to the endpoint's key")
	}
}

// models are those that callers may name: those of MODELS, else all that the
// endpoints list, else DeepSeek-R1.
func (s *settings) models(endpoints upstreams) []string {
	listed := make(map[string]bool)
	for _, e := range endpoints {
		if len(e.Models) == 0 {
			listed = nil // it serves whatever it is asked for
			break
		}
		for model := range e.Models {
			listed[model] = true
		}
	}
	fallback := []string{"DeepSeek-R1"}
	if len(listed) > 0 {
		fallback = slices.Sorted(maps.Keys(listed))
	}
	models := s.list("MODELS", fallback...)
	for i, model := range models {
		if slices.Contains(models[:i], model) {
			s.fault("MODELS", fmt.Sprintf("names %q twice", model), "list it once")
		}
		if len(listed) > 0 && !listed[model] {
			s.fault("MODELS", fmt.Sprintf("names %q, which no endpoint of UPSTREAMS serves", model), "add it to the models of one, or leave it out")
		}
	}
	return models
}

// endpoints are the endpoints without their credentials.
func (u upstreams) endpoints() []upstream.Endpoint {
	endpoints := make([]upstream.Endpoint, len(u))
	for i, e := range u {
		endpoints[i] = e.Endpoint
	}
	return endpoints
}

// urls are the endpoints' addresses, for the log.
func (u upstreams) urls() []string {
	urls := make([]string, len(u))
	for i, e := range u {
		urls[i] = string(e.Shape) + " " + e.URL
	}
	return urls
}

// client makes the client of the endpoints; those without a key of their own
// are called as the identity of clientID, or as their own.
func (u upstreams) client(clientID string, timeouts upstream.Timeouts) (*upstream.Client, error) {
	endpoints := u.endpoints()
	tokens := make(map[string]upstream.Token)
	for i := range endpoints {
		e := &endpoints[i]
		if !e.Key.Empty() {
			continue
		}
		identity := cmp.Or(u[i].Credential.ClientID, clientID)
		if tokens[identity] == nil {
			token, err := credential.ManagedIdentity(identity)
			if err != nil {
				return nil, fmt.Errorf("the upstream %s has no key, and without one: %w", e.URL, err)
			}
			tokens[identity] = token
		}
		e.Token = tokens[identity]
	}
	return upstream.New(endpoints, timeouts)
}
