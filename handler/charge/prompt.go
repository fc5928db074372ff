package charge

import "tollgate/handler/operation"

// Prompt is the size of a call's prompt.
type Prompt struct {
	// Known reports whether Tokens is the exact count. Otherwise Tokens is an upper
	// bound of everything but the field that Unbounded names.
	Known  bool
	Tokens int64
	// AnswerKnown reports whether counting an answer's text gives exactly the tokens that
	// the model wrote. If the prompt is known too, the call's charge is.
	AnswerKnown bool
	// Unbounded is the path of a field whose tokens nothing bounds, empty if there is
	// none.
	Unbounded string
	// ReadAtStart reports whether the model reads all of the prompt before it writes, and
	// nothing, such as a web search, makes it read more meanwhile.
	ReadAtStart bool
	// Withheld is the most tokens of a stop sequence that the model may have written at
	// the end of each completion; its endpoint doesn't send them.
	Withheld int64
	// Prediction is the most that each completion may be charged for a prediction that
	// the model rejects, in tokens.
	Prediction int64
}

const (
	// elementAllowance is the most tokens a template may put around a message or a part of
	// one. If the element's own bytes make more tokens than that, those count.
	elementAllowance = 8
	// callAllowance is the same for a call as a whole, including what the gateway adds
	// to its body: stream_options, a cap, and the endpoint's name for the model.
	callAllowance = 32
	// bytesPerToken is how many bytes of JSON an endpoint without a tokenizer may bill as
	// one token.
	bytesPerToken = 4
	// unpublishedImage is the charge of an image for models that publish no maximum, in
	// tokens: the dearest that any model publishes. Such a call is unbounded all the
	// same: Prompt.Unbounded names the image.
	unpublishedImage = 2833 + 8*5667
)

// PromptOf counts or bounds a call's prompt for the model that will read it.
func PromptOf(r operation.Request, f Family) Prompt {
	var text int64
	parts := r.Prompt(func(t []byte, length int) { text += f.textTokens(t, length) })
	if parts.Plain && f.countsExactly(r) {
		if count, err := r.Count(f.Encoding); err == nil {
			return f.countedPrompt(r, parts, count)
		}
	}
	p := Prompt{Tokens: text + parts.Other + max(elementAllowance*parts.Elements, bytesAsTokens(parts.Frame)) + callAllowance + f.Preamble + bytesAsTokens(int64(len(f.Name))),
		Unbounded: parts.Unbounded, ReadAtStart: parts.Unbounded == "", Prediction: parts.Prediction}
	for _, image := range parts.Images {
		p.Tokens += f.imageTokens(image)
	}
	if len(parts.Images) > 0 && f.Image == 0 && p.Unbounded == "" {
		p.Unbounded = parts.ImagePath
	}
	return p
}

// countsExactly reports whether counting gives the exact size of a plain prompt: the
// family's encoding and, for a chat, its template are the model's own. Models other than
// OpenAI's may put tokens before a raw text.
func (f *Family) countsExactly(r operation.Request) bool {
	if r.Envelope().Raw {
		return f.Tokenizer && f.Encoding.OpenAI()
	}
	return f.Template
}

// countsAnswers reports whether counting an answer's text gives exactly the tokens that the
// model wrote: many models write other tokens than their encoding makes of the same text.
func (f *Family) countsAnswers(r operation.Request) bool {
	return f.Template || r.Envelope().Completions == 0
}

// countedPrompt returns a prompt that was counted.
func (f *Family) countedPrompt(r operation.Request, parts operation.Prompt, count int64) Prompt {
	return Prompt{Known: true, Tokens: count, Withheld: parts.Stop, AnswerKnown: f.countsAnswers(r), ReadAtStart: parts.Unbounded == ""}
}

// Counted returns the same as PromptOf without counting again, given the result of the
// request's Count. known is false if the prompt isn't known by its count.
func Counted(r operation.Request, f Family, count int64) (p Prompt, known bool) {
	if !f.countsExactly(r) {
		return Prompt{}, false
	}
	parts := r.Prompt(func([]byte, int) {})
	return f.countedPrompt(r, parts, count), parts.Plain
}

// Countable reports whether counting gives the exact size of the prompt and, once it has
// come, of the answer.
func Countable(r operation.Request, f Family) bool {
	return f.countsExactly(r) && f.countsAnswers(r) && r.Prompt(func([]byte, int) {}).Plain
}

// SizeOf bounds a call's prompt by its size in bytes. It takes a fraction of the time that
// PromptOf takes, and its result is never below PromptOf's.
func SizeOf(r operation.Request, f Family) Prompt {
	f.Template, f.Tokenizer = false, false
	return PromptOf(r, f)
}

// textTokens returns an upper bound of a text's tokens; length is its size in JSON, in
// bytes.
func (f *Family) textTokens(text []byte, length int) int64 {
	switch {
	case f.Template:
		return int64(f.Encoding.CountText(text))
	case f.Tokenizer:
		return max(int64(f.Encoding.CountOrdinary(text)), bytesAsTokens(int64(length)))
	}
	return max(int64(len(text)), bytesAsTokens(int64(length)))
}

// imageTokens returns the most an image costs, in tokens. If its address alone makes more
// tokens, the address counts.
func (f *Family) imageTokens(image operation.Image) int64 {
	cost := f.Image
	switch {
	case cost == 0:
		cost = unpublishedImage
	case image.Low:
		cost = f.ImageLow
	}
	return max(cost, bytesAsTokens(image.URL))
}

// bytesAsTokens returns the tokens that an endpoint without a tokenizer may bill for bytes
// of JSON.
func bytesAsTokens(bytes int64) int64 { return (bytes + bytesPerToken - 1) / bytesPerToken }
