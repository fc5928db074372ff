// Package vocabulary holds the vocabularies that tokens are counted with, in the
// form that package bpe describes. handler/tokens/cmd/vocabulary makes the files;
// NOTICE.md says where they come from and under which licences.
package vocabulary

import _ "embed"

var (
	// DeepSeek is the vocabulary of DeepSeek-V3 and DeepSeek-R1.
	//
	//go:embed deepseek.bpe
	DeepSeek string
	// O200k is o200k_base, which OpenAI's models from gpt-4o on use.
	//
	//go:embed o200k.bpe
	O200k string
	// Cl100k is cl100k_base, which gpt-4 and gpt-3.5 use.
	//
	//go:embed cl100k.bpe
	Cl100k string
)
