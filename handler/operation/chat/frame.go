package chat

import (
	"bytes"

	"tollgate/handler/jsonscan"
)

// A frame is what an event's data has around the one text in it. Most events of a stream
// differ from the one before in that text alone, and need no parsing: whatever else is
// found in them was found in the one before.
type frame struct {
	before []byte // everything up to the text's opening quote; empty: there is no such event
	after  []byte // everything from its closing quote on
}

// maxFrame is the size of the largest frame that is kept, in bytes: a stream of longer ones
// is parsed.
const maxFrame = 4 << 10

// textOf returns the text of data that has this frame; nil if data must be parsed.
func (f *frame) textOf(data []byte) []byte {
	end := len(data) - len(f.after)
	if len(f.before) == 0 || end <= len(f.before) || !bytes.HasPrefix(data, f.before) || !bytes.HasSuffix(data, f.after) {
		return nil
	}
	text := data[len(f.before):end]
	if jsonscan.PlainLen(text) < len(text) { // it has escapes, or the string ends early
		return nil
	}
	return text
}

// set makes f the frame of data, which p has read. ok reports whether that is all there is
// to know about the event.
func (f *frame) set(data []byte, p *payload, ok bool) {
	f.before, f.after = f.before[:0], f.after[:0]
	if ok && p.texts == 1 && len(data)-(p.textEnd-p.textAt) <= maxFrame {
		f.before, f.after = append(f.before, data[:p.textAt]...), append(f.after, data[p.textEnd:]...)
	}
}
