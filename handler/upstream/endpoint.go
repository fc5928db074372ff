package upstream

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"tollgate/handler/azure"
	"tollgate/handler/secret"
)

// Shape is the API that an endpoint speaks. It determines the path and the
// parameters that a call may have.
type Shape string

// The shapes of Foundry's endpoints.
// Source: https://learn.microsoft.com/azure/ai-foundry/foundry-models/concepts/endpoints
const (
	Models      Shape = "models"      // {URL}/models/chat/completions?api-version=
	OpenAI      Shape = "openai"      // {URL}/openai/v1/chat/completions
	Deployments Shape = "deployments" // {URL}/openai/deployments/{name}/chat/completions?api-version=
)

// PassThrough is the value of the header extra-parameters that makes an endpoint of
// the models shape pass parameters it doesn't know on to the model. The other shapes
// always do.
// Source: https://learn.microsoft.com/rest/api/aifoundry/model-inference/get-chat-completions/get-chat-completions#extraparameters
const PassThrough = "pass-through"

// defaultVersion is the api-version of each shape that has one.
// Sources: https://learn.microsoft.com/rest/api/aifoundry/modelinference/ and
// https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle
var defaultVersion = map[Shape]string{Models: "2024-05-01-preview", Deployments: "2024-10-21"}

// Token returns a bearer token for an endpoint that has no api-key. It is called
// for every request, so it must cache.
type Token func(ctx context.Context) (string, error)

// Endpoint is the configuration of one address where models answer.
type Endpoint struct {
	// Name identifies the endpoint in logs and in a header of answers, which callers
	// see. By default it is upstream-1, upstream-2 and so on, by position in the
	// list; never the URL's host.
	Name string `json:"name"`
	// URL is the resource's address, https://<name>.services.ai.azure.com. The
	// shape adds the path.
	URL string `json:"url"`
	// Shape is the API that the endpoint speaks.
	Shape Shape `json:"shape"`
	// APIVersion is the query's api-version, by default the shape's stable one. The
	// OpenAI shape has none.
	APIVersion string `json:"apiVersion"`
	// Deployment is the endpoint's own name for the model it serves, if callers use
	// another.
	Deployment string `json:"deployment"`
	// Family names the model that answers as Deployment, if that name doesn't. It
	// determines how tokens are counted and which field caps a completion.
	Family string `json:"family"`
	// Models maps the models that the endpoint serves from callers' names to its
	// own. If empty, it serves every model, as Deployment.
	Models map[string]Model `json:"models"`
	// StreamOptions reports whether a streamed call may carry stream_options. By
	// default it may, except with the models shape, which refuses parameters it
	// doesn't know and reports usage anyway, and with an api-version older than
	// stream_options.
	StreamOptions *bool `json:"streamOptions"`
	// Priority orders endpoints, the lowest first. Weight shares calls among
	// those of one priority; it is 1 by default.
	Priority int `json:"priority"`
	Weight   int `json:"weight"`
	// Key is the endpoint's api-key. If empty, Token supplies a credential.
	Key secret.Text `json:"-"`
	// Identity is the identity that Token gets its tokens for.
	Identity Identity `json:"-"`
	Token    Token    `json:"-"`
}

// Identity is a managed identity and the audience of its tokens.
type Identity struct {
	// ClientID is the identity's client ID; empty for the system-assigned one.
	ClientID string
	// Audience is the scope that tokens are requested for, which ends with
	// /.default. If empty, it is https://cognitiveservices.azure.com/.default.
	Audience string
}

// Model is a model at an endpoint. In JSON it is an object, or just the name.
type Model struct {
	// Name is the endpoint's own name for it.
	Name string `json:"name"`
	// Family is Endpoint.Family for this model.
	Family string `json:"family"`
}

// UnmarshalJSON decodes a name, or an object without unknown fields.
func (m *Model) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, &m.Name)
	}
	type plain Model
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return decoder.Decode((*plain)(m))
}

// firstStreamOptions is Azure OpenAI's first api-version with stream_options.
// Source: https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle
const firstStreamOptions = "2024-09-01-preview"

// takesStreamOptions returns the default of StreamOptions.
func (e *Endpoint) takesStreamOptions() bool {
	return e.Shape == OpenAI || e.Shape == Deployments && (e.APIVersion >= firstStreamOptions || !isDated(e.APIVersion))
}

// isDated reports whether an api-version begins with a date.
func isDated(version string) bool {
	_, err := time.Parse(time.DateOnly, version[:min(len(version), len(time.DateOnly))])
	return err == nil
}

// Serves reports whether the endpoint takes calls for a model, by callers' name.
func (e *Endpoint) Serves(model string) bool {
	_, served := e.own(model)
	return served
}

