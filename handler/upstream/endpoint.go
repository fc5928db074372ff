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
	"tollgate/handler/shape"
)

// PassThrough is the value of the header extra-parameters with which an endpoint of the
// models shape passes unknown parameters on to the model. The other shapes always do.
// Source: https://learn.microsoft.com/rest/api/aifoundry/model-inference/get-chat-completions/get-chat-completions#extraparameters
const PassThrough = "pass-through"

// defaultVersion is the api-version of each shape that has them.
// Sources: https://learn.microsoft.com/rest/api/aifoundry/modelinference/ and
// https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle
var defaultVersion = map[shape.Shape]string{shape.Models: "2024-05-01-preview", shape.Deployments: "2024-10-21"}

// Token returns a bearer token for an endpoint that has no api-key. It is called
// for every request, so it must cache.
type Token func(ctx context.Context) (string, error)

// Endpoint is the configuration of one address at which models are called.
type Endpoint struct {
	// Name identifies the endpoint in logs, and to callers in a header of answers. By
	// default it is upstream-1, upstream-2 and so on, by position in the list. It is never
	// the URL's host, which callers must not see.
	Name string `json:"name"`
	// URL is the resource's address, https://<name>.services.ai.azure.com. The
	// shape adds the path.
	URL string `json:"url"`
	// Shape is the API that the endpoint speaks.
	Shape shape.Shape `json:"shape"`
	// APIVersion is the query's api-version, by default the shape's stable one. The
	// openai and anthropic shapes have none.
	APIVersion string `json:"apiVersion"`
	// Deployment is the endpoint's own name for the model that it serves, if callers use
	// another name.
	Deployment string `json:"deployment"`
	// Family is the name of the model behind Deployment, if Deployment isn't that name. It
	// determines how tokens are counted and which field caps a completion.
	Family string `json:"family"`
	// Models maps callers' names of the models that the endpoint serves to its own. If
	// empty, it serves every model, as Deployment.
	Models map[string]Model `json:"models"`
	// StreamOptions reports whether a streamed call may carry stream_options. By default
	// it may, except with the models shape, which refuses unknown parameters and reports
	// usage anyway, and with an api-version older than stream_options.
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
	return e.Shape == shape.OpenAI || e.Shape == shape.Deployments && (e.APIVersion >= firstStreamOptions || !isDated(e.APIVersion))
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

// Names returns the names of endpoints: their own, or those by their index.
func Names(endpoints []Endpoint) []string {
	names := make([]string, len(endpoints))
	for i, e := range endpoints {
		names[i] = e.withName(i).Name
	}
	return names
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
	fault(!e.Shape.Valid(), "shape", "must be "+shape.List())
	fault(e.Shape == shape.Deployments && e.Deployment == "" && len(e.Models) == 0, "deployment", "is missing: the path of the deployments shape contains it")
	fault(e.Shape.Valid() && defaultVersion[e.Shape] == "" && e.APIVersion != "", "apiVersion", "is not part of the "+string(e.Shape)+" shape: leave it out")
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
	for _, end := range []string{"/models", "/openai", "/openai/v1", "/chat/completions", "/anthropic", "/anthropic/v1", "/messages"} {
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

// keyHeader returns the header that carries the endpoint's key.
func (e *Endpoint) keyHeader() string {
	if e.Shape == shape.Anthropic {
		return "X-Api-Key"
	}
	return "Api-Key"
}

// address returns the URL of a call for a model, by the endpoint's own name. path may
// have "{name}" in place of that name.
func (e *Endpoint) address(path, own, query string) (*url.URL, error) {
	address := e.URL + strings.ReplaceAll(path, nameInPath, url.PathEscape(own))
	separator := "?"
	if e.APIVersion != "" {
		address += "?api-version=" + url.QueryEscape(e.APIVersion)
		separator = "&"
	}
	if query != "" {
		address += separator + query
	}
	return url.Parse(address)
}

// nameInPath stands for the endpoint's name for the model in a call's path.
const nameInPath = "{name}"
