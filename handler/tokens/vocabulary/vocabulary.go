// Package vocabulary holds DeepSeek's vocabulary, as handler/tokens/cmd/vocabulary
// makes it. NOTICE.md says where it comes from and under which licences.
package vocabulary

import _ "embed"

// DeepSeek is the file, in the form that package bpe describes.
//
//go:embed deepseek.bpe
var DeepSeek string
