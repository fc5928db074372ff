package tokens

import "bytes"

// specials are texts that are one token each wherever they occur. Each begins with <
// and ends with >, with neither in between, so that no two can overlap.
type specials struct {
	known   map[string]struct{}
	second  [256]bool // the bytes that follow the <
	longest int       // in bytes
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

// find returns the start and end of the first special token in text, both len(text)
// if there is none.
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
