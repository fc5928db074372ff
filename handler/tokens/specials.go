package tokens

import "bytes"

// specials are the texts that stand for one token each wherever they occur.
// Each begins with < and ends with >, with neither between: so none overlaps
// another, and the first to begin is the one.
type specials struct {
	known   map[string]struct{}
	second  [256]bool // what may follow the <
	longest int       // bytes
}

func newSpecials(texts ...string) specials {
	s := specials{known: make(map[string]struct{}, len(texts))}
	for _, text := range texts {
		s.known[text] = struct{}{}
		s.second[text[1]] = true
		s.longest = max(s.longest, len(text))
	}
	return s
}

// find is where the first special token of a text begins and ends, both at the
// text's end if there is none.
func (s *specials) find(text []byte) (start, end int) {
	if s.longest == 0 {
		return len(text), len(text)
	}
	for at := 0; ; at++ {
		next := bytes.IndexByte(text[at:], '<')
		if next < 0 || at+next+1 >= len(text) {
			return len(text), len(text)
		}
		at += next
		if !s.second[text[at+1]] {
			continue
		}
		window := text[at:min(at+s.longest, len(text))]
		if close := bytes.IndexByte(window, '>'); close > 0 {
			if _, ok := s.known[string(window[:close+1])]; ok {
				return at, at + close + 1
			}
		}
	}
}
