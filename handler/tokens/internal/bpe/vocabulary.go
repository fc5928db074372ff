// Package bpe counts the tokens that byte-level byte pair encoding makes from a piece
// of text, in time linear in its length. It also reads and writes the files of
// vocabularies, whose format is in file.go.
//
// Start reading at [Vocabulary.Count].
package bpe

import "math/bits"

const (
	// none means no token. It is above all tokens' numbers.
	none = ^uint32(0)
	// bytesOnly is the number of tokens of one byte. Merges are numbered from here.
	bytesOnly = 256
	// maxText is the length of the longest token, in bytes.
	maxText = 255
	// tokenBits is the size of a token's number, in bits.
	tokenBits = 18
	tokenMask = 1<<tokenBits - 1
	// mix spreads a key over 64 bits: Fibonacci hashing, 2^64 over the golden ratio.
	mix = 0x9E3779B97F4A7C15
)

// Vocabulary holds an encoding's tokens, laid out for counting. It never changes, so
// any number of counts may use it concurrently.
type Vocabulary struct {
	tokens []entry // by number
	pairs  pairTable
	trie   trie
}

// entry holds, from the highest bit, the two tokens that a token is merged from and
// the longest token that it begins with (unused for a byte), 18 bits each, and its
// length in bytes (8 bits).
type entry uint64

func newEntry(left, right, shorter uint32, length int) entry {
	return entry(left&tokenMask)<<(2*tokenBits+8) | entry(right&tokenMask)<<(tokenBits+8) | entry(shorter&tokenMask)<<8 | entry(length)
}

func (e entry) left() uint32    { return uint32(e >> (2*tokenBits + 8)) }
func (e entry) right() uint32   { return uint32(e>>(tokenBits+8)) & tokenMask }
func (e entry) pair() uint64    { return uint64(e >> (tokenBits + 8)) }
func (e entry) shorter() uint32 { return uint32(e>>8) & tokenMask }
func (e entry) length() int     { return int(e & maxText) }

// tokenBuilder builds entries and pairs from tokens sorted by text.
type tokenBuilder struct {
	tokens []entry
	pairs  pairTable
	// at is the longest token that ends at or before each depth of the last token's
	// text.
	at [maxText + 1]uint32
}

func newTokenBuilder(tokens int) *tokenBuilder {
	b := &tokenBuilder{tokens: make([]entry, tokens), pairs: newPairTable(tokens)}
	b.at[0] = none
	return b
}

// add adds a token whose text is the first shared bytes of the last one's, then rest.
func (b *tokenBuilder) add(shared int, rest string, token uint32, half uint8, right uint32) {
	depth := shared + len(rest)
	for i := shared; i < depth; i++ {
		b.at[i+1] = b.at[i]
	}
	var left uint32
	if half > 0 {
		left = b.at[half]
		b.pairs.add(left, right, token)
	}
	b.tokens[token], b.at[depth] = newEntry(left, right, b.at[depth-1], depth), token
}

// pairTable maps two tokens to the token they merge into. It is a hash table with open
// addressing. A slot holds 14 bits of the pair's hash and the token; 0 means empty, as
// no pair merges into a byte. The token's entry shows whether it is the right pair.
type pairTable struct {
	slots []uint32
	shift int
}

const markBits = 32 - tokenBits

func newPairTable(pairs int) pairTable {
	size := bits.Len(uint(2*pairs - 1))
	return pairTable{slots: make([]uint32, 1<<size), shift: 64 - size}
}

// place returns the first slot to look for a pair, and the bits of its hash as they are
// in a slot.
func (t *pairTable) place(left, right uint32) (at, mark uint32) {
	hash := (uint64(left)<<tokenBits | uint64(right)) * mix
	return uint32(hash >> t.shift), uint32(hash>>(t.shift-markBits)) << tokenBits
}

func (t *pairTable) add(left, right, token uint32) {
	at, mark := t.place(left, right)
	for t.slots[at] != 0 {
		at = (at + 1) & uint32(len(t.slots)-1)
	}
	t.slots[at] = mark | token
}

// merged returns the token that left and right merge into, or none.
func (v *Vocabulary) merged(left, right uint32) uint32 {
	at, mark := v.pairs.place(left, right)
	for ; ; at++ {
		slot := v.pairs.slots[at&uint32(len(v.pairs.slots)-1)]
		if slot == 0 {
			return none
		}
		if slot&^tokenMask == mark {
			if token := slot & tokenMask; v.tokens[token].pair() == uint64(left)<<tokenBits|uint64(right) {
				return token
			}
		}
	}
}
