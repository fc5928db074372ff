// Package charge says what a call is charged. What upstream tells is the
// charge. What nothing escapes, in the prompt of a model whose template and
// tokenizer are here, is known by counting. Anything else is bounded: by a
// number of tokens that it can't exceed, not by a guess. The package is pure.
package charge
