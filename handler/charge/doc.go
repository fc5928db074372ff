// Package charge computes what a call is charged for. If upstream reports usage, that is
// the charge. Otherwise prompt and completion are counted, where the model's template and
// tokenizer are at hand and the count can miss nothing; everything else is charged an
// upper bound rather than a guess. The package is pure.
//
// Start reading at [PromptOf] and [Completion.Bound].
package charge
