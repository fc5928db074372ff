package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
)

// A listedModel is a model in OpenAI's form. Typed clients need all four fields;
// Created is 0, because nothing here knows when a model was made.
type listedModel struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

func listed(model string) listedModel {
	return listedModel{ID: model, Object: "model", OwnedBy: "tollgate"}
}

// An anthropicModel is a model in the form of Anthropic's API. CreatedAt is the epoch,
// because nothing here knows when a model was made.
// Source: https://platform.claude.com/docs/en/api/models-list
type anthropicModel struct {
	Type        string `json:"type"`
	ID          string `json:"id"`
	DisplayName string `json:"display_name"`
	CreatedAt   string `json:"created_at"`
}

func anthropicListed(model string) anthropicModel {
	return anthropicModel{Type: "model", ID: model, DisplayName: model, CreatedAt: "1970-01-01T00:00:00Z"}
}

// listModels answers with the models that the subscription may use, in the form of the
// API that the client speaks.
func (g *Gateway) listModels(c *call) error {
	names := g.modelsOf(c.grant.Tier)
	g.setKnownLimitHeaders(c)
	if speaksAnthropic(c.r, g.config.BasePath) {
		return c.answerJSON(anthropicList(names))
	}
	all := struct {
		Object string        `json:"object"`
		Data   []listedModel `json:"data"`
	}{Object: "list", Data: []listedModel{}}
	for _, name := range names {
		all.Data = append(all.Data, listed(name))
	}
	return c.answerJSON(all)
}

// anthropicList returns a page with all models.
func anthropicList(names []string) any {
	page := struct {
		Data    []anthropicModel `json:"data"`
		HasMore bool             `json:"has_more"`
		FirstID *string          `json:"first_id"`
		LastID  *string          `json:"last_id"`
	}{Data: []anthropicModel{}}
	for i := range names {
		page.Data = append(page.Data, anthropicListed(names[i]))
		page.LastID = &names[i]
	}
	if len(names) > 0 {
		page.FirstID = &names[0]
	}
	return page
}

// getModel answers with the one model that the path names.
func (g *Gateway) getModel(c *call) error {
	if !slices.Contains(g.modelsOf(c.grant.Tier), c.route.name) {
		return g.modelNotFound(c)
	}
	g.setKnownLimitHeaders(c)
	if speaksAnthropic(c.r, g.config.BasePath) {
		return c.answerJSON(anthropicListed(c.route.name))
	}
	return c.answerJSON(listed(c.route.name))
}

func (c *call) answerJSON(value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	c.answer(http.StatusOK, "application/json", body)
	return nil
}
