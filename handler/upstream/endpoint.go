package upstream

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"tollgate/handler/secret"
)

// Shape is the dialect that an endpoint speaks. It decides the path and what
// may be asked.
type Shape string

// The shapes of Foundry's endpoints.
// Source: https://learn.microsoft.com/azure/ai-foundry/foundry-models/concepts/endpoints
const (
	Models      Shape = "models"      // {URL}/models/chat/completions?api-version=
	OpenAI      Shape = "openai"      // {URL}/openai/v1/chat/completions
	Deployments Shape = "deployments" // {URL}/openai/deployments/{name}/chat/completions?api-version=
)

// PassThrough is the value of the header extra-parameters that has an endpoint of
// the models shape pass parameters on to the model that it doesn't know itself. The
// other shapes always do.
// Source: https://learn.microsoft.com/rest/api/aifoundry/model-inference/get-chat-completions/get-chat-completions#extraparameters
const PassThrough = "pass-through"

// defaultVersion is the api-version of each shape that has one.
// Sources: https://learn.microsoft.com/rest/api/aifoundry/modelinference/ and
// https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle
var defaultVersion = map[Shape]string{Models: "2024-05-01-preview", Deployments: "2024-10-21"}

// Token gives a bearer token for an endpoint that has no api-key. It is asked
// for every call and caches.
type Token func(ctx context.Context) (string, error)

// Endpoint is where models answer.
type Endpoint struct {
	// Name tells endpoints apart in logs and in an answer's header, which callers
	// see. Without one it is upstream-1, upstream-2 and so on by its place in the
	// list, never the URL's host.
	Name string `json:"name"`
	// URL is the resource's address, https://<name>.services.ai.azure.com. The
	// shape adds the path.
	URL string `json:"url"`
	// Shape is the dialect it speaks.
	Shape Shape `json:"shape"`
	// APIVersion is the api-version of its query, by default the shape's stable
	// one. The OpenAI shape has none.
	APIVersion string `json:"apiVersion"`
	// Deployment is the endpoint's own name for the model it serves, where that
	// isn't the name that callers use.
	Deployment string `json:"deployment"`
	// Family names the model that answers behind Deployment, where its name
	// doesn't: it decides how tokens are counted and which field caps a completion.
	Family string `json:"family"`
	// Models are the models that it serves, by the name that callers use, with
	// what it knows each as. Without any it serves all, by Deployment.
	Models map[string]Model `json:"models"`
	// StreamOptions is whether a streamed call may carry stream_options. Unset,
	// all do but those of the models shape, which refuse parameters that they
	// don't know and tell usage unasked, and those asked by an api-version that
	// is older than stream_options.
	StreamOptions *bool `json:"streamOptions"`
	// Priority orders endpoints, the lowest first. Weight shares calls among
	// those of one priority, 1 unless set.
	Priority int `json:"priority"`
	Weight   int `json:"weight"`
	// Key is the endpoint's api-key. Without one, Token is asked.
	Key secret.Text `json:"-"`
	// Identity is whose tokens Token gives.
	Identity Identity `json:"-"`
	Token    Token    `json:"-"`
}

// Identity is a managed identity and what its tokens are for.
type Identity struct {
	// ClientID is the identity's client ID; empty: the system's own.
	ClientID string
	// Audience is the scope that tokens are asked for, which ends with /.default.
	// Empty: https://cognitiveservices.azure.com/.default.
	Audience string
}

// Model is a model as an endpoint knows it. In JSON it is an object, or its name
// alone.
type Model struct {
	// Name is the endpoint's own name for it.
	Name string `json:"name"`
	// Family is as an Endpoint's.
	Family string `json:"family"`
}

// UnmarshalJSON reads a name, or an object without unknown fields.
func (m *Model) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, &m.Name)
	}
	type plain Model
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return decoder.Decode((*plain)(m))
}

// firstStreamOptions is the first api-version of Azure OpenAI's that takes
// stream_options.
// Source: https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle
const firstStreamOptions = "2024-09-01-preview"

// takesStreamOptions is whether streamed calls may carry stream_options unless
// the configuration says otherwise.
func (e *Endpoint) takesStreamOptions() bool {
	return e.Shape == OpenAI || e.Shape == Deployments && (e.APIVersion >= firstStreamOptions || !isDated(e.APIVersion))
}

// isDated is whether an api-version begins with a date.
func isDated(version string) bool {
	_, err := time.Parse(time.DateOnly, version[:min(len(version), len(time.DateOnly))])
	return err == nil
}

// Serves is whether the endpoint takes calls for a model, by the name that
// callers use.
func (e *Endpoint) Serves(model string) bool {
	_, served := e.own(model)
	return served
}

// Validate returns every fault of endpoints but one: credentials may be added
// later, and New misses them.
func Validate(endpoints []Endpoint) []error {
	if len(endpoints) == 0 {
		return []error{errors.New("no upstream is configured")}
	}
	var faults []error
	names := make(map[string]bool)
	for i, e := range endpoints {
		e = e.named(i).normal()
		found := e.faults()
		if names[e.Name] && len(found) == 0 {
			found = append(found, fmt.Errorf("upstream %q: name is there twice: give each its own", e.Name))
		}
		names[e.Name] = true
		faults = append(faults, found...)
	}
	return faults
}

// named gives an endpoint without a name one by its index in the list.
func (e Endpoint) named(index int) Endpoint {
	if e.Name == "" {
		e.Name = fmt.Sprintf("upstream-%d", index+1)
	}
	return e
}

// normal fills in what else may be left out.
func (e Endpoint) normal() Endpoint {
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

// faults are those of a normal endpoint.
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
	fault(e.Shape == Deployments && e.Deployment == "" && len(e.Models) == 0, "deployment", "is missing: this shape has it in its path")
	fault(e.Shape == OpenAI && e.APIVersion != "", "apiVersion", "is not part of the openai shape: leave it out")
	fault(e.Deployment != "" && len(e.Models) > 0, "deployment", "stands beside models: each of those names its own, so leave one of the two out")
	fault(e.Family != "" && len(e.Models) > 0, "family", "stands beside models: give each of those its own, so leave one of the two out")
	for model, own := range e.Models {
		fault(model == "" || own.Name == "", "models", "has an empty name")
	}
	fault(e.Weight < 0, "weight", "is negative: use 1 or more")
	fault(strings.ContainsFunc(e.Key.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }), "credential", "has characters that no key has")
	return faults
}

// checkURL says what is wrong with an endpoint's address. A key must not travel
// in the clear, so http is for this machine alone.
func checkURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("is not an address: use https://<name>.services.ai.azure.com")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return errors.New("is not https: use https://")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(address, "#") || u.User != nil:
		return errors.New("has more than host and path: leave out user, query and fragment")
	}
	for _, end := range []string{"/models", "/openai", "/openai/v1", "/chat/completions"} {
		if strings.HasSuffix(u.Path, end) {
			return fmt.Errorf("ends in %s: leave that out, the shape adds it", end)
		}
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// isName is whether a name can stand in a header and a log as it is.
func isName(name string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
	return name != "" && len(name) <= 64 && strings.Trim(name, allowed) == ""
}

// own is a model as the endpoint knows it, and whether it serves it.
func (e *Endpoint) own(model string) (own Model, served bool) {
	if own, served = e.Models[model]; served || len(e.Models) > 0 {
		return own, served
	}
	return Model{Name: cmp.Or(e.Deployment, model), Family: e.Family}, true
}

// address is where a call for the endpoint's model of that name goes. Nothing
// of the caller's is in it.
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
