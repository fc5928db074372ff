package response

import "tollgate/handler/operation"

// Compact has a model write a shorter conversation, to go on with in place of the one it
// is given.
// Source: https://learn.microsoft.com/azure/foundry/reference/rest/compactconversation
var Compact = operation.Operation{
	Name:     "compactions of conversations",
	ID:       "Responses_Compact",
	Routes:   routes("", "/compact"),
	Upstream: upstream("/compact"),
	Parse:    parseCompaction,
	Read:     read,
	Problem:  operation.OpenAIProblem,
}

// A compaction is a request for Compact. It names a conversation as a request for a
// response does. Its answer is neither streamed nor stored, and nothing caps it.
type compaction struct{ *request }

// parseCompaction is operation.Operation's Parse.
func parseCompaction(body []byte) (operation.Request, error) {
	parsed, err := parse(body)
	if err != nil {
		return nil, err
	}
	return compaction{parsed.(*request)}, nil
}

// Envelope implements operation.Request.
func (c compaction) Envelope() operation.Envelope {
	e := c.request.Envelope()
	e.Stream, e.Stored.Keeps = false, false
	return e
}

// Caps implements operation.Request.
func (c compaction) Caps(operation.CapRules) operation.Caps { return operation.Caps{Unsupported: true} }

// Prompt implements operation.Request. The whole call is unbounded, as nothing says how
// much the model may write.
func (c compaction) Prompt(text func(text []byte, length int)) operation.Prompt {
	p := c.request.Prompt(text)
	if p.Unbounded == "" {
		p.Unbounded = "responses/compact"
	}
	return p
}

// Rewrite implements operation.Request.
func (c compaction) Rewrite(edit operation.Edit) [][]byte {
	return c.request.Rewrite(operation.Edit{Model: edit.Model})
}

// WithoutBody implements operation.Request.
func (c compaction) WithoutBody() operation.Request {
	return compaction{c.request.WithoutBody().(*request)}
}
