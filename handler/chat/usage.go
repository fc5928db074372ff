package chat

import (
	"encoding/json"
	"strings"
)

// Usage is what the model says a call took, in tokens. Completion includes Reasoning.
type Usage struct {
	Prompt, Completion, Reasoning int64
}

// usageFields are the wire's names.
type usageFields struct {
	Prompt     *int64 `json:"prompt_tokens"`
	Completion *int64 `json:"completion_tokens"`
	Details    struct {
		Reasoning int64 `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

// maxUsage is beyond what any model takes in one call, in tokens: a larger
// number is an upstream's mistake that must not charge a caller for years.
const maxUsage = 1 << 32

// usage is what the fields say, if it can be true.
func (u *usageFields) usage() (Usage, bool) {
	if u == nil || u.Prompt == nil {
		return Usage{}, false
	}
	found := Usage{Prompt: *u.Prompt, Reasoning: u.Details.Reasoning}
	if u.Completion != nil { // embeddings and empty answers have none
		found.Completion = *u.Completion
	}
	sane := found.Prompt >= 0 && found.Completion >= 0 && found.Prompt <= maxUsage && found.Completion <= maxUsage
	return found, sane
}

// choiceText is the model's text in a choice's message or delta.
type choiceText struct {
	Content   json.RawMessage `json:"content"`
	Reasoning string          `json:"reasoning_content"`
	ToolCalls []struct {
		Function struct {
			Name      string `json:"name"`
			Arguments string `json:"arguments"`
		} `json:"function"`
	} `json:"tool_calls"`
}

// each calls tell with every piece of generated text.
func (t *choiceText) each(tell func(string)) {
	if t.Reasoning != "" {
		tell(t.Reasoning)
	}
	var content string
	if json.Unmarshal(t.Content, &content) == nil && content != "" {
		tell(content)
	}
	for i := range t.ToolCalls {
		tell(t.ToolCalls[i].Function.Name)
		tell(t.ToolCalls[i].Function.Arguments)
	}
}

// answer is a whole response or a stream's chunk: the two differ in one name.
type answer struct {
	Usage   *usageFields    `json:"usage"`
	Error   json.RawMessage `json:"error"`
	Choices []struct {
		Message choiceText `json:"message"`
		Delta   choiceText `json:"delta"`
		Text    string     `json:"text"`
	} `json:"choices"`
}

func (a *answer) each(tell func(string)) {
	for i := range a.Choices {
		a.Choices[i].Message.each(tell)
		a.Choices[i].Delta.each(tell)
	}
}

// UsageOf reads the usage of a whole response. known is false where it is
// missing or can't be true.
func UsageOf(body []byte) (usage Usage, known bool) {
	var a struct {
		Usage *usageFields `json:"usage"`
	}
	if json.Unmarshal(body, &a) != nil {
		return Usage{}, false
	}
	return a.Usage.usage()
}

// TextOf is all text that the model generated in a whole response, for
// counting where usage is missing. What can't be read as a response counts as
// it stands: tokens were spent on it all the same.
func TextOf(body []byte) string {
	var a answer
	if json.Unmarshal(body, &a) != nil {
		return string(body)
	}
	var text strings.Builder
	a.each(func(piece string) { text.WriteString(piece) })
	return text.String()
}
