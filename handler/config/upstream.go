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

	"tollgate/handler/azure"
	"tollgate/handler/secret"
	"tollgate/handler/shape"
	"tollgate/handler/subscription"
	"tollgate/handler/upstream"
)

// An endpointJSON is an endpoint of UPSTREAMS.
type endpointJSON struct {
	upstream.Endpoint
	Credential credentialJSON `json:"credential"`
	// Weight is the endpoint's weight: a pointer, to tell 0 from absent.
	Weight *int `json:"weight"`
}

// A credentialJSON has at most one of apiKey, setting and clientId; with none, calls
// are made as the app's own identity. An audience needs an identity.
type credentialJSON struct {
	// APIKey is the endpoint's key.
	APIKey secret.Text `json:"apiKey"`
	// Setting names the app setting that holds the key. That setting can be a Key Vault
	// reference.
	Setting string `json:"setting"`
	// ClientID selects a user-assigned identity, in place of AZURE_CLIENT_ID's.
	ClientID string `json:"clientId"`
	// Audience is the scope that tokens are requested for.
	Audience string `json:"audience"`
}

// upstreams reads the endpoints. Those with neither a key nor an identity get the identity
// clientID.
func (s *settings) upstreams(clientID string) (found []upstream.Endpoint) {
	setting := "UPSTREAMS"
	if text := s.text(setting, ""); text != "" {
		var readable bool
		found, readable = s.severalUpstreams(text)
		if s.text("UPSTREAM_URL", "") != "" {
			s.fault("UPSTREAM_URL", "is set, and UPSTREAMS too", "list the endpoint in UPSTREAMS and remove UPSTREAM_URL")
		}
		if !readable {
			return nil // the fault is reported already
		}
	} else {
		setting = "UPSTREAM_URL"
		found = []upstream.Endpoint{{
			URL:        s.required(setting, "set it to the resource's address, https://<name>.services.ai.azure.com, or list several in UPSTREAMS"),
			Shape:      shape.Shape(s.oneOf("UPSTREAM_SHAPE", "openai", "models", "deployments", "anthropic")),
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
			return found // the fault is reported already
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

// severalUpstreams reads the JSON of UPSTREAMS. If the JSON isn't readable, it adds the fault.
func (s *settings) severalUpstreams(text string) (found []upstream.Endpoint, readable bool) {
	var all []endpointJSON
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&all)
	if _, more := decoder.Token(); err == nil && !errors.Is(more, io.EOF) {
		err = errors.New("there is text after the array")
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok { // its text may quote a key
		err = fmt.Errorf("%s has the wrong type", cmp.Or(strings.TrimPrefix(wrong.Field, "Endpoint."), "it"))
	}
	if err == nil {
		err = subscription.CheckJSON([]byte(text))
	}
	if err != nil {
		s.fault("UPSTREAMS", fmt.Sprintf("is not a JSON array of endpoints: %v", err),
			`write it as [{"url":"https://<name>.services.ai.azure.com","shape":"openai"}]`)
		return nil, false
	}
	for i := range all {
		e := &all[i]
		e.Shape = cmp.Or(e.Shape, shape.OpenAI)
		s.weight(i, e)
		s.credential(i, e)
		found = append(found, e.Endpoint)
	}
	return found, true
}

// weight sets an endpoint's weight, which may be absent but not 0.
func (s *settings) weight(i int, e *endpointJSON) {
	if e.Weight == nil {
		return
	}
	if e.Endpoint.Weight = *e.Weight; *e.Weight == 0 {
		s.fault("UPSTREAMS", fmt.Sprintf("[%d].weight is 0", i), "use 1 or more, or remove the endpoint if it should get no calls")
	}
}

// credential sets the key or the identity that an endpoint is called with.
func (s *settings) credential(i int, e *endpointJSON) {
	c, field := e.Credential, fmt.Sprintf("[%d].credential", i)
	given := 0
	for _, there := range []bool{!c.APIKey.Empty(), c.Setting != "", c.ClientID != ""} {
		if there {
			given++
		}
	}
	if given > 1 {
		s.fault("UPSTREAMS", field+" has more than one of apiKey, setting and clientId", "keep only one")
		return
	}
	if azure.IsUnresolvedReference(c.APIKey.Reveal()) {
		s.fault("UPSTREAMS", field+".apiKey is a reference to Key Vault, which Azure resolves only where it is a setting's whole value", "put it into a setting of its own, and name that setting in credential.setting")
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

// audience checks an endpoint's audience: its form, and that the endpoint is called
// as an identity. field is its path within the setting.
func (s *settings) audience(setting, field string, e upstream.Endpoint) {
	audience := e.Identity.Audience
	host, whole := strings.CutSuffix(audience, "/.default")
	switch {
	case audience == "":
	case !e.Key.Empty():
		s.fault(setting, field+"is set, and a key too", "remove the key to call as an identity, or else the audience")
	case !whole || len(host) <= len("https://") || !strings.HasPrefix(host, "https://") || strings.ContainsAny(host, " ?#@"):
		s.fault(setting, fmt.Sprintf("%sis %q", field, audience), "use https://cognitiveservices.azure.com/.default or https://ai.azure.com/.default")
	}
}

// maxModel is the longest name of a model, in bytes: even escaped, it fits into a row's key with
// the key's other parts.
const maxModel = 100

// models returns the models that calls may name: those of MODELS, else all that the
// endpoints list, else DeepSeek-R1.
func (s *settings) models(endpoints []upstream.Endpoint) []string {
	listed := make(map[string]bool)
	for _, e := range endpoints {
		if len(e.Models) == 0 {
			listed = nil // it serves any model
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
		if len(model) > maxModel || strings.HasPrefix(model, "(") {
			s.fault("MODELS", fmt.Sprintf("names %q", model), fmt.Sprintf("use at most %d bytes, and no parenthesis at the beginning: names like that stand for several models in usage", maxModel))
		}
		if len(listed) > 0 && !listed[model] {
			s.fault("MODELS", fmt.Sprintf("names %q, which no endpoint of UPSTREAMS serves", model), "add it to an endpoint's models, or remove it from MODELS")
		}
	}
	return models
}
