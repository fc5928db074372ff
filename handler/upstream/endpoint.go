// Package upstream talks to the model's endpoint: paths, credentials, timeouts
// and the relay of what comes back. It reads no bodies: what they mean is the
// gateway's business.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"tollgate/handler/secret"
)

// Shape is the dialect that an endpoint speaks, which decides the path.
type Shape string

// The shapes of Foundry's endpoints.
// Source: https://learn.microsoft.com/azure/ai-foundry/foundry-models/concepts/endpoints
const (
	Models      Shape = "models"      // {URL}/models/chat/completions?api-version=
	OpenAI      Shape = "openai"      // {URL}/openai/v1/chat/completions
	Deployments Shape = "deployments" // {URL}/openai/deployments/{name}/chat/completions?api-version=
)

// Shapes are all shapes there are.
var Shapes = []string{string(Models), string(OpenAI), string(Deployments)}

// Token gives a bearer token for the endpoint, where no api-key is set. It is
// asked for every call and caches.
type Token func(ctx context.Context) (string, error)

// Endpoint is where a model answers.
type Endpoint struct {
	// URL is the resource's address, https://<name>.services.ai.azure.com.
	URL string
	// Shape is the dialect it speaks.
	Shape Shape
	// APIVersion is the api-version of its query; unused by OpenAI.
	APIVersion string
	// Deployments maps the models' names that callers use to the endpoint's own;
	// a name that isn't there is passed on as it is.
	Deployments map[string]string
	// Key is the endpoint's api-key. Without one, Token is asked.
	Key   secret.Text
	Token Token
}

// Default API versions.
// Sources: https://learn.microsoft.com/rest/api/aifoundry/modelinference/ and
// https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle
const (
	defaultModelsVersion      = "2024-05-01-preview"
	defaultDeploymentsVersion = "2024-10-21"
)

// DefaultAPIVersion is what a shape's query names where the configuration says nothing.
func DefaultAPIVersion(shape Shape) string {
	switch shape {
	case Models:
		return defaultModelsVersion
	case Deployments:
		return defaultDeploymentsVersion
	}
	return ""
}

// CheckURL says what is wrong with an endpoint's address. A key must not travel
// in the clear, so http is for this machine alone.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("is not an address: use https://<name>.services.ai.azure.com")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return errors.New("is not https: use https://")
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return errors.New("has more than host and path: leave out user, query and fragment")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Deployment is the endpoint's own name of a model.
func (e *Endpoint) Deployment(model string) string {
	if own, ok := e.Deployments[model]; ok {
		return own
	}
	return model
}

// TakesStreamOptions says whether a request may ask for usage at a stream's
// end. The models shape refuses parameters that it doesn't know, and tells
// usage unasked.
func (e *Endpoint) TakesStreamOptions() bool { return e.Shape != Models }

// address is where a call for a model goes. Nothing of the caller's is in it
// but the name of a model that the configuration lists.
func (e *Endpoint) address(model string) string {
	base := strings.TrimSuffix(e.URL, "/")
	version := "?api-version=" + url.QueryEscape(e.APIVersion)
	switch e.Shape {
	case OpenAI:
		return base + "/openai/v1/chat/completions"
	case Deployments:
		return base + "/openai/deployments/" + url.PathEscape(e.Deployment(model)) + "/chat/completions" + version
	default:
		return base + "/models/chat/completions" + version
	}
}

// authorize puts the endpoint's credential on a request.
func (e *Endpoint) authorize(r *http.Request) error {
	if !e.Key.Empty() {
		r.Header.Set("Api-Key", e.Key.Reveal())
		return nil
	}
	token, err := e.Token(r.Context())
	if err != nil {
		return fmt.Errorf("get a token for %s: %w", e.URL, err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return nil
}
