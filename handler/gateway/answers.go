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

// listModels answers with the models that the subscription may use.
func (g *Gateway) listModels(c *call) error {
	all := struct {
		Object string        `json:"object"`
		Data   []listedModel `json:"data"`
	}{Object: "list", Data: []listedModel{}}
	for _, name := range g.modelsOf(c.grant.Tier) {
		all.Data = append(all.Data, listed(name))
	}
	g.setKnownLimitHeaders(c)
	return c.answerJSON(all)
}

// getModel answers with the one model that the path names.
func (g *Gateway) getModel(c *call) error {
	if !slices.Contains(g.modelsOf(c.grant.Tier), c.route.name) {
		return g.modelNotFound(c)
	}
	g.setKnownLimitHeaders(c)
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
