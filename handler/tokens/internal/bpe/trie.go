package bpe

import "math/bits"

// trie finds the tokens that a text begins with. Its nodes are the slots of one
// hash table keyed by the parent's node and the byte, so a step is one look-up
// and a node needs no number of its own.
//
// A slot is, from the top: 1 bit used, 21 bits parent, 8 bits byte, 19 bits the
// token that ends here plus one.
type trie struct {
	slots []uint64
	shift int
	// start is the node of a text's first two bytes, root where no token begins so.
	start []uint32
}

const (
	nodeBits  = 21
	root      = 1<<nodeBits - 1
	ownBits   = tokenBits + 1
	ownMask   = 1<<ownBits - 1
	slotInUse = 1 << 63
)

// newTrie has room for a number of nodes, which should be a third more than needed.
func newTrie(nodes int) trie {
	size := min(bits.Len(uint(nodes-1)), nodeBits-1)
	t := trie{slots: make([]uint64, 1<<size), shift: 64 - size, start: make([]uint32, 1<<16)}
	for i := range t.start {
		t.start[i] = root
	}
	return t
}

// edge is the slot's part that says where it hangs.
func edge(node uint32, b byte) uint64 {
	return slotInUse>>ownBits | uint64(node)<<8 | uint64(b)
}

// child is the node below another, root if there is none.
func (t *trie) child(node uint32, b byte) uint32 {
	key := edge(node, b)
	for i := key * mix >> t.shift; ; i++ {
		i &= uint64(len(t.slots) - 1)
		slot := t.slots[i]
		if slot>>ownBits == key {
			return uint32(i)
		}
		if slot == 0 {
			return root
		}
	}
}

// add makes a node below another, which must not have it yet.
func (t *trie) add(node uint32, b byte) uint32 {
	key := edge(node, b)
	i := key * mix >> t.shift
	for t.slots[i] != 0 {
		i = (i + 1) & uint64(len(t.slots)-1)
	}
	t.slots[i] = key << ownBits
	return uint32(i)
}

// mark says which token ends at a node.
func (t *trie) mark(node, token uint32) { t.slots[node] |= uint64(token + 1) }

// token is the one that ends at a node, or none.
func (t *trie) token(node uint32) uint32 { return uint32(t.slots[node]&ownMask) - 1 }

// longest is the longest token that a text begins with. Each step is counted.
func (t *trie) longest(text []byte, steps *int) uint32 {
	if len(text) == 1 {
		*steps++
		return uint32(text[0])
	}
	found, i := uint32(text[0]), 2
	for node := t.start[uint16(text[0])<<8|uint16(text[1])]; node != root; i++ {
		if token := t.token(node); token != none {
			found = token
		}
		if i >= len(text) {
			break
		}
		node = t.child(node, text[i])
	}
	*steps += i
	return found
}
