package fakemodel

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
)

// A compactionFormat writes a conversation that the model has made shorter.
type compactionFormat struct{ *responseFormat }

// compact serves POST /responses/compact, which takes no field that caps or streams the
// answer.
func (c *call) compact() {
	request, ok := c.readResponse()
	switch {
	case !ok:
		return
	case request.MaxTokens != nil:
		c.failField("max_output_tokens", "unknown_parameter", "Unknown parameter: 'max_output_tokens'.")
		return
	case request.Stream:
		c.failField("stream", "unknown_parameter", "Unknown parameter: 'stream'.")
		return
	}
	a := c.newAnswer(request.Model, plain, c.promptTokens(request), defaultCompletion, -1, nil)
	c.reply(a, &compactionFormat{&responseFormat{answer: a, request: request, id: "resp_" + rand.Text(), encryptionPrefix: c.e.stored.encryptionPrefix()}}, false)
}

// whole returns the users' messages as they were, and everything else as one encrypted
// item.
func (f *compactionFormat) whole() json.RawMessage {
	var output []json.RawMessage
	for _, item := range f.request.items() {
		var message struct{ Role string }
		if json.Unmarshal(item, &message) == nil && message.Role == "user" {
			output = append(output, item)
		}
	}
	output = append(output, object("id", "cmp_"+rand.Text(), "type", "compaction", "encrypted_content", f.encryptionPrefix+f.text()))
	return object("id", f.id, "object", "response.compaction", "created_at", f.created, "output", output, "usage", f.usage())
}

// failed returns the error in place of an answer.
func (f *compactionFormat) failed() json.RawMessage {
	return object("error", object("message", "The model failed.", "type", "server_error", "param", nil, "code", http.StatusInternalServerError))
}
