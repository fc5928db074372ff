package charge

import "tollgate/handler/operation"

// Prompt is the size of a call's prompt.
type Prompt struct {
	// Known reports whether Tokens is the exact count. Otherwise Tokens is an upper
	// bound that leaves out the field Unbounded names.
	Known  bool
	Tokens int64
	// Shown reports whether the text of an answer has all the tokens that the model
	// writes, as its family counts them. If the prompt is known too, so is the call.
	Shown bool
	// Unbounded is the path of a field whose tokens nothing bounds, empty if there is
	// none.
	Unbounded string
	// AtOnce reports whether the model reads all of the prompt before it writes: no
	// field, such as a web search, has it read more meanwhile.
	AtOnce bool
	// Withheld is the most that each completion may have written of a stop sequence,
	// which its endpoint doesn't send, in tokens.
	Withheld int64
	// Prediction is the most that each completion may be charged for a prediction that
	// the model rejects, in tokens.
	Prediction int64
}

const (
	// allowance is the most tokens a template may put around a message or a part of
	// one. If the element's own bytes make more tokens than that, those count.
	allowance = 8
	// allowanceWhole is the same for a whole call, including what the gateway adds
	// to its body: stream_options, a cap, and the endpoint's name for the model.
	allowanceWhole = 32
	// bytesPerToken is the size of a token in bytes of JSON that endpoints without a
	// tokenizer may bill by.
	bytesPerToken = 4
	// unstatedImage is the charge of an image for models that publish no maximum, in
	// tokens: the dearest that any model publishes. Such a call is unbounded all the
	// same: Prompt.Unbounded names the image.
	unstatedImage = 2833 + 8*5667
)

// PromptOf counts or bounds a call's prompt for the model that will read it.
func PromptOf(r operation.Request, f Family) Prompt {
	var text int64
	parts := r.Prompt(func(t []byte, length int) { text += f.textTokens(t, length) })
	if parts.Plain && f.counts(r) {
		if count, err := r.Count(f.Encoding); err == nil {
			return f.known(r, parts, count)
		}
	}
	p := Prompt{Tokens: text + parts.Other + max(allowance*parts.Elements, quarter(parts.Frame)) + allowanceWhole + f.Preamble + quarter(int64(len(f.Name))),
		Unbounded: parts.Unbounded, AtOnce: parts.Unbounded == "", Prediction: parts.Prediction}
	for _, image := range parts.Images {
		p.Tokens += f.imageTokens(image)
	}
	if len(parts.Images) > 0 && f.Image == 0 && p.Unbounded == "" {
		p.Unbounded = parts.ImagePath
	}
	return p
}

// counts reports whether counting gives the exact size of a plain prompt: the family's
// encoding and, for a chat, template are the model's own. Models other than OpenAI's may
// put tokens before a raw text.
func (f *Family) counts(r operation.Request) bool {
	if r.Envelope().Raw {
		return f.Tokenizer && f.Encoding.OpenAI()
	}
	return f.Template
}

// shown returns Prompt.Shown: a model writes other tokens than an encoding makes of their
// text, unless it was seen to count them so.
func (f *Family) shown(r operation.Request) bool {
	return f.Template || r.Envelope().Completions == 0
}

// known returns a prompt that was counted.
func (f *Family) known(r operation.Request, parts operation.Prompt, count int64) Prompt {
	return Prompt{Known: true, Tokens: count, Withheld: parts.Stop, Shown: f.shown(r), AtOnce: parts.Unbounded == ""}
}

// Counted returns the same as PromptOf without counting again, given the result of the
// request's Count. known is false if the prompt isn't known by its count.
func Counted(r operation.Request, f Family, count int64) (p Prompt, known bool) {
	if !f.counts(r) {
		return Prompt{}, false
	}
	parts := r.Prompt(func([]byte, int) {})
	return f.known(r, parts, count), parts.Plain
}

// Countable reports whether counting gives the exact size of the prompt and, once it has
// come, of the answer.
func Countable(r operation.Request, f Family) bool {
	return f.counts(r) && f.shown(r) && r.Prompt(func([]byte, int) {}).Plain
}

// SizeOf bounds a call's prompt by its size in bytes. It takes a fraction of the
// time of PromptOf, and its result is never below PromptOf's.
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
		return max(int64(f.Encoding.CountOrdinary(text)), quarter(int64(length)))
	}
	return max(int64(len(text)), quarter(int64(length)))
}

// imageTokens returns the most an image costs, in tokens. If its address alone makes more
// tokens, the address counts.
func (f *Family) imageTokens(image operation.Image) int64 {
	cost := f.Image
	switch {
	case cost == 0:
		cost = unstatedImage
	case image.Low:
		cost = f.ImageLow
	}
	return max(cost, quarter(image.URL))
}

func quarter(bytes int64) int64 { return (bytes + bytesPerToken - 1) / bytesPerToken }
