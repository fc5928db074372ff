package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
)

// An openAIModel is a model in OpenAI's form. Typed clients need all four fields;
// Created is 0, because the gateway doesn't know when a model was made.
type openAIModel struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

// newOpenAIModel describes a model in OpenAI's form.
func newOpenAIModel(model string) openAIModel {
	return openAIModel{ID: model, Object: "model", OwnedBy: "tollgate"}
}

// An anthropicModel is a model in the form of Anthropic's API. CreatedAt is the epoch,
// because the gateway doesn't know when a model was made.
// Source: https://platform.claude.com/docs/en/api/models-list
type anthropicModel struct {
	Type        string `json:"type"`
	ID          string `json:"id"`
	DisplayName string `json:"display_name"`
	CreatedAt   string `json:"created_at"`
}

// newAnthropicModel describes a model in Anthropic's form.
func newAnthropicModel(model string) anthropicModel {
	return anthropicModel{Type: "model", ID: model, DisplayName: model, CreatedAt: "1970-01-01T00:00:00Z"}
}

// listModels answers with the models that the subscription may use, in the form of the
// API that the client speaks.
func (g *Gateway) listModels(c *call) error {
	names := g.modelsOf(c.grant.Tier)
	g.setKnownLimitHeaders(c)
	if speaksAnthropic(c.r, g.config.BasePath) {
		return c.answerJSON(anthropicPage(names))
	}
	all := struct {
		Object string        `json:"object"`
		Data   []openAIModel `json:"data"`
	}{Object: "list", Data: []openAIModel{}}
	for _, name := range names {
		all.Data = append(all.Data, newOpenAIModel(name))
	}
	return c.answerJSON(all)
}

// anthropicPage returns a list of models in Anthropic's form, all on one page.
func anthropicPage(names []string) any {
	page := struct {
		Data    []anthropicModel `json:"data"`
		HasMore bool             `json:"has_more"`
		FirstID *string          `json:"first_id"`
		LastID  *string          `json:"last_id"`
	}{Data: []anthropicModel{}}
	for i := range names {
		page.Data = append(page.Data, newAnthropicModel(names[i]))
		page.LastID = &names[i]
	}
	if len(names) > 0 {
		page.FirstID = &names[0]
	}
	return page
}

// getModel answers with the one model that the path names.
func (g *Gateway) getModel(c *call) error {
	if !slices.Contains(g.modelsOf(c.grant.Tier), c.route.model) {
		return g.modelNotFound(c)
	}
	g.setKnownLimitHeaders(c)
	if speaksAnthropic(c.r, g.config.BasePath) {
		return c.answerJSON(newAnthropicModel(c.route.model))
	}
	return c.answerJSON(newOpenAIModel(c.route.model))
}

// answerJSON sends a value as JSON, with status 200.
func (c *call) answerJSON(value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	c.send(http.StatusOK, "application/json", body)
	return nil
}
