// Package bpe counts the tokens that a byte-level byte pair encoding makes of a
// piece of text, in time linear in its length.
package bpe

import "math/bits"

// none is no token.
const none = ^uint32(0)

// bytesOnly is how many tokens are one byte each; merges are numbered from here.
const bytesOnly = 256

// Vocabulary is an encoding's tokens, laid out for counting. It never changes,
// so any number of counts may use it at once.
type Vocabulary struct {
	// by token: its halves, none for a byte; its bytes; the longest token that
	// it begins with, none for a byte
	left, right []uint32
	length      []uint8
	shorter     []uint32

	pairs pairTable
	trie  trie
}

// New lays out the merges of an encoding.
func New(m Merges) *Vocabulary {
	tokens := bytesOnly + len(m.Left)
	v := &Vocabulary{
		left: make([]uint32, tokens), right: make([]uint32, tokens),
		length: make([]uint8, tokens), shorter: make([]uint32, tokens),
		pairs: newPairTable(len(m.Left)), trie: newTrie(3 * tokens),
	}
	nodes, texts := make([]uint32, tokens), newTexts(tokens)
	for b := range uint32(bytesOnly) {
		v.left[b], v.right[b], v.shorter[b], v.length[b] = none, none, none, 1
		nodes[b] = v.trie.add(root, byte(b))
		v.trie.mark(nodes[b], b)
		texts.add(byte(b))
	}
	for i, left := range m.Left {
		token, right := uint32(bytesOnly+i), m.Right[i]
		v.left[token], v.right[token] = left, right
		v.length[token] = v.length[left] + v.length[right]
		v.pairs.set(left, right, token)
		texts.join(left, right)
		node := nodes[left]
		for _, b := range texts.of(right) {
			node = v.trie.add(node, b)
		}
		v.trie.mark(node, token)
		nodes[token] = node
	}
	for i, left := range m.Left {
		v.shorter[bytesOnly+i] = v.trie.longestWithin(nodes[left], left, texts.of(m.Right[i]))
	}
	v.trie.index(nodes)
	return v
}

// texts are the bytes of tokens while a vocabulary is laid out.
type texts struct {
	bytes []byte
	ends  []uint32 // by token: where its bytes end
}

func newTexts(tokens int) *texts {
	return &texts{bytes: make([]byte, 0, 8*tokens), ends: make([]uint32, 0, tokens)}
}

func (t *texts) of(token uint32) []byte {
	start := uint32(0)
	if token > 0 {
		start = t.ends[token-1]
	}
	return t.bytes[start:t.ends[token]]
}

func (t *texts) add(text ...byte) {
	t.bytes = append(t.bytes, text...)
	t.ends = append(t.ends, uint32(len(t.bytes)))
}

func (t *texts) join(left, right uint32) {
	t.bytes = append(append(t.bytes, t.of(left)...), t.of(right)...)
	t.ends = append(t.ends, uint32(len(t.bytes)))
}

// pairTable finds the token that two tokens merge to: open addressing, a slot
// of three tokens of 18 bits each, 0 where empty (no pair merges to a byte).
type pairTable struct {
	slots []uint64
	shift int
}

// tokenBits is how many bits hold any token's number.
const (
	tokenBits = 18
	tokenMask = 1<<tokenBits - 1
)

// mix spreads a key over 64 bits: Fibonacci hashing, with 2^64 over the golden ratio.
const mix = 0x9E3779B97F4A7C15

func newPairTable(pairs int) pairTable {
	size := bits.Len(uint(2 * pairs))
	return pairTable{slots: make([]uint64, 1<<size), shift: 64 - size}
}

func (t *pairTable) set(left, right, token uint32) {
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
