package fakemodel

import (
	"encoding/json"
	"net/http"
	"slices"
)

// The models that the endpoint lists. It answers for any other name as well.
var (
	openAIModels    = []string{"DeepSeek-R1", "gpt-5-mini", "gpt-3.5-turbo-instruct", "text-embedding-3-small"}
	anthropicModels = []string{"claude-sonnet-5", "claude-haiku-5-5"}
)

// listModels lists the models in the form of the call's API.
func (c *call) listModels() {
	var data []json.RawMessage
	for _, id := range c.models() {
		data = append(data, c.model(id))
	}
	if c.api != anthropic {
		c.send(http.StatusOK, object("object", "list", "data", data))
		return
	}
	c.send(http.StatusOK, object("data", data, "has_more", false, "first_id", anthropicModels[0], "last_id", anthropicModels[len(anthropicModels)-1]))
}

// oneModel answers with the model that the path names.
func (c *call) oneModel() {
	if !slices.Contains(c.models(), c.id) {
		c.fail(http.StatusNotFound, "model_not_found", "There is no such model.")
		return
	}
	c.send(http.StatusOK, c.model(c.id))
}

func (c *call) models() []string {
	if c.api == anthropic {
		return anthropicModels
	}
	return openAIModels
}

func (c *call) model(id string) json.RawMessage {
	if c.api == anthropic {
		return object("type", "model", "id", id, "display_name", id, "created_at", "2025-09-29T00:00:00Z")
	}
	return object("id", id, "object", "model", "created", 1700000000, "owned_by", "system")
}
