package bpe

import "bytes"

// trie finds the tokens that a text begins with. The nodes below one node stand
// side by side, so they need no pointers each, and what a count touches is small.
type trie struct {
	nodes  []node
	labels []byte // by node: the last byte of what leads there
	// start is the node of a text's first two bytes, 0 where no token begins so.
	start []uint32
}

// node is, from the top, the first node below it: 21 bits, how many there are: 9
// bits, and the token that ends here plus one: 19 bits. Node 0 is the root.
type node uint64

const (
	ownBits   = tokenBits + 1
	countBits = 9
)

func (n node) token() uint32 { return uint32(n&(1<<ownBits-1)) - 1 }

// below are the nodes below, from the first to before the last.
func (n node) below() (first, last uint32) {
	first = uint32(n >> (ownBits + countBits))
	return first, first + uint32(n>>ownBits)&(1<<countBits-1)
}

// few is how many labels are looked at one by one: for more, a search is faster.
const few = 6

// child is the node below another, 0 if there is none.
func (t *trie) child(n node, b byte) uint32 {
	first, last := n.below()
	labels := t.labels[first:last]
	if len(labels) > few {
		if i := bytes.IndexByte(labels, b); i >= 0 {
			return first + uint32(i)
		}
		return 0
	}
	for i, label := range labels {
		if label == b {
			return first + uint32(i)
		}
	}
	return 0
}

// longest is the longest token that a text begins with. Each step is counted.
func (t *trie) longest(text []byte, steps *int) uint32 {
	if len(text) == 1 {
		*steps++
		return uint32(text[0])
	}
	found, i := uint32(text[0]), 2
	for at := t.start[uint16(text[0])<<8|uint16(text[1])]; at != 0; i++ {
		n := t.nodes[at]
		if token := n.token(); token != none {
			found = token
		}
		if i >= len(text) {
			break
		}
		at = t.child(n, text[i])
	}
	*steps += i
	return found
}

// trieBuilder makes a trie of tokens that come sorted by their text, twice: once
// to be counted, once to be added. Sorted so, the nodes of one depth come as
// they stand, those below one node side by side.
type trieBuilder struct {
	trie
	next [maxText + 2]uint32 // by depth: where its next node stands
	path [maxText + 1]uint32 // by depth: the last token's nodes
	head byte                // its first byte
}

// count counts the nodes that a token adds, which shares so many bytes with the
// last one and has length of them.
func (b *trieBuilder) count(shared, length int) {
	for depth := shared + 1; depth <= length; depth++ {
		b.next[depth+1]++
	}
}

// counted ends the counting.
func (b *trieBuilder) counted() {
	b.next[1] = 1 // after the root
	for depth := 1; depth < len(b.next); depth++ {
		b.next[depth] += b.next[depth-1]
	}
	nodes := b.next[len(b.next)-1]
	b.trie = trie{nodes: make([]node, nodes), labels: make([]byte, nodes), start: make([]uint32, 1<<16)}
}

// add adds a token whose text begins with as many bytes of the last one's as
// shared says, and goes on with rest.
func (b *trieBuilder) add(shared int, rest string, token uint32) {
	depth := shared
	for i := range len(rest) {
		above := &b.nodes[b.path[depth]]
		depth++
		at := b.next[depth]
		b.next[depth]++
		b.labels[at] = rest[i]
		if *above>>ownBits == 0 {
			*above |= node(at) << (ownBits + countBits)
		}
		*above += 1 << ownBits
		b.path[depth] = at
		switch depth {
		case 1:
			b.head = rest[i]
		case 2:
			b.start[uint16(b.head)<<8|uint16(rest[i])] = at
		}
	}
	b.nodes[b.path[depth]] |= node(token + 1)
}
