// Package tokens counts what a prompt will cost before it is sent.
//
// The count decides a call's admission, and stands in where a model tells no
// usage. It is an estimate of one token for every four bytes, which the usage
// that comes back corrects.
package tokens

import (
	"encoding/json"
	"errors"
	"strings"
)

// bytesPerToken is the rule of thumb for English prose.
// Source: https://help.openai.com/articles/4936856
const bytesPerToken = 4

// Encoding counts for one family of models.
type Encoding struct{}

// ForModel is the encoding of a model, by the name that callers use.
func ForModel(string) *Encoding { return &Encoding{} }

// Exact says whether counts are the model's own; else usage corrects them.
func (e *Encoding) Exact() bool { return false }

// Count is how many tokens a text has.
func (e *Encoding) Count(text string) int { return (len(text) + bytesPerToken - 1) / bytesPerToken }

// CountChat is how many prompt tokens a chat has, from the raw JSON of a
// request's messages and tools, which may be nil.
func (e *Encoding) CountChat(messages, tools []byte) (int, error) {
	var list []struct {
		Content json.RawMessage `json:"content"`
	}
	if err := json.Unmarshal(messages, &list); err != nil {
		return 0, errors.New("messages can't be read: send an array of messages")
	}
	var text strings.Builder
	for _, message := range list {
		appendContent(&text, message.Content)
	}
	return e.Count(text.String()) + e.Count(string(tools)), nil
}

// appendContent adds a message's text: a string, or the text of its parts.
func appendContent(text *strings.Builder, content json.RawMessage) {
	var whole string
	if json.Unmarshal(content, &whole) == nil {
		text.WriteString(whole)
		return
	}
	var parts []struct {
		Text string `json:"text"`
	}
	_ = json.Unmarshal(content, &parts) // what is neither has no text to count
	for _, part := range parts {
		text.WriteString(part.Text)
	}
}

// Stream counts a text that comes in pieces.
type Stream struct{ bytes int }

// Stream begins a count.
func (e *Encoding) Stream() *Stream { return &Stream{} }

// Write adds the next piece.
func (s *Stream) Write(text string) { s.bytes += len(text) }

// Count is how many tokens the text has so far.
func (s *Stream) Count() int { return (s.bytes + bytesPerToken - 1) / bytesPerToken }
