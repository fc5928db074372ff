package bpe

import "encoding/binary"

// memo caches the counts of short pieces, as most texts consist of a few words that
// recur. It is a hash table with one place for each hash, where a new piece replaces
// the old one. A place holds the whole piece, so that pieces can't be confused.
type memo [4096]struct {
	low  uint64 // the piece's first 8 bytes
	high uint64 // the next 7 bytes, and above them 4 bits of tokens and 4 of length
}

// remembered is the longest piece that memo holds, in bytes.
const remembered = 15

// CountWithin returns the number of tokens of the piece text[at:end]. It caches counts in
// the Scratch, which must not be used with another vocabulary afterwards.
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
