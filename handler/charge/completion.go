package charge

import (
	"math"
	"time"
)

// Completion holds what bounds the tokens a model wrote, for a call whose usage
// upstream didn't report and whose text may not be all the model wrote.
type Completion struct {
	// Choices is the number of completions asked for. Cap is the limit the model
	// enforces on each, in tokens; 0 means none.
	Choices, Cap int64
	// Prediction is the prompt's Prediction: tokens charged on top of each completion.
	Prediction int64
	// Reserved reports whether the cap was reserved, which makes the cap the bound.
	Reserved bool
	// Elapsed is the time that the endpoint has worked on the call, plus the time that it
	// may go on. Rate is the most that the model writes of each completion, in tokens a
	// second.
	Elapsed time.Duration
	Rate    int64
	// Seen is the count of the text that arrived, in tokens.
	Seen int64
}

// ceiling is the highest charge of one call, in tokens, so that a sum of several
// can't overflow, whatever cap and number of choices a caller asks for.
const ceiling = 1 << 40

// Bound returns an upper bound of all completions together, in tokens.
func (c Completion) Bound() int64 {
	each := int64(math.Ceil(c.Elapsed.Seconds() * float64(c.Rate)))
	if c.Cap > 0 && (c.Reserved || c.Cap < each) {
		each = c.Cap
	}
	all := (float64(each) + float64(c.Prediction)) * float64(c.Choices)
	return max(c.Seen, int64(min(all, ceiling)))
}
