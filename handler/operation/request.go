package operation

import (
	"math"

	"tollgate/handler/tokens"
)

// Request is a call's body, as its operation reads it. It never changes.
type Request interface {
	// Envelope returns what the calls of all operations have in common.
	Envelope() Envelope
	// Caps returns the caller's caps on each completion, for a model with these rules.
	Caps(rules CapRules) Caps
	// Prompt describes everything that the model may read. It calls text for each text
	// whose tokens can be counted, with its length in the body, in bytes.
	Prompt(text func(text []byte, length int)) Prompt
	// Count counts the prompt's tokens, or estimates them if Prompt.Plain is false or
	// the encoding isn't the model's own. The error is a *FieldError for the field that
	// can't be read.
	Count(encoding *tokens.Encoding) (int64, error)
	// Bound returns an upper bound of Count, without counting.
	Bound(encoding *tokens.Encoding) int64
	// Rewrite returns the body with the edit spliced in and every other byte unchanged,
	// in pieces to be sent in order. Most of them are slices of the body, so that no
	// call keeps its body in memory twice.
	Rewrite(edit Edit) [][]byte
	// WithoutBody returns the request without its body, to free memory. Only Envelope
	// and Caps may be called on it.
	WithoutBody() Request
}

// Envelope holds the fields that determine where a call goes and how its answer comes.
type Envelope struct {
	// Model is the requested model; empty if the body names none.
	Model string
	// Stream asks for the answer as server-sent events.
	Stream bool
	// UsageOnRequest reports whether the stream includes its usage only if Rewrite asks
	// for it, because the caller didn't.
	UsageOnRequest bool
	// Raw reports whether the model reads the prompt's texts as they are, without a chat
	// template around them.
	Raw bool
	// Dearer lists the fields whose values ask for tokens that may cost more than the
	// normal rates, in the body's order.
	Dearer []DearerField
	// Stored describes the stored content that the call uses or creates.
	Stored Stored
	// Completions is the number of completions that the model writes, including those
	// that it doesn't return; 0 if its answer isn't text.
	Completions int64
}

// A DearerField is a field whose value asks for tokens that may cost more than the normal
// rates.
type DearerField struct {
	Name string
	// Priority reports whether the field is service_tier, with the value priority.
	Priority bool
}

// Stored describes the stored content that a call uses or creates. An endpoint stores
// it for its account, which all callers of the gateway share.
type Stored struct {
	// Continues is the id of the stored answer that the call continues, empty if there is
	// none, and ContinuesField the field that names it.
	Continues, ContinuesField string
	// Unowned is the path of the first field that names stored content whose owner can't
	// be determined; empty if there is none.
	Unowned string
	// Keeps reports whether the endpoint stores the answer to this call.
	Keeps bool
}

// CompletionTokens returns the tokens of all completions if each has this many. It
// never overflows.
func (e Envelope) CompletionTokens(each int64) int64 {
	if each > 0 && e.Completions > math.MaxInt64/each {
		return math.MaxInt64
	}
	return e.Completions * each
}

// CapRules say which caps a model obeys. They matter only to chat completions, which
// have two fields for a cap: max_tokens and max_completion_tokens.
type CapRules struct {
	// NewerCap reports whether the model takes max_completion_tokens and refuses
	// max_tokens. EitherCap reports whether it takes either, but not both. Any other
	// model is only sure to obey max_tokens.
	NewerCap, EitherCap bool
	// DropsExtra reports whether the endpoint drops fields that its API doesn't define,
	// max_completion_tokens among them.
	DropsExtra bool
}

// Caps are limits on each completion, in tokens; 0 means none.
type Caps struct {
	// Largest is the largest cap that the caller set, and Obeyed the cap that the model is
	// sure to obey.
	Largest, Obeyed int64
	// Default is the cap that the operation's API puts on a call without one.
	Default int64
	// Unsupported reports whether the operation's API has no cap: Rewrite puts none on the
	// call.
	Unsupported bool
}

// Edit holds the changes that Request.Rewrite makes. Zero fields change nothing.
type Edit struct {
	// Model is the endpoint's name for the model.
	Model string
	// Cap is the cap to put on each completion of a call that has none, in tokens.
	Cap int64
	// Enforce moves the caller's cap to the field that the model is sure to obey.
	Enforce bool
	// Rules are the cap rules of the model that gets the call.
	Rules CapRules
	// AskUsage asks for usage at the stream's end, if Envelope.UsageOnRequest.
	AskUsage bool
}

// Prompt describes everything in a body that a model may read, by how its tokens can be
// counted or bounded.
type Prompt struct {
	// Plain reports whether Request.Count, given the model's own encoding, counts all of
	// it.
	Plain bool
	// Other is the size in bytes of all fields except the texts. It includes keys and
	// syntax and leaves out white space between values, but adds a blank after each comma
	// and colon, as a server that encodes the JSON again may.
	Other int64
	// Elements is the number of messages and parts, and Frame the size of everything
	// around their texts, in bytes: braces, keys, roles and types.
	Elements, Frame int64
	// Images are the images of the messages.
	Images []Image
	// ImagePath is the path of the first image, empty if there is none.
	ImagePath string
	// Stop is the length of the longest stop sequence, in bytes. A model may write it,
	// but its endpoint doesn't send it.
	Stop int64
	// Prediction is the size of a predicted completion, in bytes. A model may charge the
	// parts of it that it rejects as if it had written them.
	Prediction int64
	// Unbounded is the path of the first field whose tokens nothing in the body bounds,
	// such as a file or a web search. It is empty if there is none.
	Unbounded string
}

// Image is an image in a message.
type Image struct {
	// Low asks for low detail.
	Low bool
	// URL is the length of the image's address in bytes; 0 for a data URL.
	URL int64
}

// A FieldError is a fault of a request. It never quotes text of the caller, only
// names of known fields, and numbers.
type FieldError struct {
	// Field is the path of the field, empty for the whole body.
	Field string
	// Problem describes the fault, Fix how to correct it.
	Problem, Fix string
	// Code is Tollgate's name for the fault, if it has one of its own.
	Code string
}

// Wrong returns a FieldError without a code of its own.
func Wrong(field, problem, fix string) *FieldError {
	return &FieldError{Field: field, Problem: problem, Fix: fix}
}

func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Problem + "; " + e.Fix
	}
	return e.Field + " " + e.Problem + "; " + e.Fix
}
