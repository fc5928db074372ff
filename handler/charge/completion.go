package charge

import (
	"math"
	"time"
)

// Completion is what is known of what a model wrote where nobody told its
// tokens and our count may miss some.
type Completion struct {
	// Choices is how many completions were asked for, Cap the most tokens of each
	// that the model obeys; 0: there is none.
	Choices, Cap int64
	// Prediction is a Prompt's.
	Prediction int64
	// Reserved is whether the cap was reserved: then it is the bound.
	Reserved bool
	// Elapsed is how long the endpoint was, or may yet be, at work, and Rate how
	// many tokens a second the model writes of each completion at most.
	Elapsed time.Duration
	Rate    int64
	// Seen are the tokens of the text that came.
	Seen int64
}

// ceiling bounds the charge of one call, in tokens: sums of a few must not
// overflow, whatever number of choices and whatever cap a caller names.
const ceiling = 1 << 40

// Bound is a number of tokens that the completions can't exceed together.
func (c Completion) Bound() int64 {
	each := int64(math.Ceil(c.Elapsed.Seconds() * float64(c.Rate)))
	if c.Cap > 0 && (c.Reserved || c.Cap < each) {
		each = c.Cap
	}
	all := (float64(each) + float64(c.Prediction)) * float64(c.Choices)
	return max(c.Seen, int64(min(all, ceiling)))
}
