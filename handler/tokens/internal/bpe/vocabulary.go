// Package bpe counts the tokens that a byte-level byte pair encoding makes of a
// piece of text, in time linear in its length.
package bpe

import "math/bits"

const (
	// none is no token.
	none = ^uint32(0)
	// bytesOnly is how many tokens are one byte each; merges are numbered from here.
	bytesOnly = 256
	// maxText is the longest token's bytes.
	maxText = 255
	// tokenBits is how many bits hold any token's number.
	tokenBits = 18
	tokenMask = 1<<tokenBits - 1
	// mix spreads a key over 64 bits: Fibonacci hashing, 2^64 over the golden ratio.
	mix = 0x9E3779B97F4A7C15
)

// Vocabulary is an encoding's tokens, laid out for counting. It never changes,
// so any number of counts may use it at once.
type Vocabulary struct {
	tokens []entry // by number
	pairs  pairTable
	trie   trie
}

// entry is a token: the two it is merged of, the longest one that it begins
// with (each none for a byte), and its length in bytes.
type entry struct {
	left, right, shorter uint32
	length               uint8
}

// builder lays out tokens that come sorted by their text.
type builder struct {
	v *Vocabulary
	// by depth, along the last token's text: its nodes, and the longest token
	// that ends there or above
	nodes, tokens [maxText + 1]uint32
	first         byte // of that text
}

func newBuilder(tokens int) *builder {
	b := &builder{v: &Vocabulary{tokens: make([]entry, tokens), pairs: newPairTable(tokens), trie: newTrie(3 * tokens)}}
	b.nodes[0], b.tokens[0] = root, none
	return b
}

// add adds a token whose text begins with as many bytes of the last one's as
// shared says, and goes on with rest.
func (b *builder) add(shared int, rest string, token uint32, half uint8, right uint32) {
	depth := shared
	for i := range len(rest) {
		if depth == 0 {
			b.first = rest[i]
		}
		b.nodes[depth+1] = b.v.trie.add(b.nodes[depth], rest[i])
		b.tokens[depth+1] = b.tokens[depth]
		depth++
		if depth == 2 {
			b.v.trie.start[uint16(b.first)<<8|uint16(rest[i])] = b.nodes[depth]
		}
	}
	e := entry{left: none, right: none, shorter: b.tokens[depth-1], length: uint8(depth)}
	if half > 0 {
		e.left, e.right = b.tokens[half], right
		b.v.pairs.add(e.left, right, token)
	}
	b.v.tokens[token] = e
	b.v.trie.mark(b.nodes[depth], token)
	b.tokens[depth] = token
}

// pairTable finds the token that two tokens merge to: open addressing, a slot
// of three tokens of 18 bits each, 0 where empty (no pair merges to a byte).
type pairTable struct {
	slots []uint64
	shift int
}

func newPairTable(pairs int) pairTable {
	size := bits.Len(uint(2*pairs - 1))
	return pairTable{slots: make([]uint64, 1<<size), shift: 64 - size}
}

func (t *pairTable) add(left, right, token uint32) {
	key := uint64(left)<<tokenBits | uint64(right)
	i := key * mix >> t.shift
	for t.slots[i] != 0 {
		i = (i + 1) & uint64(len(t.slots)-1)
	}
	t.slots[i] = key<<tokenBits | uint64(token)
}

// merged is the token that left and right merge to, or none.
func (t *pairTable) merged(left, right uint32) uint32 {
	key := uint64(left)<<tokenBits | uint64(right)
	for i := key * mix >> t.shift; ; i++ {
		slot := t.slots[i&uint64(len(t.slots)-1)]
		if slot>>tokenBits == key && slot != 0 {
			return uint32(slot & tokenMask)
		}
		if slot == 0 {
			return none
		}
	}
}
