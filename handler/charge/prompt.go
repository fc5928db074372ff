package charge

import "tollgate/handler/chat"

// Prompt is what a call's prompt takes.
type Prompt struct {
	// Known is whether Tokens is the count, which nothing in the prompt escapes.
	// Else it is a bound, in tokens, without what Unbounded names.
	Known  bool
	Tokens int64
	// Unbounded is the path of a field whose tokens nothing bounds; empty: none.
	Unbounded string
	// Prediction is what each completion may be charged for a prediction that the
	// model rejects, in tokens.
	Prediction int64
}

const (
	// allowance is how many tokens a template may put around a message or a part
	// of one; each takes the quarter of its own bytes where that is more.
	allowance = 8
	// allowanceWhole is the same of a whole call, with what the gateway adds to
	// its body: stream_options, a cap, and the endpoint's name for the model.
	allowanceWhole = 32
	// bytesPerToken is what an endpoint without a tokenizer at hand may take a
	// token to have, in bytes of JSON.
	bytesPerToken = 4
	// unstatedImage is what an image is charged where nobody states a maximum: the
	// dearest that is stated. No call is let pass by it that reserves all it can take.
	unstatedImage = 2833 + 8*5667
)

// PromptOf weighs a call's prompt for the model that is to read it.
func PromptOf(r *chat.Request, f Family) Prompt {
	var text int64
	parts := r.Prompt(func(t []byte, length int) { text += f.text(t, length) })
	if parts.Plain && f.Template {
		if count, err := f.Encoding.CountChat(r.Messages, nil); err == nil {
			return Prompt{Known: true, Tokens: int64(count)}
		}
	}
	p := Prompt{Tokens: text + parts.Other + max(allowance*parts.Elements, quarter(parts.Frame)) + allowanceWhole + f.Preamble + quarter(int64(len(f.Name))),
		Unbounded: parts.Unbounded, Prediction: parts.Prediction}
	for _, image := range parts.Images {
		p.Tokens += f.image(image)
	}
	if len(parts.Images) > 0 && f.Image == 0 && p.Unbounded == "" {
		p.Unbounded = parts.ImagePath
	}
	return p
}

// Countable is whether a prompt's count is known, without counting.
func Countable(r *chat.Request, f Family) bool {
	return f.Template && r.Prompt(func([]byte, int) {}).Plain
}

// SizeOf bounds a call's prompt by its size, without counting, which takes a
// small part of the time. It is no less than what PromptOf finds.
func SizeOf(r *chat.Request, f Family) Prompt {
	f.Template, f.Tokenizer = false, false
	return PromptOf(r, f)
}

// text is the most tokens that a text has, of so many bytes in JSON.
func (f *Family) text(text []byte, length int) int64 {
	switch {
	case f.Template:
		return int64(f.Encoding.CountText(text))
	case f.Tokenizer:
		return max(int64(f.Encoding.CountOrdinary(text)), quarter(int64(length)))
	}
	return max(int64(len(text)), quarter(int64(length)))
}

// image is the most tokens that an image takes. An address counts where it is
// longer than such an image is dear.
func (f *Family) image(image chat.Image) int64 {
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
