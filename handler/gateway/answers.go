package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// list answers with the models that the subscription may use, in OpenAI's form,
// of which typed clients miss any field. When a model was made isn't known here.
func (g *Gateway) list(c *call) error {
	type model struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
		OwnedBy string `json:"owned_by"`
	}
	listed := struct {
		Object string  `json:"object"`
		Data   []model `json:"data"`
	}{Object: "list", Data: []model{}}
	for _, name := range g.served(c.grant.Tier) {
		listed.Data = append(listed.Data, model{ID: name, Object: "model", OwnedBy: "tollgate"})
	}
	g.remind(c)
	return c.answerJSON(listed)
}

func (c *call) answerJSON(value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	c.answer(http.StatusOK, "application/json", body)
	return nil
}
