// Package charge computes what a call is charged. If upstream reports usage, that
// is the charge. Otherwise a prompt is counted, where the model's template and
// tokenizer are at hand and the count can miss nothing; any other prompt, and
// every completion without usage, is charged an upper bound rather than a guess.
// The package is pure.
//
// Start reading at [PromptOf] and [Completion.Bound].
package charge
