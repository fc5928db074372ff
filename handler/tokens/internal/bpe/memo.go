package bpe

import "encoding/binary"

// memo remembers how many tokens short pieces have: most of a text are a few
// words over and over. Each piece has one place, which the last one to need it
// has; the place holds the whole piece, so that no other is taken for it.
type memo [4096]struct {
	low  uint64 // the piece's first 8 bytes
	high uint64 // the 7 after them, and on top 4 bits of length and 4 of tokens
}

// remembered is the longest piece that memo takes, in bytes.
const remembered = 15

// CountWithin is how many tokens the piece text[at:end] has. A Scratch that it
// was given belongs to this vocabulary.
func (v *Vocabulary) CountWithin(text []byte, at, end int, w *Scratch) int {
	size := end - at
	if size == 1 {
		return 1
	}
	if size > remembered || at+16 > len(text) {
		return v.Count(text[at:end], w)
	}
	low, high := binary.LittleEndian.Uint64(text[at:]), uint64(0)
	if size <= 8 {
		low &= ^uint64(0) >> (64 - 8*size)
	} else {
		high = binary.LittleEndian.Uint64(text[at+8:]) & (1<<(8*(size-8)) - 1)
	}
	high |= uint64(size) << 60
	place := &w.memo[((low^high>>7)*mix^high*0xC2B2AE3D27D4EB4F)>>52]
	if place.low == low && (place.high^high)&^(15<<56) == 0 {
		return int(place.high >> 56 & 15)
	}
	tokens := v.Count(text[at:end], w)
	place.low, place.high = low, high|uint64(tokens)<<56
	return tokens
}
