package split

// Cl100k splits text like OpenAI's cl100k_base.
type Cl100k struct{ *classes }

// Cl100kPattern is the pattern that Cl100k implements.
// Source: https://github.com/openai/tiktoken/blob/main/tiktoken_ext/openai_public.py
const Cl100kPattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

// NewCl100k returns a Cl100k that is ready to use.
func NewCl100k() Cl100k { return Cl100k{table()} }

// Next returns the end of the piece that begins at at. The text must be UTF-8, and at
// must be 0 or the end of another piece.
func (s Cl100k) Next(text []byte, at int) int {
	class, next := s.at(text, at)
	b := text[at]
	switch {
	case class&letters != 0:
		return s.run(text, next, letters, 0)
	case class&number != 0:
		return s.upTo(2, text, next, number)
	case b == '\n' || b == '\r':
		return s.blanks(text, at, 0)
	}
	if b == '\'' {
		if end := contraction(text, at); end > at {
			return end
		}
	}
	switch {
	case s.is(text, next, letters):
		return s.run(text, next, letters, 0)
	case class&space == 0:
		return lines(text, s.others(text, next))
	case b == ' ' && next < len(text) && !s.is(text, next, letters|number|space):
		return lines(text, s.others(text, next))
	}
	return s.blanks(text, at, 0)
}

// others returns the end of the characters from i on that aren't letters, numbers or
// white space.
func (t *classes) others(text []byte, i int) int {
	for i < len(text) {
		class, next := t.at(text, i)
		if class&(letters|number|space) != 0 {
			break
		}
		i = next
	}
	return i
}

// contraction returns the end of an English contraction that begins at i ('s, 't, 're,
// 've, 'm, 'll or 'd), or i if there is none.
func contraction(text []byte, i int) int {
	if i+1 >= len(text) || text[i] != '\'' {
		return i
	}
	switch text[i+1] | 0x20 {
	case 's', 't', 'm', 'd':
		return i + 2
	}
	if i+2 < len(text) {
		switch [2]byte{text[i+1] | 0x20, text[i+2] | 0x20} {
		case [2]byte{'r', 'e'}, [2]byte{'v', 'e'}, [2]byte{'l', 'l'}:
			return i + 3
		}
	}
	return i
}

// O200k splits text like OpenAI's o200k_base.
type O200k struct{ *classes }

// O200kPattern is the pattern that O200k implements.
// Source: https://github.com/openai/tiktoken/blob/main/tiktoken_ext/openai_public.py
const O200kPattern = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?` +
	`|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?` +
	`|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`

// NewO200k returns an O200k that is ready to use.
func NewO200k() O200k { return O200k{table()} }

// Next returns the end of the piece that begins at at. The text must be UTF-8, and at
// must be 0 or the end of another piece.
func (s O200k) Next(text []byte, at int) int {
	class, next := s.at(text, at)
	b := text[at]
	switch {
	case class&number != 0:
		return s.upTo(2, text, next, number)
	case b == '\n' || b == '\r':
		return s.blanks(text, at, 0)
	}
	if end := s.word(text, at, next, class); end > at {
		return contraction(text, end)
	}
	switch {
	case class&space == 0:
		return s.slashes(text, s.others(text, next))
	case b == ' ' && next < len(text) && !s.is(text, next, letters|number|space):
		return s.slashes(text, s.others(text, next))
	}
	return s.blanks(text, at, 0)
}

// word returns the end of the word that begins at at, by the pattern's first two
// alternatives, or at if there is none. It prefers the first alternative, and within
// each a word with the optional character before it.
func (s O200k) word(text []byte, at, next int, class uint8) int {
	if class&letters == 0 { // the optional character; a mark can also be part of the word
		switch lowers, uppers := s.cased(text, next); {
		case lowers > next:
			return lowers
		case class&mark != 0:
		case uppers > next:
			return uppers
		default:
			return at
		}
	}
	lowers, uppers := s.cased(text, at)
	if lowers > at {
		return lowers
	}
	return uppers
}

// cased returns two ends of letters from i on: lowers is the end of any capitals
// followed by at least one lower-case letter, and uppers the end of capitals alone.
// Letters without case and marks count as both. Each is i if nothing matches.
func (s O200k) cased(text []byte, i int) (lowers, uppers int) {
	lowers, uppers = i, s.run(text, i, upper|letter|mark, 0)
	if s.is(text, uppers, lower) {
		return s.run(text, uppers, lower|letter|mark, 0), uppers
	}
	for at := i; at < uppers; {
		class, next := s.at(text, at)
		if class&upper == 0 {
			lowers = next
		}
		at = next
	}
	return lowers, uppers
}

// slashes returns the end of the line ends and slashes from i on.
func (s O200k) slashes(text []byte, i int) int {
	for i < len(text) && (text[i] == '\n' || text[i] == '\r' || text[i] == '/') {
		i++
	}
	return i
}
