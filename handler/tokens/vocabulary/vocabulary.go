// Package vocabulary embeds the vocabularies that tokens are counted with, in the
// format that package bpe describes. handler/tokens/cmd/vocabulary makes the files.
// NOTICE.md names their sources and licences.
package vocabulary

import _ "embed"

var (
	// DeepSeek is the vocabulary of DeepSeek-V3 and DeepSeek-R1.
	//
	//go:embed deepseek.bpe
	DeepSeek string
	// O200k is o200k_base, used by OpenAI's models since gpt-4o.
	//
	//go:embed o200k.bpe
	O200k string
	// Cl100k is cl100k_base, used by gpt-4 and gpt-3.5.
	//
	//go:embed cl100k.bpe
	Cl100k string
)
