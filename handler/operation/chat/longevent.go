package chat

import (
	"bytes"
	"regexp"
	"strings"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/operation/lax"
	"tollgate/handler/operation/sse"
)

const (
	// maxString is the most that is kept of a string in a long event, in bytes.
	maxString = 4 << 10
	// maxName is the most that is kept of the name of a field, an event or a member,
	// in bytes. All names that matter are shorter.
	maxName = 32
)

// longEvent reads an event that is too long to be buffered, in pieces. It keeps the
// event's data, but empties long strings, and passes those that the model wrote to
// text. It reports them as choice 0, as the index may come later. The zero longEvent
// is ready for use.
type longEvent struct {
	text    operation.Text
	kept    []byte // JSON, at most sse.MaxEvent
	written bool   // some text was passed on
	broken  bool   // there is too much besides long strings: the rest is lost

	name   []byte // of the line's field
	value  []byte // of a line other than data
	colon  bool   // the line's name has ended
	data   bool   // the line's field is data
	lines  int    // number of data lines before this one
	failed bool   // the event's name is error

	levels   []level
	naming   bool // the next string is a member's name
	inString bool
	escaped  bool // the next byte belongs to an escape
	start    int  // of the string in kept
	cut      bool // the beginning of the string was removed from kept
}

// level is an object or array that has begun and not ended.
type level struct {
	array bool
	key   string // the name of the member being read
}

// read reads the next piece of the event.
func (l *longEvent) read(piece []byte) {
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
func (l *longEvent) part(part []byte) {
	if !l.colon {
		var name []byte
		name, part, l.colon = bytes.Cut(part, []byte(":"))
		l.name = appendUpTo(l.name, name, maxName)
		l.data = l.colon && string(bytes.TrimPrefix(l.name, []byte(sse.ByteOrderMark))) == "data"
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

func (l *longEvent) endLine() {
	switch {
	case string(l.name) == "event":
		l.failed = string(bytes.TrimSpace(l.value)) == "error"
	case l.data:
		l.lines++
	}
	l.name, l.value, l.colon, l.data = l.name[:0], l.value[:0], false, false
}

// appendUpTo appends more, but lets to grow to most bytes only.
func appendUpTo(to, more []byte, most int) []byte {
	return append(to, more[:min(len(more), most-len(to))]...)
}

// json reads part of the event's data.
func (l *longEvent) json(part []byte) {
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
		l.broken = l.broken || len(l.kept) > sse.MaxEvent
	}
}

// structure tracks a byte outside strings.
func (l *longEvent) structure(c byte) {
	switch c {
	case '"':
		l.inString, l.start, l.cut = true, len(l.kept), false
	case '{', '[':
		l.levels = append(l.levels, level{array: c == '['})
		l.naming = c == '{'
		l.broken = len(l.levels) > lax.Options.MaxDepth
	case '}', ']':
		l.levels, l.naming = l.levels[:max(0, len(l.levels)-1)], false
	case ',':
		l.naming = len(l.levels) > 0 && !l.levels[len(l.levels)-1].array
	case ':':
		l.naming = false
	}
}

// stringPart tracks part of a string, which has just been kept.
func (l *longEvent) stringPart(part []byte) {
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
		l.emit(jsonscan.StringPrefix(l.kept[l.start:]))
	}
}

// endString ends the string whose last quote has just been kept.
func (l *longEvent) endString() {
	l.inString = false
	raw := l.kept[l.start : len(l.kept)-1]
	switch {
	case l.cut:
		l.emit(jsonscan.StringPrefix(raw))
		l.kept = append(l.kept[:l.start], '"')
	case l.naming && len(l.levels) > 0:
		l.levels[len(l.levels)-1].key = string(raw[:min(len(raw), maxName)])
	}
}

// emit removes raw, the beginning of the string, from what is kept, and passes it on
// if it is text. raw must not end within an escape or a surrogate pair.
func (l *longEvent) emit(raw []byte) {
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

// isText reports whether the string being read is text that the model wrote: one of
// those that payload passes on.
func (l *longEvent) isText() bool {
	in := len(l.levels) - 1
	if in < 0 || l.naming || l.levels[in].array {
		return false
	}
	var path []string
	for _, level := range l.levels {
		if !level.array { // an array's elements have the path of the array
			path = append(path, level.key)
		}
	}
	return isText.MatchString(strings.Join(path, "/"))
}

var isText = regexp.MustCompile(`^choices/(text|(delta|message)/(` +
	`refusal|(content|reasoning_content|reasoning)(/(text|thinking))*|` +
	`(tool_calls/(function|custom)|function_call)/(name|arguments|input)))$`)
