package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
)

// listedModel is a model in OpenAI's form, of which typed clients miss any field.
// When a model was made isn't known here.
type listedModel struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

func listed(model string) listedModel {
	return listedModel{ID: model, Object: "model", OwnedBy: "tollgate"}
}

// list answers with the models that the subscription may use.
func (g *Gateway) list(c *call) error {
	all := struct {
		Object string        `json:"object"`
		Data   []listedModel `json:"data"`
	}{Object: "list", Data: []listedModel{}}
	for _, name := range g.served(c.grant.Tier) {
		all.Data = append(all.Data, listed(name))
	}
	g.remind(c)
	return c.answerJSON(all)
}

// model answers with the one model that the path names.
func (g *Gateway) model(c *call) error {
	if !slices.Contains(g.served(c.grant.Tier), c.route.deployment) {
		return g.noModel(c)
	}
	g.remind(c)
	return c.answerJSON(listed(c.route.deployment))
}

func (c *call) answerJSON(value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	c.answer(http.StatusOK, "application/json", body)
	return nil
}
