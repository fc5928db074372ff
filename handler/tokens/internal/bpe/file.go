package bpe

import (
	"encoding/binary"
	"errors"
)

// magic begins a vocabulary's file.
const magic = "tollgate bpe 1\n"

// Merges are what a byte-level BPE learned, in the order it learned it, with
// the texts that stand for one token each wherever they occur.
//
// A token of one byte has that byte's number; merge i makes token 256+i of the
// two tokens Left[i] and Right[i], both made before it.
type Merges struct {
	Left, Right []uint32
	Special     []string
}

// Bytes is the file: the magic line, the number of merges and of special
// tokens, the left tokens and then the right ones with three bytes each, least
// significant first, and the special tokens with a byte of length before each.
func (m Merges) Bytes() ([]byte, error) {
	out := binary.LittleEndian.AppendUint32([]byte(magic), uint32(len(m.Left)))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(m.Special)))
	for _, column := range [][]uint32{m.Left, m.Right} {
		for _, token := range column {
			out = append(out, byte(token), byte(token>>8), byte(token>>16))
		}
	}
	for _, text := range m.Special {
		if len(text) > 255 {
			return nil, errors.New("a special token is longer than 255 bytes")
		}
		out = append(append(out, byte(len(text))), text...)
	}
	return out, nil
}

// Read is the opposite of Bytes.
func Read(file string) (Merges, error) {
	head := len(magic) + 8
	if len(file) < head || file[:len(magic)] != magic {
		return Merges{}, errors.New("this is no vocabulary file")
	}
	merges, specials := number(file[len(magic):], 4), number(file[len(magic)+4:], 4)
	file = file[head:]
	if uint64(len(file)) < 6*uint64(merges) {
		return Merges{}, errors.New("the vocabulary file ends early")
	}
	m := Merges{Left: make([]uint32, merges), Right: make([]uint32, merges), Special: make([]string, 0, min(specials, 1<<16))}
	right := file[3*merges:]
	for i := range m.Left {
		m.Left[i], m.Right[i] = number(file[3*i:], 3), number(right[3*i:], 3)
	}
	file = file[6*merges:]
	for range specials {
		if len(file) == 0 || len(file) <= int(file[0]) {
			return Merges{}, errors.New("the vocabulary file ends early")
		}
		end := 1 + int(file[0])
		m.Special = append(m.Special, file[1:end])
		file = file[end:]
	}
	return m, nil
}

// number reads the first bytes of a text, least significant first.
func number(text string, bytes int) uint32 {
	var n uint32
	for i := bytes - 1; i >= 0; i-- {
		n = n<<8 | uint32(text[i])
	}
	return n
}
