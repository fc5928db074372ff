package config

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
	"tollgate/handler/subscription"
	"tollgate/handler/upstream"
)

// written is an endpoint as UPSTREAMS has it: with what it takes calls by.
type written struct {
	upstream.Endpoint
	Credential writtenCredential `json:"credential"`
	// Weight is the endpoint's, where a weight of 0 can be told from none.
	Weight *int `json:"weight"`
}

// writtenCredential is one of three; without any, the app's own identity calls.
// An audience goes with an identity.
type writtenCredential struct {
	// APIKey is the endpoint's key.
	APIKey secret.Text `json:"apiKey"`
	// Setting names the setting that holds the key: it can be a reference to Key
	// Vault by itself.
	Setting string `json:"setting"`
	// ClientID picks a user-assigned identity, in place of AZURE_CLIENT_ID's.
	ClientID string `json:"clientId"`
	// Audience is what the identity's tokens are for.
	Audience string `json:"audience"`
}

// upstreams reads the endpoints; those that name neither a key nor an identity
// are called as clientID's.
func (s *settings) upstreams(clientID string) (found []upstream.Endpoint) {
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
		found = []upstream.Endpoint{{
			URL:        s.required(setting, "set it to the resource's address, https://<name>.services.ai.azure.com, or list several in UPSTREAMS"),
			Shape:      upstream.Shape(s.oneOf("UPSTREAM_SHAPE", "openai", "models", "deployments")),
			Deployment: s.text("UPSTREAM_DEPLOYMENT", ""),
			Family:     s.text("UPSTREAM_FAMILY", ""),
			APIVersion: s.text("UPSTREAM_API_VERSION", ""),
			Key:        secret.New(s.text("UPSTREAM_API_KEY", "")),
			Identity:   upstream.Identity{Audience: s.text("UPSTREAM_AUDIENCE", "")},
		}}
		switch s.oneOf("UPSTREAM_STREAM_OPTIONS", "auto", "on", "off") {
		case "on":
			found[0].StreamOptions = new(true)
		case "off":
			found[0].StreamOptions = new(false)
		}
		s.audience("UPSTREAM_AUDIENCE", "", found[0])
		if found[0].URL == "" {
			return found // which is said already
		}
	}
	for i := range found {
		if found[i].Key.Empty() {
			found[i].Identity.ClientID = cmp.Or(found[i].Identity.ClientID, clientID)
		}
	}
	for _, fault := range upstream.Validate(found) {
		s.faults = append(s.faults, fmt.Errorf("%s %w", setting, fault))
	}
	return found
}

// severalUpstreams reads the JSON of UPSTREAMS, and reports whether it is that.
func (s *settings) severalUpstreams(text string) (found []upstream.Endpoint, sound bool) {
	var all []written
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&all)
	if _, more := decoder.Token(); err == nil && !errors.Is(more, io.EOF) {
		err = errors.New("it goes on after its array")
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok { // which may quote a key
		err = fmt.Errorf("%s is of the wrong type", cmp.Or(strings.TrimPrefix(wrong.Field, "Endpoint."), "it")) // but for the struct's name
	}
	if err == nil {
		err = subscription.Once([]byte(text))
	}
	if err != nil {
		s.fault("UPSTREAMS", fmt.Sprintf("is not a JSON array of endpoints: %v", err),
			`write it as [{"url":"https://<name>.services.ai.azure.com","shape":"openai"}]`)
		return nil, false
	}
	for i := range all {
		e := &all[i]
		e.Shape = cmp.Or(e.Shape, upstream.OpenAI)
		s.weight(i, e)
		s.credential(i, e)
		found = append(found, e.Endpoint)
	}
	return found, true
}

// weight takes an endpoint's weight, which may be left out, but not be nothing.
func (s *settings) weight(i int, e *written) {
	if e.Weight == nil {
		return
	}
	if e.Endpoint.Weight = *e.Weight; *e.Weight == 0 {
		s.fault("UPSTREAMS", fmt.Sprintf("[%d].weight is 0", i), "use 1 or more, or leave out the endpoint that is to get no calls")
	}
}

// credential resolves what an endpoint takes calls by.
func (s *settings) credential(i int, e *written) {
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
	e.Key, e.Identity = c.APIKey, upstream.Identity{ClientID: c.ClientID, Audience: c.Audience}
	if c.Setting != "" {
		e.Key = secret.New(s.text(c.Setting, ""))
	}
	s.audience("UPSTREAMS", field+".audience ", e.Endpoint)
	if c.Setting != "" && e.Key.Empty() {
		s.fault("UPSTREAMS", fmt.Sprintf("%s names the setting %q, which is empty or missing", field, c.Setting), "set that to the endpoint's key")
	}
}

// audience looks whether an endpoint's audience can be one, and is of any use;
// field says where a setting has it.
func (s *settings) audience(setting, field string, e upstream.Endpoint) {
	audience := e.Identity.Audience
	host, whole := strings.CutSuffix(audience, "/.default")
	switch {
	case audience == "":
	case !e.Key.Empty():
		s.fault(setting, field+"stands beside a key", "leave the key out to call as an identity, or the audience out")
	case !whole || len(host) <= len("https://") || !strings.HasPrefix(host, "https://") || strings.ContainsAny(host, " ?#@"):
		s.fault(setting, fmt.Sprintf("%sis %q", field, audience), "use https://cognitiveservices.azure.com/.default or https://ai.azure.com/.default")
	}
}

// models are those that callers may name: those of MODELS, else all that the
// endpoints list, else DeepSeek-R1.
func (s *settings) models(endpoints []upstream.Endpoint) []string {
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
