package bpe

// Scratch holds the buffers of a count. Use it for one count at a time. It allocates
// only when a piece is longer than any before.
type Scratch struct {
	// Steps is the number of look-ups so far, which bounds the time of the counts.
	Steps int

	tokens []uint32 // of the piece so far
	dead   []uint64 // a bit for each place where no token can end
	memo   memo
}

// Count returns the number of tokens of a piece, which must not be empty.
//
// It doesn't merge pair by pair. A row of tokens is the result of the merges exactly
// if that holds for each two neighbours in it, so every beginning of the text has one
// row. Count builds the row from the left, trying the longest token first. Where no
// token fits, the row's end can't be the end of a token in the result, so Count marks
// it as dead and goes back one token. Each place is marked at most once, so the time
// is linear.
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

// reset prepares for a piece of that many bytes.
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

// Held returns the size of the buffers that grow with a piece, in bytes.
func (w *Scratch) Held() int { return 4*cap(w.tokens) + 8*cap(w.dead) }

// Shrink drops the buffers that grow with a piece if they exceed that many bytes.
func (w *Scratch) Shrink(bytes int) {
	if w.Held() > bytes {
		w.tokens, w.dead = nil, nil
	}
}

// apart reports whether merging the two tokens' joined text ends with these two tokens,
// rather than with a merge across their border. It undoes the merges, the latest first:
// it takes the later token apart and checks whether its half at the border would have
// been merged with the other token before. Of equal merges the leftmost comes first.
func (v *Vocabulary) apart(left, right uint32, steps *int) bool {
	until := none // a merge across the border with this number or a higher one is too late
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
