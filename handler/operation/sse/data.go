package sse

import "bytes"

// ByteOrderMark may begin a stream.
const ByteOrderMark = "\xEF\xBB\xBF"

// Data returns the data of an event, trimmed, and whether the event's name is error. It
// joins several lines of data with LF, as the specification says. The data is valid until
// the next call.
func (s *Splitter) Data(event []byte) (data []byte, failure bool) {
	event = bytes.TrimPrefix(event, []byte(ByteOrderMark))
	lines := 0
	for len(event) > 0 {
		var line []byte
		line, event = cutLine(event)
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch string(name) {
		case "event":
			failure = string(bytes.TrimSpace(value)) == "error"
		case "data":
			if lines++; lines == 1 {
				data = value
				continue
			}
			if lines == 2 {
				s.joined = append(s.joined[:0], data...)
			}
			s.joined = append(append(s.joined, '\n'), value...)
			data = s.joined
		}
	}
	return bytes.TrimSpace(data), failure
}

// cutLine cuts the first line off text, at LF or CR. A CRLF makes an additional blank
// line, which has no meaning inside an event.
func cutLine(text []byte) (line, rest []byte) {
	lf := index(text, 0, '\n')
	end := index(text[:lf], 0, '\r')
	return text[:end], text[min(end+1, len(text)):]
}
