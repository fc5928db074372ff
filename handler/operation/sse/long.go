package sse

import (
	"bytes"
	"strings"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation/lax"
)

const (
	// maxString is the most that is kept of a string in a long event, in bytes.
	maxString = 4 << 10
	// maxName is the most that is kept of the name of a field, an event or a member,
	// in bytes. All names that matter are shorter.
	maxName = 32
)

// LongEvent reads an event that is too long to be buffered, in pieces. It keeps the
// event's data, but empties long strings.
type LongEvent struct {
	// IsText, if set, reports whether a long string is text, by the names of the members
	// that it is in, joined by slashes; an array's elements have the path of the array. A
	// string that is text is passed to Text, if that is set, before it is emptied.
	IsText func(path string) bool
	Text   func(text []byte)

	// Kept is the event's data, JSON whose long strings are empty.
	Kept []byte
	// Written reports whether some text was passed to Text, or would have been.
	Written bool
	// Broken reports whether Kept would exceed MaxEvent bytes, or nests too deeply. The
	// rest of the event is then lost.
	Broken bool
	// Failed reports whether the event's name is error.
	Failed bool

	name  []byte // of the line's field
	value []byte // of a line other than data
	colon bool   // the line's name has ended
	data  bool   // the line's field is data
	lines int    // number of data lines before this one

	levels   []level
	naming   bool // the next string is a member's name
	inString bool
	escaped  bool // the next byte belongs to an escape
	start    int  // of the string, in Kept
	cut      bool // the beginning of the string was removed from Kept
}

// level is an object or array that has begun and not ended.
type level struct {
	array bool
	key   string // the name of the member being read
}

// Read reads the next piece of the event.
func (l *LongEvent) Read(piece []byte) {
	for len(piece) > 0 {
		end := bytes.IndexAny(piece, "\r\n")
		if end < 0 {
			l.part(piece)
			return
		}
		l.part(piece[:end])
		l.endLine()
		piece = piece[end+1:]
	}
}

// part reads part of a line.
func (l *LongEvent) part(part []byte) {
	if !l.colon {
		var name []byte
		name, part, l.colon = bytes.Cut(part, []byte(":"))
		l.name = appendUpTo(l.name, name, maxName)
		l.data = l.colon && string(bytes.TrimPrefix(l.name, []byte(ByteOrderMark))) == "data"
		if l.data && l.lines > 0 {
			l.json([]byte("\n"))
		}
	}
	if l.data {
		l.json(part)
		return
	}
	l.value = appendUpTo(l.value, part, maxName)
}

func (l *LongEvent) endLine() {
	switch {
	case string(l.name) == "event":
		l.Failed = string(bytes.TrimSpace(l.value)) == "error"
	case l.data:
		l.lines++
	}
	l.name, l.value, l.colon, l.data = l.name[:0], l.value[:0], false, false
}

// appendUpTo appends as much of more to to as fits into most bytes.
func appendUpTo(to, more []byte, most int) []byte {
	return append(to, more[:min(len(more), most-len(to))]...)
}

// json reads part of the event's data.
func (l *LongEvent) json(part []byte) {
	for len(part) > 0 && !l.Broken {
		n := 1
		if l.inString && !l.escaped {
			n = max(1, jsonscan.PlainLen(part))
		}
		l.Kept = append(l.Kept, part[:n]...)
		if l.inString {
			l.stringPart(part[:n])
		} else {
			l.structure(part[0])
		}
		part = part[n:]
		l.Broken = l.Broken || len(l.Kept) > MaxEvent
	}
}

// structure tracks a byte outside strings.
func (l *LongEvent) structure(c byte) {
	switch c {
	case '"':
		l.inString, l.start, l.cut = true, len(l.Kept), false
	case '{', '[':
		l.levels = append(l.levels, level{array: c == '['})
		l.naming = c == '{'
		l.Broken = len(l.levels) > lax.Options.MaxDepth
	case '}', ']':
		l.levels, l.naming = l.levels[:max(0, len(l.levels)-1)], false
	case ',':
		l.naming = len(l.levels) > 0 && !l.levels[len(l.levels)-1].array
	case ':':
		l.naming = false
	}
}

// stringPart tracks part of a string, which has just been kept.
func (l *LongEvent) stringPart(part []byte) {
	switch {
	case l.escaped:
		l.escaped = false
	case part[0] == '\\':
		l.escaped = true
	case part[0] == '"':
		l.endString()
		return
	}
	if len(l.Kept)-l.start > maxString {
		l.emit(jsonscan.StringPrefix(l.Kept[l.start:]))
	}
}

// endString ends the string whose last quote has just been kept.
func (l *LongEvent) endString() {
	l.inString = false
	raw := l.Kept[l.start : len(l.Kept)-1]
	switch {
	case l.cut:
		l.emit(jsonscan.StringPrefix(raw))
		l.Kept = append(l.Kept[:l.start], '"')
	case l.naming && len(l.levels) > 0:
		l.levels[len(l.levels)-1].key = string(raw[:min(len(raw), maxName)])
	}
}

// emit removes raw, the beginning of the string, from what is kept, and passes it on
// if it is text. raw must not end within an escape or a surrogate pair.
func (l *LongEvent) emit(raw []byte) {
	if len(raw) > 0 && l.readsText() {
		l.Written = true
		if l.Text != nil {
			l.Text(jsonscan.AppendUnescaped(nil, raw))
		}
	}
	l.cut = true
	l.Broken = l.Broken || len(raw) == 0 && len(l.Kept)-l.start > 2*maxString // an invalid escape
	l.Kept = append(l.Kept[:l.start], l.Kept[l.start+len(raw):]...)
}

// readsText reports whether the string being read is text.
func (l *LongEvent) readsText() bool {
	in := len(l.levels) - 1
	if l.IsText == nil || in < 0 || l.naming || l.levels[in].array {
		return false
	}
	var path []string
	for _, level := range l.levels {
		if !level.array {
			path = append(path, level.key)
		}
	}
	return l.IsText(strings.Join(path, "/"))
}
