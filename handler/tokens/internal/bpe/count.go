package bpe

// Scratch is what a count works with. Use it for one count at a time, and again
// for the next: it allocates only when a piece is longer than any before.
type Scratch struct {
	// Steps counts the look-ups made, which bound the time that counts took.
	Steps int

	tokens []uint32 // of the piece so far
	dead   []uint64 // a bit for each place where no token can end
	memo   memo
}

// Count is how many tokens a piece has, which must not be empty.
//
// Merging pair by pair is not needed to know its outcome. A row of tokens is
// what the merges make of its text exactly when each two neighbours are what
// they make of theirs, so the row for a text's beginning is unique. The row is
// built from the left, the longest token first; where none goes on, that place
// is no token's end in the whole piece, and the row goes back one token. No
// place is left twice, so the work is linear in the piece.
// Source of the method: https://github.com/github/rust-gems/tree/main/crates/bpe
func (v *Vocabulary) Count(piece []byte, w *Scratch) int {
	token := v.trie.longest(piece, &w.Steps)
	if v.tokens[token].length() == len(piece) {
		return 1
	}
	w.reset(len(piece))
	tokens, last, at := w.tokens, none, 0
	for {
		end := at + v.tokens[token].length()
		if w.dead[end>>6]>>(end&63)&1 == 0 && (last == none || v.apart(last, token, &w.Steps)) {
			tokens, last, at = append(tokens, token), token, end
			if at == len(piece) {
				break
			}
			token = v.trie.longest(piece[at:], &w.Steps)
			continue
		}
		for w.Steps++; token < bytesOnly; w.Steps++ {
			w.dead[at>>6] |= 1 << (at & 63)
			token, tokens = last, tokens[:len(tokens)-1]
			at -= v.tokens[token].length()
			last = none
			if len(tokens) > 0 {
				last = tokens[len(tokens)-1]
			}
		}
		token = v.tokens[token].shorter()
	}
	w.tokens = tokens
	return len(tokens)
}

// reset clears what the last count left.
func (w *Scratch) reset(piece int) {
	w.tokens = w.tokens[:0]
	words := piece>>6 + 1
	if cap(w.dead) < words {
		w.dead = make([]uint64, words)
		return
	}
	w.dead = w.dead[:words]
	clear(w.dead)
}

// Held is how many bytes the buffers have that grow with a piece.
func (w *Scratch) Held() int { return 4*cap(w.tokens) + 8*cap(w.dead) }

// Shrink lets the buffers go that grew with a piece, if they hold more than so
// many bytes.
func (w *Scratch) Shrink(bytes int) {
	if w.Held() > bytes {
		w.tokens, w.dead = nil, nil
	}
}

// apart says whether the merges leave two tokens side by side. Going back in
// time, the later made of the two is taken apart: while both its half at the
// border and the other token were there, did a merge across the border come
// first? Of equal merges the leftmost comes first.
func (v *Vocabulary) apart(left, right uint32, steps *int) bool {
	until := none // a merge across the border from this number on comes too late
	for {
		*steps++
		if v.merged(left, right) < until {
			return false
		}
		switch {
		case left < bytesOnly && right < bytesOnly:
			return true
		case left > right:
			until, left = left, v.tokens[left].right()
		default:
			until, right = right+1, v.tokens[right].left()
		}
	}
}
