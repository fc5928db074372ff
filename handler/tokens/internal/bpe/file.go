package bpe

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"
)

// Token is one of an encoding's tokens. A token of one byte has that byte as its
// number. The others are numbered from 256 in the order in which they were learned;
// each is merged from two tokens with lower numbers.
type Token struct {
	Text   string
	Number uint32
	// Half is the length of the left token in bytes, and Right the number of the right
	// one. Both are 0 for a token of one byte.
	Half  uint8
	Right uint32
}

// The format of a vocabulary's file:
//
//	the magic line
//	the number of tokens, and of special tokens: 4 bytes each
//	the number of different prefixes of tokens that have 1 byte, 2 bytes, … 255 bytes:
//	  4 bytes each
//	the tokens sorted by text, each as
//	  1 byte: in its low half the number of bytes that the text shares with the
//	    one before, in its high half the number of bytes after those
//	  5 bytes: from the lowest bit Number (18 bits), Right (18 bits), Half (4 bits)
//	  a byte for each of the three small numbers that is written as 15, in that
//	    order: its value, which is 15 or more
//	  the bytes of the text after the shared ones
//	the texts of the special tokens, each after a byte with its length
//
// Numbers are little-endian. Since the tokens are sorted, each comes after all tokens
// that it begins with, so that one pass suffices to lay them out for counting. The
// prefixes are the nodes of the trie, which can thus be allocated at once.
const magic = "tollgate bpe 3\n"

const (
	// headBytes is the size of what comes before the tokens.
	headBytes = len(magic) + 4 + 4 + 4*maxText
	// minTokenBytes is the smallest size of a token in the file.
	minTokenBytes = 6
	// escaped stands for a number that has its own byte.
	escaped = 15
)

var errFile = errors.New("not a vocabulary file, or not a complete one: run make vocabulary")

// Encode returns a vocabulary's file. It sorts tokens.
func Encode(tokens []Token, special []string) ([]byte, error) {
	sorted(tokens)
	out := binary.LittleEndian.AppendUint32([]byte(magic), uint32(len(tokens)))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(special)))
	for _, token := range tokens {
		if len(token.Text) > maxText {
			return nil, errors.New("a token is longer than 255 bytes")
		}
	}
	for _, n := range beginnings(tokens) {
		out = binary.LittleEndian.AppendUint32(out, n)
	}
	eachRest(tokens, func(shared int, rest string, token Token) {
		half := int(token.Half)
		numbers := uint64(token.Number) | uint64(token.Right)<<tokenBits | uint64(min(half, escaped))<<(2*tokenBits)
		out = append(out, byte(min(shared, escaped)|min(len(rest), escaped)<<4),
			byte(numbers), byte(numbers>>8), byte(numbers>>16), byte(numbers>>24), byte(numbers>>32))
		for _, small := range []int{shared, len(rest), half} {
			if small >= escaped {
				out = append(out, byte(small))
			}
		}
		out = append(out, rest...)
	})
	for _, text := range special {
		if len(text) > maxText {
			return nil, errors.New("a special token is longer than 255 bytes")
		}
		out = append(append(out, byte(len(text))), text...)
	}
	return out, nil
}

// Decode reads a vocabulary's file and returns it with its special tokens. It uses two
// cores if it can.
func Decode(file string) (v *Vocabulary, special []string, err error) {
	h, err := readHead(file)
	if err != nil {
		return nil, nil, err
	}
	tries, tokens := newTrieBuilder(h.beginnings), newTokenBuilder(h.tokens)
	var other sync.WaitGroup
	other.Go(func() {
		_, _ = walk(file, h, func(shared int, rest string, token uint32, _ uint8, _ uint32) { tries.add(shared, rest, token) })
	})
	special, err = walk(file, h, tokens.add)
	other.Wait()
	return &Vocabulary{tokens: tokens.tokens, pairs: tokens.pairs, trie: tries.trie}, special, err
}

// Ranks returns the numbers of a vocabulary file's tokens by text, the form that
// tiktoken uses.
func Ranks(file string) (ranks map[string]int, err error) {
	h, err := readHead(file)
	if err != nil {
		return nil, err
	}
	ranks = make(map[string]int, h.tokens)
	text := ""
	_, err = walk(file, h, func(shared int, rest string, token uint32, _ uint8, _ uint32) {
		text = text[:shared] + rest
		ranks[text] = int(token)
	})
	return ranks, err
}

// head holds the numbers before a file's tokens.
type head struct {
	tokens, specials int
	beginnings       [maxText]uint32 // by length - 1
}

// readHead reads the numbers before a file's tokens.
func readHead(file string) (h head, err error) {
	if len(file) < headBytes || file[:len(magic)] != magic {
		return h, errFile
	}
	file = file[len(magic):]
	tokens := uint32At(file)
	h.tokens, h.specials = int(tokens), int(uint32At(file[4:]))
	for i := range h.beginnings {
		h.beginnings[i] = uint32At(file[8+4*i:])
	}
	if uint64(len(file)) < minTokenBytes*uint64(tokens) || tokens > tokenMask {
		return h, errFile
	}
	return h, nil
}

// walk reads a file's tokens and calls each for every one. The special tokens, which it
// returns, are substrings of the file.
func walk(file string, h head, each func(shared int, rest string, token uint32, half uint8, right uint32)) (special []string, err error) {
	file = file[headBytes:]
	for range h.tokens {
		if len(file) < minTokenBytes {
			return nil, errFile
		}
		sizes := file[0]
		numbers := uint64(uint32At(file[1:])) | uint64(file[5])<<32
		small := [3]int{int(sizes & escaped), int(sizes >> 4), int(numbers >> (2 * tokenBits))}
		file = file[minTokenBytes:]
		for i := range small {
			if small[i] == escaped && len(file) > 0 {
				small[i], file = int(file[0]), file[1:]
			}
		}
		shared, size, half := small[0], small[1], small[2]
		if len(file) < size {
			return nil, errFile
		}
		each(shared, file[:size], uint32(numbers)&tokenMask, uint8(half), uint32(numbers>>tokenBits)&tokenMask)
		file = file[size:]
	}
	for range h.specials {
		if len(file) == 0 || len(file) <= int(file[0]) {
			return nil, errFile
		}
		end := 1 + int(file[0])
		special = append(special, file[1:end])
		file = file[end:]
	}
	return special, nil
}

// eachRest calls each for sorted tokens, with the number of bytes that the text shares
// with the one before, and the rest of the text.
func eachRest(sorted []Token, each func(shared int, rest string, token Token)) {
	before := ""
	for _, token := range sorted {
		shared := shared(before, token.Text)
		each(shared, token.Text[shared:], token)
		before = token.Text
	}
}

func sorted(tokens []Token) {
	slices.SortFunc(tokens, func(a, b Token) int { return strings.Compare(a.Text, b.Text) })
}

// shared returns the length of the common beginning of two texts, in bytes.
func shared(a, b string) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// beginnings returns the number of different beginnings of sorted tokens, by length - 1.
func beginnings(sorted []Token) (n [maxText]uint32) {
	eachRest(sorted, func(shared int, rest string, _ Token) {
		for i := range len(rest) {
			n[shared+i]++
		}
	})
	return n
}

// uint32At decodes the first four bytes of a text as a little-endian number.
func uint32At(text string) uint32 {
	_ = text[3]
	return uint32(text[0]) | uint32(text[1])<<8 | uint32(text[2])<<16 | uint32(text[3])<<24
}
