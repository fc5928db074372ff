package chat

import (
	"bytes"
	"regexp"
	"strings"

	"tollgate/handler/jsonscan"
)

const (
	// maxString is how many bytes of a string in a long event are held.
	maxString = 4 << 10
	// maxName is how many bytes of a name are held, be it of a field, an event or a
	// member: more than any has that is read.
	maxName = 32
)

// long reads an event that is too long to be held, in pieces. It keeps the event's
// data with its long strings empty, and hands those on that the model wrote, as of
// choice 0: which it is may come after. The zero long is ready for use.
type long struct {
	text    Text
	kept    []byte // JSON, at most maxEvent
	written bool   // some text was handed on
	broken  bool   // there is too much besides long strings: the rest is lost

	name   []byte // of the line's field
	value  []byte // of a line that isn't data
	colon  bool   // the line's name is over
	data   bool   // the line is one of data
	lines  int    // of data before it
	failed bool   // the event is named an error

	levels   []level
	naming   bool // the next string is a member's name
	inString bool
	escaped  bool // the next byte belongs to an escape
	start    int  // of the string in kept
	cut      bool // some of the string is kept no more
}

// level is an object or an array that is being read.
type level struct {
	array bool
	key   string // the name of the member being read
}

// read reads the next piece of the event.
func (l *long) read(piece []byte) {
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

// part reads a part of a line.
func (l *long) part(part []byte) {
	if !l.colon {
		var name []byte
		name, part, l.colon = bytes.Cut(part, []byte(":"))
		l.name = appendUpTo(l.name, name, maxName)
		l.data = l.colon && string(bytes.TrimPrefix(l.name, []byte(byteOrderMark))) == "data"
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

func (l *long) endLine() {
	switch {
	case string(l.name) == "event":
		l.failed = string(bytes.TrimSpace(l.value)) == "error"
	case l.data:
		l.lines++
	}
	l.name, l.value, l.colon, l.data = l.name[:0], l.value[:0], false, false
}

// appendUpTo appends what there is room for.
func appendUpTo(to, more []byte, most int) []byte {
	return append(to, more[:min(len(more), most-len(to))]...)
}

// json reads a part of the event's data.
func (l *long) json(part []byte) {
	for len(part) > 0 && !l.broken {
		n := 1
		if l.inString && !l.escaped {
			n = max(1, jsonscan.PlainLen(part))
		}
		l.kept = append(l.kept, part[:n]...)
		if l.inString {
			l.stringPart(part[:n])
		} else {
			l.structure(part[0])
		}
		part = part[n:]
		l.broken = l.broken || len(l.kept) > maxEvent
	}
}

// structure follows a byte outside a string.
func (l *long) structure(c byte) {
	switch c {
	case '"':
		l.inString, l.start, l.cut = true, len(l.kept), false
	case '{', '[':
		l.levels = append(l.levels, level{array: c == '['})
		l.naming = c == '{'
		l.broken = len(l.levels) > lax.MaxDepth
	case '}', ']':
		l.levels, l.naming = l.levels[:max(0, len(l.levels)-1)], false
	case ',':
		l.naming = len(l.levels) > 0 && !l.levels[len(l.levels)-1].array
	case ':':
		l.naming = false
	}
}

// stringPart follows what was kept last as a part of a string.
func (l *long) stringPart(part []byte) {
	switch {
	case l.escaped:
		l.escaped = false
	case part[0] == '\\':
		l.escaped = true
	case part[0] == '"':
		l.endString()
		return
	}
	if len(l.kept)-l.start > maxString {
		l.handOn(jsonscan.StringPrefix(l.kept[l.start:]))
	}
}

// endString ends the string whose last quote has just been kept.
func (l *long) endString() {
	l.inString = false
	raw := l.kept[l.start : len(l.kept)-1]
	switch {
	case l.cut:
		l.handOn(jsonscan.StringPrefix(raw))
		l.kept = append(l.kept[:l.start], '"')
	case l.naming && len(l.levels) > 0:
		l.levels[len(l.levels)-1].key = string(raw[:min(len(raw), maxName)])
	}
}

// handOn takes the beginning of the string out of what is kept, and hands it on if
// it is text. Half of a pair of surrogates waits for the other.
func (l *long) handOn(raw []byte) {
	if l.isText() && len(raw) > 0 {
		l.written = true
		if l.text != nil {
			l.text(0, jsonscan.AppendUnescaped(nil, raw))
		}
	}
	l.cut = true
	l.broken = l.broken || len(raw) == 0 && len(l.kept)-l.start > 2*maxString // a fault in an escape
	l.kept = append(l.kept[:l.start], l.kept[l.start+len(raw):]...)
}

// isText is whether the string being read is what the model writes: one of those
// that payload gives.
func (l *long) isText() bool {
	in := len(l.levels) - 1
	if in < 0 || l.naming || l.levels[in].array {
		return false
	}
	var path []string
	for _, level := range l.levels {
		if !level.array { // an array's elements are of its member
			path = append(path, level.key)
		}
	}
	return isText.MatchString(strings.Join(path, "/"))
}

var isText = regexp.MustCompile(`^choices/(delta|message)/(` +
	`refusal|(content|reasoning_content|reasoning)(/(text|thinking))*|` +
	`(tool_calls/(function|custom)|function_call)/(name|arguments|input))$`)