// Validate returns every fault of endpoints, except that it doesn't look for missing
// credentials: they may be added before New, which does.
func Validate(endpoints []Endpoint) []error {
	if len(endpoints) == 0 {
		return []error{errors.New("no upstream is configured")}
	}
	var faults []error
	names := make(map[string]bool)
	for i, e := range endpoints {
		e = e.withName(i).withDefaults()
		found := e.faults()
		if names[e.Name] && len(found) == 0 {
			found = append(found, fmt.Errorf("upstream %q: name is used twice: give each upstream its own", e.Name))
		}
		names[e.Name] = true
		faults = append(faults, found...)
	}
	return faults
}

// withName returns the endpoint with a name: its own, or one by its index in the
// list.
func (e Endpoint) withName(index int) Endpoint {
	if e.Name == "" {
		e.Name = fmt.Sprintf("upstream-%d", index+1)
	}
	return e
}

// withDefaults returns the endpoint with defaults for everything else that may be
// left out.
func (e Endpoint) withDefaults() Endpoint {
	e.URL = strings.TrimRight(e.URL, "/")
	if e.APIVersion == "" {
		e.APIVersion = defaultVersion[e.Shape]
	}
	if e.Weight == 0 {
		e.Weight = 1
	}
	if e.StreamOptions == nil {
		takes := e.takesStreamOptions()
		e.StreamOptions = &takes
	}
	return e
}

// faults returns the faults of an endpoint that has its name and defaults.
func (e *Endpoint) faults() (faults []error) {
	fault := func(bad bool, field, problem string) {
		if bad {
			faults = append(faults, fmt.Errorf("upstream %q: %s %s", e.Name, field, problem))
		}
	}
	fault(!isName(e.Name), "name", "must be 1 to 64 letters, digits, dots, dashes or underscores")
	if err := checkURL(e.URL); err != nil {
		fault(true, "url", err.Error())
	}
	fault(e.Shape != Models && e.Shape != OpenAI && e.Shape != Deployments, "shape", "must be models, openai or deployments")
	fault(e.Shape == Deployments && e.Deployment == "" && len(e.Models) == 0, "deployment", "is missing: the path of the deployments shape contains it")
	fault(e.Shape == OpenAI && e.APIVersion != "", "apiVersion", "is not part of the openai shape: leave it out")
	fault(e.Deployment != "" && len(e.Models) > 0, "deployment", "can't be combined with models: leave it out and set name in each of them")
	fault(e.Family != "" && len(e.Models) > 0, "family", "can't be combined with models: leave it out and set family in each of them")
	for model, own := range e.Models {
		fault(model == "" || own.Name == "", "models", "has an empty name: name each model as callers do, and as the endpoint does")
	}
	fault(e.Weight < 0, "weight", "is negative: use 1 or more")
	fault(strings.ContainsFunc(e.Key.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }), "credential", "contains spaces or other characters that no key has: copy it again")
	return faults
}

// checkURL returns the fault of an endpoint's address. Keys must not be sent
// unencrypted, so http is allowed to this machine only.
func checkURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("is not a URL: use https://<name>.services.ai.azure.com")
	case u.Scheme == "http" && !azure.IsLoopback(u.Hostname()):
		return errors.New("is not https: use https://")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(address, "#") || u.User != nil:
		return errors.New("has more than a host and a path: leave out user, query and fragment")
	}
	for _, end := range []string{"/models", "/openai", "/openai/v1", "/chat/completions"} {
		if strings.HasSuffix(u.Path, end) {
			return fmt.Errorf("ends in %s: leave that out, the shape adds it", end)
		}
	}
	return nil
}

// isName reports whether a name is safe in a header and a log without quoting.
func isName(name string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
	return name != "" && len(name) <= 64 && strings.Trim(name, allowed) == ""
}

// own returns the endpoint's own name for a model, and whether it serves the model.
func (e *Endpoint) own(model string) (own Model, served bool) {
	if own, served = e.Models[model]; served || len(e.Models) > 0 {
		return own, served
	}
	return Model{Name: cmp.Or(e.Deployment, model), Family: e.Family}, true
}

// address returns the URL of calls for a model, by the endpoint's own name. It
// contains nothing from the caller.
func (e *Endpoint) address(own string) *url.URL {
	path, version := "/models/chat/completions", "?api-version="+url.QueryEscape(e.APIVersion)
	switch e.Shape {
	case OpenAI:
		path, version = "/openai/v1/chat/completions", ""
	case Deployments:
		path = "/openai/deployments/" + url.PathEscape(own) + "/chat/completions"
	}
	address, err := url.Parse(e.URL + path + version)
	if err != nil {
		return nil // its URL is a fault, which Validate names
	}
	return address
}
