package fakemodel

import (
	"encoding/json"
	"net/http"
)

// The models that the endpoint lists. It answers for any other name as well.
var (
	openAIModels    = []string{"DeepSeek-R1", "gpt-5-mini", "gpt-3.5-turbo-instruct", "text-embedding-3-small"}
	anthropicModels = []string{"claude-sonnet-4-5", "claude-haiku-4-5"}
)

// listModels lists the models in the form of the call's API.
func (c *call) listModels() {
	var data []json.RawMessage
	if c.api != anthropic {
		for _, id := range openAIModels {
			data = append(data, object("id", id, "object", "model", "created", 1700000000, "owned_by", "system"))
		}
		c.send(http.StatusOK, object("object", "list", "data", data))
		return
	}
	for _, id := range anthropicModels {
		data = append(data, object("type", "model", "id", id, "display_name", id, "created_at", "2025-09-29T00:00:00Z"))
	}
	c.send(http.StatusOK, object("data", data, "has_more", false, "first_id", anthropicModels[0], "last_id", anthropicModels[len(anthropicModels)-1]))
}
