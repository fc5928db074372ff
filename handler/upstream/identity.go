package upstream

import (
	"cmp"
	"fmt"
	"slices"

	"tollgate/handler/azure"
)

// inference is the scope of tokens for Foundry's inference, used unless an endpoint names
// another audience.
// Source: https://learn.microsoft.com/azure/ai-foundry/foundry-models/how-to/configure-entra-id
const inference = "https://cognitiveservices.azure.com/.default"

// tokens returns a source of the identity's tokens.
func (i Identity) tokens() (Token, error) {
	credential, err := azure.Credential(i.ClientID)
	if err != nil {
		return nil, err
	}
	return azure.BearerTokens(credential, i.scope()), nil
}

func (i Identity) scope() string { return cmp.Or(i.Audience, inference) }

// WithTokens gives each endpoint that has no key the tokens of its identity. Endpoints
// that share an identity share one source of tokens.
func WithTokens(endpoints []Endpoint) ([]Endpoint, error) {
	endpoints = slices.Clone(endpoints)
	sources := make(map[Identity]Token)
	for i := range endpoints {
		e := &endpoints[i]
		if !e.Key.Empty() {
			continue
		}
		if sources[e.Identity] == nil {
			source, err := e.Identity.tokens()
			if err != nil {
				return nil, fmt.Errorf("upstream %s has no key, and its managed identity can't be used: %w", e.URL, err)
			}
			sources[e.Identity] = source
		}
		e.Token = sources[e.Identity]
	}
	return endpoints, nil
}
