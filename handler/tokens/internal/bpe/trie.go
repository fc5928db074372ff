package bpe

import "bytes"

// trie finds the tokens that a text begins with. The children of a node are next to
// each other, so that they need one index and a count touches little memory.
type trie struct {
	nodes  []node
	labels []byte // by node: the last byte of the text that leads there
	// start is the node of a text's first two bytes, 0 if no token begins with them.
	start []uint32
}

// node holds, from the highest bit, the index of its first child (21 bits), the number
// of children (9 bits), and 1 + the token that ends here (19 bits). Node 0 is the root.
type node uint64

const (
	ownBits   = tokenBits + 1
	countBits = 9
)

func (n node) token() uint32 { return uint32(n&(1<<ownBits-1)) - 1 }

// children returns the range of the node's children; end is exclusive.
func (n node) children() (first, end uint32) {
	first = uint32(n >> (ownBits + countBits))
	return first, first + uint32(n>>ownBits)&(1<<countBits-1)
}

// few is the most labels that are compared one by one. For more, IndexByte is faster.
const few = 6

// child returns the child of a node with a label, or 0 if there is none.
func (t *trie) child(n node, b byte) uint32 {
	first, end := n.children()
	labels := t.labels[first:end]
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

// longest returns the longest token that a text begins with, and adds its look-ups to
// steps.
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

// trieBuilder builds a trie from tokens sorted by text. Since the tokens are sorted, the
// nodes of one depth come in their final order, and the children of a node one after the
// other.
type trieBuilder struct {
	trie
	next [maxText + 1]uint32 // by depth: the index of the next node
	path [maxText + 1]uint32 // by depth: the nodes of the last token
	head byte                // the first byte of the last token
}

// newTrieBuilder returns a builder of a trie with some nodes of each depth, from depth 1.
func newTrieBuilder(byDepth [maxText]uint32) *trieBuilder {
	b := new(trieBuilder)
	nodes := uint32(1) // the root
	for i, n := range byDepth {
		b.next[i+1] = nodes
		nodes += n
	}
	b.trie = trie{nodes: make([]node, nodes), labels: make([]byte, nodes), start: make([]uint32, 1<<16)}
	return b
}

// add adds a token whose text is the first shared bytes of the last one's, then rest.
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
