package operation

import "tollgate/handler/limit"

// Text receives text that a model wrote, such as content, reasoning, or the names and
// arguments of tool calls, with the index of its completion. text is only valid during
// the call.
type Text func(completion int64, text []byte)

// Answer holds what was read of the body of an answer that isn't streamed.
type Answer struct {
	// Usage is the usage of the call. It is valid only if Report is UsageGood.
	Usage  limit.Usage
	Report Report
	// ID is the id under which the endpoint stores the answer; empty if it doesn't.
	ID string
	// IsAnswer reports whether the body is an answer, or an error in place of one. Blank
	// lines, HTML and other JSON are neither.
	IsAnswer bool
	// Failed reports whether the body holds an error despite its status.
	Failed bool
	// Written reports whether the body holds anything that the model wrote.
	Written bool
	// Unread reports whether part of the body couldn't be read, so that it may hold
	// more text, or usage.
	Unread bool
}

// A Report classifies the usage in upstream's answer: missing, null, impossible or good.
type Report int

const (
	// UsageMissing: there is no usage.
	UsageMissing Report = iota
	// UsageNull: usage is null, as in streams with include_usage before the end.
	UsageNull
	// UsageBad: usage can't be true. It has a wrong type, a fraction or a negative
	// number, is too large to be believed or all zeros, or has no completion though
	// there is text.
	UsageBad
	// UsageGood: usage can be charged.
	UsageGood
)

func (r Report) String() string {
	return [...]string{"missing", "null", "bad", "good"}[r]
}

// Stream follows a streamed answer: it splits it into events and reads the usage and
// the text from them. Call Inspect with the events that Split and End yield.
type Stream interface {
	// Split takes the next bytes of the stream and yields each event that they complete,
	// or the pieces of an event that is too long to be buffered. It yields every byte,
	// unchanged. An event or piece is only valid until yield returns.
	Split(chunk []byte, yield func(event []byte))
	// End yields the unfinished event at the stream's end.
	End(yield func(event []byte))
	// Inspect reads what Split or End is yielding.
	Inspect(event []byte) Kind
	// State returns the progress so far.
	State() Progress
}

// Progress is the state of a streamed answer.
type Progress struct {
	// Usage is the last usage that upstream sent. It is valid only if UsageCurrent.
	Usage  limit.Usage
	Report Report
	// Stale reports whether the model went on writing after Usage arrived.
	Stale bool
	// Prompt is the usage of the prompt alone, as the endpoint reported it before the
	// model wrote. Its PromptTokens are 0 if the endpoint didn't report it.
	Prompt limit.Usage
	// ID is the id under which the endpoint stores the answer; empty if it doesn't.
	ID string
	// Begun reports whether an event showed that the model has begun to read the prompt:
	// from then on the endpoint bills it, even if no text comes.
	Begun bool
	// IsAnswer reports whether the stream so far is an answer, or an error in place of
	// one. Comments, other data and the end of a stream alone are neither.
	IsAnswer bool
	// Finished reports whether the model has finished everything that it began to write.
	// Done reports whether the event that ends the stream has arrived.
	Finished, Done bool
	// Failed reports whether an error arrived in an event.
	Failed bool
	// Unread is the number of events that couldn't be read to their end, because they
	// weren't JSON or were too large. They may have held usage or text.
	Unread int
}

// UsageCurrent reports whether Usage is the usage of the stream so far.
func (p *Progress) UsageCurrent() bool { return p.Report == UsageGood && !p.Stale }

// Complete reports whether the answer is over. Some endpoints leave out the event that
// ends the stream, but every one marks the end of the model's text.
func (p *Progress) Complete() bool { return p.Done || p.Finished || p.Failed }

// Kind is the kind of an event.
type Kind int

const (
	// Other is an event that isn't part of an answer: a comment, other data, or an event
	// of an unknown type.
	Other Kind = iota
	// Chunk is a part of the answer.
	Chunk
	// UsageOnly is an event that upstream adds because Rewrite asked for usage. Hide it
	// from a caller that didn't ask for it.
	UsageOnly
	// Failure is an error, although the answer began with a 200. It may quote a
	// credential.
	Failure
	// Done is the event that ends a stream.
	Done
)
